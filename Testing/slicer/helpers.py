"""What the tests of scene and panel share: scans, replies, an open panel."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.options import SegmentOptions
from SynthSegPlusLib.scene import _session
from Testing.slicer.standin_worker import StandInWorker, answer, write_array_volume

EVERY_ROLE = ("segmenter", "tissue", "denoiser", "structure", "parcellation", "quality")

OBLIQUE = np.array([[0.96, -0.28, 0.0, -20.0], [0.28, 0.96, 0.0, 10.0], [0.0, 0.0, 2.0, -30.0], [0, 0, 0, 1.0]])
LEFT_HANDED = np.diag([-1.0, 1.0, 1.5, 1.0]) @ np.array(
    [[1, 0, 0, 5.0], [0, 1, 0, -7.0], [0, 0, 1, 9.0], [0, 0, 0, 1.0]]
)
AXIAL = np.array([[-1.0, 0, 0, 40.0], [0, -1.0, 0, 30.0], [0, 0, 1.0, -20.0], [0, 0, 0, 1.0]])


def add_scan(name: str = "T1", affine: np.ndarray = AXIAL, shape: tuple[int, int, int] = (66, 24, 20)) -> Any:
    """A scalar volume of voxels [i, j, k] with a voxel-to-RAS affine."""
    data = np.random.default_rng(0).uniform(0, 100, shape).astype(np.float32)
    return slicer.util.addVolumeFromArray(data.transpose(2, 1, 0), affine, name)


def reply_for(node: Any, folder: Path, failing: tuple[str, ...] = (), **options: Any) -> Any:
    """The stand-in worker's reply to a run on a node."""
    data, affine = scene.arrayAndAffine(node)
    outputs = folder / "outputs"
    outputs.mkdir(exist_ok=True)
    job = {"input": str(write_array_volume(folder, "input", data, affine)), "outputs": str(outputs),
           "options": SegmentOptions(**options).to_dict()}
    return answer(job, failing)


def add_result(folder: Path, node: Any = None, failing: tuple[str, ...] = ("cortex",), **options: Any) -> Any:
    """Nodes of a run with parcels and quality."""
    options = {"parcellation": True, "quality": True, **options}
    node = node or add_scan()
    return scene.makeNodes(node, reply_for(node, folder, failing, **options))


