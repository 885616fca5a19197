"""SynthSegPlus: brain segmentation of any contrast and resolution, with quality control, in 3D Slicer.

This file is what Slicer loads; the work is done in SynthSegPlusLib, and the networks run in another process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

HERE = Path(__file__).resolve().parent
RESOURCES = HERE / "Resources"
# Installed, the library lies beside this file; in a clone it lies beside this file's folder.
for _folder in (HERE, HERE.parent):
    if (_folder / "SynthSegPlusLib" / "__init__.py").is_file():
        if str(_folder) not in sys.path:
            sys.path.insert(0, str(_folder))
        break

from SynthSegPlusLib.contract import OptionsError, SegmentOptions, SynthSegPlusError  # noqa: E402
from SynthSegPlusLib.panel import Panel, SynthSegPlusParameterNode  # noqa: E402
from SynthSegPlusLib.scene import CONTEXT, Request, ResultNodes, SegmentRun, Session, sharedSession  # noqa: E402


class SynthSegPlus(ScriptedLoadableModule):
    """What the module says about itself."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("SynthSegPlus")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["SynthSegPlus developers"]
        parent.helpText = _(
            "Segments brain MRI of any contrast and resolution and head CT into structures and cortical parcels, "
            "measures their volumes, and predicts for each region how well it is segmented. "
            "Research use only. Not for diagnosis."
        ) + self.getDefaultModuleDocumentationLink()
        parent.acknowledgementText = _(
            "The method is SynthSeg+: Billot B, Magdamo C, Cheng Y, Arnold SE, Das S, Iglesias JE. Robust machine "
            "learning segmentation for large-scale analysis of heterogeneous clinical brain MRI datasets. PNAS 2023."
        )
        slicer.app.connect("startupCompleted()", loadTerminology)


def loadTerminology() -> None:
    """Make the codes of our segments known to Slicer's terminology selector."""
    logic = slicer.modules.terminologies.logic()
    if not logic.IsTerminologyContextLoaded(CONTEXT):
        logic.LoadTerminologyFromFile(str(RESOURCES / "Terminologies" / "SynthSegPlus.term.json"))


class SynthSegPlusWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Connects the panel with Slicer: its scene, its parameter node, its life."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: SynthSegPlusLogic | None = None
        self.panel: Panel | None = None
        self._parameterNode: Any = None
        self._guiTag: Any = None

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/SynthSegPlus.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = SynthSegPlusLogic()
        self.panel = Panel(self.ui, self.logic.session)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEnd)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        self.addObserver(scene, scene.EndBatchProcessEvent, self.onBatchEnd)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """The window goes: nothing may still call into it. The worker ends with it."""
        panel, logic = self.panel, self.logic
        self.panel = self.logic = None
        self.setParameterNode(None)
        self.removeObservers()
        if panel is not None:
            panel.close()
        if logic is not None:
            logic.session.close()

    def enter(self) -> None:
        self.initializeParameterNode()
        if self.panel is not None:
            self.panel.setActive(True)

    def exit(self) -> None:
        if self.panel is not None:
            self.panel.setActive(False)

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        self.setParameterNode(None)

    def onSceneEnd(self, caller: Any, event: Any) -> None:
        self.initializeParameterNode()

    def onNodeRemoved(self, caller: Any, event: Any) -> None:
        if self.panel is not None and not slicer.mrmlScene.IsClosing() and not slicer.mrmlScene.IsBatchProcessing():
            self.panel.refresh()

    def onBatchEnd(self, caller: Any, event: Any) -> None:
        """What was deleted and made meanwhile is looked at once."""
        if self.panel is not None and not slicer.mrmlScene.IsClosing():
            self.panel.refresh()

    def initializeParameterNode(self) -> None:
        """Follow the scene's parameter node; a fresh one takes the first volume."""
        if self.logic is None:
            return
        self.setParameterNode(self.logic.getParameterNode())
        if self._parameterNode.inputVolume is None:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first is not None and not first.IsA("vtkMRMLLabelMapVolumeNode"):
                self._parameterNode.inputVolume = first

    def setParameterNode(self, node: Any) -> None:
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self._parameterNode = node
        if node is not None:
            self._guiTag = node.connectGui(self.ui)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        if self.panel is not None:
            self.panel.setParameters(node)

    def onParametersModified(self, caller: Any = None, event: Any = None) -> None:
        if self.panel is not None:
            self.panel.refresh()


