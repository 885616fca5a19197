"""A small scripted module that the host's own tests open: one of everything the host stands in for."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Mode(Enum):
    fast = "quick and coarse"
    careful = "slow and fine"

    def label(self) -> str:
        return self.value


class HostExample(ScriptedLoadableModule):
    def __init__(self, parent: object) -> None:
        super().__init__(parent)
        parent.title = _("Host example")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]


@parameterNodeWrapper
class HostExampleParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(0, 1)] = 0.65
    invert: bool = True
    mode: Mode
    folder: Path


class HostExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent: object = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.events: list[str] = []
        self._parameterNode = None
        self._tag = None

    def setup(self) -> None:
        super().setup()
        root = slicer.util.loadUI(self.resourcePath("UI/HostExample.ui"))
        self.layout.addWidget(root)
        self.ui = slicer.util.childWidgetVariables(root)
        root.setMRMLScene(slicer.mrmlScene)
        self.logic = HostExampleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self.events.append("node"))
        self.initialize()

    def initialize(self) -> None:
        node = HostExampleParameterNode(self.logic.getParameterNode())
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._tag)
        self._parameterNode = node
        self._tag = node.connectGui(self.ui)

    def enter(self) -> None:
        self.events.append("enter")

    def exit(self) -> None:
        self.events.append("exit")

    def cleanup(self) -> None:
        self.events.append("cleanup")
        self.removeObservers()
        self._parameterNode.disconnectGui(self._tag)

    def onSceneStartClose(self, caller: object, event: object) -> None:
        self.events.append("start close")

    def onSceneEndClose(self, caller: object, event: object) -> None:
        self.events.append("end close")
        self.initialize()

    def onApply(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The example failed."), waitCursor=True):
            self.ui.progressBar.value = 100
            self.ui.summaryLabel.text = str(self.logic.mean(self._parameterNode.inputVolume))


class HostExampleLogic(ScriptedLoadableModuleLogic):
    def mean(self, volume: vtkMRMLScalarVolumeNode) -> float:
        if volume is None:
            raise ValueError("There is no input volume; choose one.")
        accumulate = vtk.vtkImageAccumulate()
        accumulate.SetInputData(volume.GetImageData())
        accumulate.Update()
        return accumulate.GetMean()[0]


class HostExampleTest(ScriptedLoadableModuleTest):
    ran = 0

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def test_it_runs(self) -> None:
        self.delayDisplay("Running")
        type(self).ran += 1
