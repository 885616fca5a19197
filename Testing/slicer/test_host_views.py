"""The host's views show what Slicer's displayable managers draw, at the right pixels."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def red(slicer_host):
    view = slicer_host.layout.sliceWidget("Red").sliceView()
    view.set_view_size(200, 200)
    return view


@pytest.fixture
def volume(slicer_host):
    """64 mm cube around the origin: dark, the half with R > 0 bright."""
    import slicer

    data = np.zeros((64, 64, 64), np.int16)
    data[:, :, 32:] = 100  # index order is k, j, i; i runs to the right
    to_ras = np.eye(4)
    to_ras[:3, 3] = -31.5
    node = slicer.util.addVolumeFromArray(data, to_ras, "T1")
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(0)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 100)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def at(view, ras) -> np.ndarray:
    row, column = view.pixel_of_ras(ras)
    return view.pixels()[row, column]


def test_the_four_up_layout_has_slicers_views(slicer_host):
    layout = slicer_host.layout
    assert sorted(layout.sliceViewNames()) == ["Green", "Red", "Yellow"]
    assert layout.threeDViewCount == 1
    orientations = {name: layout.sliceWidget(name).mrmlSliceNode().GetOrientation() for name in layout.sliceViewNames()}
    assert orientations == {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


def test_right_is_right_and_patients_right_is_at_the_left_of_the_picture(red, volume):
    assert list(at(red, (10, 0, 0))) == [255, 255, 255]
    assert list(at(red, (-10, 0, 0))) == [0, 0, 0]
    assert red.pixel_of_ras((10, 0, 0))[1] < red.pixel_of_ras((-10, 0, 0))[1]
    assert red.pixel_of_ras((0, 10, 0))[0] < red.pixel_of_ras((0, -10, 0))[0]  # front is up


def test_a_labelmap_is_shown_in_the_colours_of_its_table(slicer_host, red, volume):
    import slicer

    labels = np.zeros((64, 64, 64), np.int16)
    labels[:, :32, :] = 17  # behind
    to_ras = slicer.util.arrayFromVTKMatrix(matrix_of(volume))
    node = slicer.util.addVolumeFromArray(labels, to_ras, "labels", "vtkMRMLLabelMapVolumeNode")
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "colours")
    table.SetTypeToUser()
    table.SetNumberOfColors(20)
    table.SetColor(17, "left hippocampus", 1.0, 0.0, 0.0, 1.0)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    slicer.util.setSliceViewerLayers(label=node, labelOpacity=1.0)
    assert list(at(red, (10, -10, 0))) == [255, 0, 0]
    assert list(at(red, (10, 10, 0))) == [255, 255, 255]
    table.SetColor(17, "left hippocampus", 0.0, 0.0, 1.0, 1.0)
    assert list(at(red, (10, -10, 0))) == [0, 0, 255]
    slicer.util.setSliceViewerLayers(labelOpacity=0.0)
    assert list(at(red, (10, -10, 0))) == [255, 255, 255]


def matrix_of(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def move_mouse(view, ras) -> None:
    import qt

    row, column = view.pixel_of_ras(ras)
    place = qt.QPointF(column, row)
    event = qt.QMouseEvent(qt.QEvent.MouseMove, place, place, qt.Qt.NoButton, qt.Qt.NoButton, qt.Qt.NoModifier)
    qt.QApplication.sendEvent(view, qt.QEnterEvent(place, place, place))
    qt.QApplication.sendEvent(view, event)


def test_the_mouse_over_a_widget_goes_to_slicers_interaction(slicer_host, red, volume):
    crosshair = slicer_host.scene.GetNodeByID("vtkMRMLCrosshairNodedefault")
    move_mouse(red, (10, 5, 0))
    cursor = [0.0, 0.0, 0.0]
    crosshair.GetCursorPositionRAS(cursor)
    assert cursor[:2] == pytest.approx([10, 5], abs=1.0)


def test_the_wheel_moves_the_slice(slicer_host, red, volume):
    import qt

    node = slicer_host.layout.sliceWidget("Red").mrmlSliceNode()
    before = node.GetSliceOffset()
    center = qt.QPointF(100, 100)
    event = qt.QWheelEvent(
        center, center, qt.QPoint(0, 0), qt.QPoint(0, 120), qt.Qt.NoButton, qt.Qt.NoModifier, qt.Qt.NoScrollPhase, False
    )
    qt.QApplication.sendEvent(red, event)
    assert abs(node.GetSliceOffset() - before) == pytest.approx(1.0)


def test_all_slices_jump_to_a_point(slicer_host, volume):
    import slicer

    slicer.modules.markups.logic().JumpSlicesToLocation(5, 6, 7, True)
    # The sagittal view's normal points to the left.
    offsets = {
        name: slicer_host.layout.sliceWidget(name).sliceLogic().GetSliceOffset() for name in ("Red", "Green", "Yellow")
    }
    assert offsets == {"Red": pytest.approx(7), "Green": pytest.approx(6), "Yellow": pytest.approx(-5)}


def test_the_three_d_view_shows_a_model(slicer_host):
    import slicer
    import vtk

    view = slicer_host.layout.threeDWidget(0).threeDView()
    view.set_view_size(200, 200)
    slicer.util.resetThreeDViews()
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(50)
    sphere.Update()
    model = slicer.modules.models.logic().AddModel(sphere.GetOutput())
    model.GetDisplayNode().SetColor(1, 0, 0)
    view.resetFocalPoint()
    assert red_part(view)[100, 100]
    assert red_part(view).sum() > 2000
    model.GetDisplayNode().SetVisibility(0)
    assert not red_part(view).any()


def red_part(view) -> np.ndarray:
    pixels = view.pixels()
    return (pixels[..., 0] > 80) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)


def test_a_layout_with_a_table_shows_the_table_that_is_selected(slicer_host):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "volumes")
    slicer.util.updateTableFromArray(node, [np.array([1.0, 2.0, 3.0])], ["volume"])
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    slicer.app.applicationLogic().GetSelectionNode().SetActiveTableID(node.GetID())
    slicer.app.applicationLogic().PropagateTableSelection()
    view = slicer.app.layoutManager().tableWidget(0).tableView()
    assert slicer.app.layoutManager().tableViewCount == 1
    assert view.mrmlTableNode() is node
    assert view.model().rowCount() == 3


def test_rendering_waits_while_it_is_paused(slicer_host, red, volume):
    import slicer

    assert slicer_host.wait_until(lambda: not red._timer.isActive())
    with slicer.util.RenderBlocker():
        red.scheduleRender()
        assert not red._timer.isActive()
    assert red._timer.isActive()
    with pytest.raises(RuntimeError, match="more often"):
        slicer.app.resumeRender()


def test_the_views_live_through_a_closed_scene(slicer_host, red, volume):
    slicer_host.clear_scene()
    assert red.pixels().max() < 255
    assert slicer_host.layout.sliceWidget("Red").mrmlSliceNode().GetScene() is slicer_host.scene