class SynthSegPlusLogic(ScriptedLoadableModuleLogic):
    """Segmentation from Slicer's Python console and from scripts, with or without windows.

    >>> nodes = SynthSegPlusLogic().segment(slicer.util.getNode("T1"), mode="fast")   # doctest: +SKIP
    >>> nodes.segmentation, nodes.volumes, nodes.verdict                              # doctest: +SKIP
    """

    def __init__(self, session: Session | None = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.session = session or sharedSession(RESOURCES)

    def getParameterNode(self) -> SynthSegPlusParameterNode:
        return SynthSegPlusParameterNode(super().getParameterNode())

    def segment(self, volumeNode: Any, *, models: str | Path | None = None, backend: str | None = None,
                device: str = "auto", threads: int | None = None, resampled: bool = False,
                onProgress: Callable[[str, float, float], None] | None = None, **options: Any) -> ResultNodes:
        """Segment a volume node and wait; Slicer stays responsive meanwhile.

        `options` are those of `SegmentOptions`, such as mode, parcellation, quality, ct, grid, all but posteriors.
        Returns the nodes made; raises a `SynthSegPlusError` that says what happened and what to do.
        """
        request = self._request(models, backend, device, threads, resampled, options)
        return self.session.segment(volumeNode, request, onProgress)

    def start(self, volumeNode: Any, *, onProgress: Callable[[str, float, float], None] | None = None,
              onDone: Callable[[ResultNodes], None] | None = None,
              onError: Callable[[SynthSegPlusError], None] | None = None, models: str | Path | None = None,
              backend: str | None = None, device: str = "auto", threads: int | None = None, resampled: bool = False,
              **options: Any) -> SegmentRun:
        """As `segment`, but returns at once; the callbacks come from Slicer's event loop. `run.cancel()` stops it."""
        request = self._request(models, backend, device, threads, resampled, options)
        return self.session.start(volumeNode, request, onProgress, onDone, onError)

    def installPackages(self, backend: str | None = None, wheels: str | Path | None = None) -> None:
        """Install what the worker needs into a folder apart and wait; calling it is the consent."""
        self.session.installAndWait(backend, Path(wheels) if wheels else None)

    def close(self) -> None:
        """End the worker process; the next run starts another."""
        self.session.close()

    @staticmethod
    def _request(models: str | Path | None, backend: str | None, device: str, threads: int | None, resampled: bool,
                 options: dict[str, Any]) -> Request:
        folder, chosen = Path(models) if models else None, SegmentOptions.from_dict(options)
        if chosen.posteriors:
            raise OptionsError("Posteriors do not come into Slicer's scene; the command line writes them with --post.")
        return Request(chosen, folder, backend, device, threads, resampled)


class SynthSegPlusTest(ScriptedLoadableModuleTest):
    """Self-test: the labels of a made-up head appear as nodes, or the reason why not is plain."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_segmentation_of_a_ball()

    def test_segmentation_of_a_ball(self) -> None:
        import numpy as np

        logic = SynthSegPlusLogic()
        reason = logic.session.readiness()
        if reason:
            self.delayDisplay(reason)
            return
        ball = np.linalg.norm(np.indices((64, 64, 64)) - 31.5, axis=0)
        volume = slicer.util.addVolumeFromArray(np.where(ball < 24, 100.0, 0.0).astype(np.float32), name="Ball")
        volume.SetSpacing(3.0, 3.0, 3.0)
        nodes = logic.segment(volume, mode="fast")
        assert nodes.segmentation.GetName() == "Ball segmentation"
        assert len(nodes.measures) == nodes.volumes.GetNumberOfRows() > 30
        self.delayDisplay("Test passed")