def add_transform(node: Any) -> np.ndarray:
    """Put a node under a linear transform (rotation and shift); its matrix."""
    matrix = np.array([[0.0, -1.0, 0.0, 12.0], [1.0, 0.0, 0.0, -3.0], [0.0, 0.0, 1.0, 5.0], [0, 0, 0, 1.0]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Move")
    vtkMatrix = vtk.vtkMatrix4x4()
    slicer.util.updateVTKMatrixFromArray(vtkMatrix, matrix)
    transform.SetMatrixTransformToParent(vtkMatrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return matrix


def add_bend(node: Any) -> Any:
    """Put a node under a grid transform, as Slicer's DICOM import does with a tilted gantry; the transform."""
    displacements = vtk.vtkImageData()
    displacements.SetDimensions(5, 5, 5)
    displacements.SetSpacing(40.0, 40.0, 40.0)
    displacements.SetOrigin(-80.0, -80.0, -80.0)
    displacements.AllocateScalars(vtk.VTK_DOUBLE, 3)
    values = vtk_to_numpy(displacements.GetPointData().GetScalars())
    values[:] = np.random.default_rng(0).uniform(-3.0, 3.0, values.shape)
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(displacements)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Acquisition")
    transform.SetAndObserveTransformFromParent(grid)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def add_scaling(node: Any, *factors: float) -> Any:
    """Put a node under a linear transform that scales its axes; the transform."""
    matrix = vtk.vtkMatrix4x4()
    slicer.util.updateVTKMatrixFromArray(matrix, np.diag([*factors, 1.0]))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Scale")
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def edit_segment(labelmap: Any, segments: Any, label: int, inside: tuple[slice, slice, slice]) -> None:
    """Paint voxels [i, j, k] into the segment of a label, as the Segment Editor does."""
    segmentation = segments.GetSegmentation()
    title = scene.labelOf(label).title
    identifier = segmentation.GetSegmentIdBySegmentName(title)
    painted = slicer.util.arrayFromSegmentBinaryLabelmap(segments, identifier, labelmap).copy()
    painted.transpose(2, 1, 0)[inside] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(painted, segments, identifier, labelmap)


def node_names() -> list[str]:
    """ID and name of every node of the scene, to compare before and after."""
    nodes = slicer.mrmlScene
    return sorted(f"{nodes.GetNthNode(index).GetID()} {nodes.GetNthNode(index).GetName()}"
                  for index in range(nodes.GetNumberOfNodes()))


def any_set(roles: tuple[str, ...] = EVERY_ROLE, modes: tuple[str, ...] = ("robust", "default", "fast")) -> Any:
    """What the panel reads of a model set."""
    return types.SimpleNamespace(
        title="Stand-in set", name="stand-in", version="1", licence="Apache-2.0", working_resolution_mm=1.0,
        roles=dict.fromkeys(roles), modes=modes, found_in="bundled",
    )


class Opened:
    """An open panel with its worker."""

    def __init__(self, host: Any, widget: Any, session: Any, workers: list[StandInWorker]) -> None:
        self.host, self.widget, self.session, self.workers = host, widget, session, workers
        self.ui, self.panel, self.logic = widget.ui, widget.panel, widget.logic

    @property
    def worker(self) -> StandInWorker:
        """The worker that runs, or the one that the next run will start."""
        return self.workers[-1]

    @property
    def parameters(self) -> Any:
        return self.widget._parameterNode

    def choose(self, node: Any) -> None:
        self.ui.inputSelector.setCurrentNode(node)

    def begin(self) -> None:
        """Click Apply and wait until the worker, which holds, is at its first stage."""
        self.ui.applyButton.click()
        assert self.host.wait_until(lambda: "Preparing the scan" in self.ui.stageLabel.text), self.session.log

    def finish(self) -> None:
        assert self.host.wait_until(lambda: not self.session.busy)

    def apply(self) -> Any:
        """Click Apply and wait; the result that the panel shows."""
        self.ui.applyButton.click()
        self.finish()
        return self.panel.result


@contextlib.contextmanager
def open_panel(host: Any, packages: Any = None, session: Any = None, **worker: Any) -> Iterator[Opened]:
    """The module's own panel on a stand-in worker, or on the session given; closed as Slicer closes it."""
    module = host.load_module()
    file = sys.modules["SynthSegPlus"]
    workers = [StandInWorker(**worker)]

    def make() -> StandInWorker:
        if workers[-1].closed or workers[-1].commands:
            workers.append(StandInWorker(**worker))
        return workers[-1]

    session = session or scene.Session(file.RESOURCES, makeWorker=make, packages=packages)
    key = Path(file.RESOURCES).resolve()
    previous = _session._sessions.get(key)
    _session._sessions[key] = session
    holder = module.createNewWidgetRepresentation()
    holder.setFixedSize(440, 760)
    holder.show()
    widget = holder._python
    widget.enter()
    try:
        yield Opened(host, widget, session, workers)
    finally:
        widget.exit()
        widget.cleanup()
        holder.close()
        holder.deleteLater()
        host.process_events()
        _session._sessions.pop(key, None)
        if previous is not None:
            _session._sessions[key] = previous


def row_of(opened: Opened, label: int) -> int:
    """Row of the table that shows a label."""
    return next(index for index, row in enumerate(opened.panel.table._rows) if row.label == label)


def click_row(opened: Opened, label: int) -> None:
    """What a mouse does."""
    opened.ui.measuresTable.setCurrentCell(row_of(opened, label), 0)
    opened.ui.measuresTable.cellClicked.emit(row_of(opened, label), 0)
