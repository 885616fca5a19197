"""Slice and 3-D views: Slicer's displayable managers draw offscreen, a Qt widget shows the picture.

One way for every platform (a real screen, a virtual one, none): VTK renders into an offscreen window, and mouse and
wheel events of the Qt widget go to VTK's interactor, so that Slicer's own interactor styles work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

from .widgets._registry import stand_in

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLVolumeRenderingDisplayableManager",
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
_BUTTONS = {QtCore.Qt.LeftButton: "Left", QtCore.Qt.MiddleButton: "Middle", QtCore.Qt.RightButton: "Right"}


class RenderedView(QtWidgets.QLabel):
    """What slice and 3-D views share: an offscreen render window, its picture, its interactor."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(60, 60)
        self.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Ignored)
        self.setMouseTracking(True)
        self._renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(300, 300)
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.EnableRenderOff()  # rendering is scheduled, not asked for by each style
        self._group: Any = None
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.forceRender)

    def _set_managers(self, factory: Any, names: tuple[str, ...], logic: Any, style: Any) -> None:
        registry = factory.GetInstance()
        registry.SetMRMLApplicationLogic(logic)
        for name in names:
            if not registry.IsDisplayableManagerRegistered(name):
                registry.RegisterDisplayableManager(name)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        self._group.Initialize(registry, self._renderer)
        self._group.AddObserver(vtk.vtkCommand.UpdateEvent, lambda *_: self.scheduleRender())
        self._style = style
        style.SetDisplayableManagers(self._group)
        self._interactor.Initialize()
        style.SetInteractor(self._interactor)

    # ---- what Slicer's views answer ---------------------------------------------------------------------

    def renderWindow(self) -> Any:
        return self._window

    def interactor(self) -> Any:
        return self._interactor

    def renderer(self) -> Any:
        return self._renderer

    def interactorObserver(self) -> Any:
        return self._style

    def displayableManagerByClassName(self, name: str) -> Any:
        managers = (
            self._group.GetNthDisplayableManager(index) for index in range(self._group.GetDisplayableManagerCount())
        )
        return next((manager for manager in managers if manager.IsA(name)), None)

    def scheduleRender(self) -> None:
        if not self._timer.isActive() and not slicer.app.rendering_paused():
            self._timer.start()

    def forceRender(self) -> None:
        self._timer.stop()
        pixels = self.pixels()
        height, width, _ = pixels.shape
        image = QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format_RGB888)
        self.setPixmap(QtGui.QPixmap.fromImage(image.copy()))

    # ---- for tests --------------------------------------------------------------------------------------

    def pixels(self) -> np.ndarray:
        """Render now. Returns uint8 [height, width, 3], first row at the top."""
        self._window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.SetInputBufferTypeToRGB()
        grabber.Update()
        output = grabber.GetOutput()
        width, height, _ = output.GetDimensions()
        flat = vtk_to_numpy(output.GetPointData().GetScalars())
        return np.ascontiguousarray(flat.reshape(height, width, 3)[::-1])

    def save_png(self, path: Any) -> None:
        """Write what the view shows."""
        pixels = self.pixels()
        height, width, _ = pixels.shape
        QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).save(str(path))

    def set_view_size(self, width: int, height: int) -> None:
        """Size of the picture in pixels; a shown widget sets its own size."""
        self._window.SetSize(width, height)
        self._interactor.UpdateSize(width, height)
        self._resized(width, height)

    def _resized(self, width: int, height: int) -> None:
        """Called when the picture's size changed."""

    # ---- Qt events --------------------------------------------------------------------------------------

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        self.set_view_size(max(event.size().width(), 1), max(event.size().height(), 1))
        self.scheduleRender()

    def _tell_position(self, event: Any) -> None:
        position, keys = event.position(), event.modifiers()
        self._interactor.SetEventInformationFlipY(
            int(position.x()),
            int(position.y()),
            int(bool(keys & QtCore.Qt.ControlModifier)),
            int(bool(keys & QtCore.Qt.ShiftModifier)),
            chr(0),
            0,
            None,
        )

    def _button(self, event: QtGui.QMouseEvent, what: str) -> None:
        name = _BUTTONS.get(event.button())
        if name is not None:
            self._tell_position(event)
            getattr(self._interactor, f"{name}Button{what}Event")()
            self.scheduleRender()

    def enterEvent(self, event: QtGui.QEnterEvent) -> None:
        self._tell_position(event)
        self._interactor.EnterEvent()

    def leaveEvent(self, event: QtCore.QEvent) -> None:
        self._interactor.LeaveEvent()

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        self._button(event, "Press")

    def mouseReleaseEvent(self, event: QtGui.QMouseEvent) -> None:
        self._button(event, "Release")

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        self._tell_position(event)
        self._interactor.MouseMoveEvent()
        if event.buttons():
            self.scheduleRender()

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        self._tell_position(event)
        forward = event.angleDelta().y() >= 0
        (self._interactor.MouseWheelForwardEvent if forward else self._interactor.MouseWheelBackwardEvent)()
        self.scheduleRender()


@stand_in
class qMRMLSliceView(RenderedView):
    """Shows one slice node; the picture of the layers comes from the slice logic."""

    def __init__(self, slice_logic: Any, application_logic: Any, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slice_logic = slice_logic
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._image = vtk.vtkActor2D()
        self._image.SetMapper(self._mapper)
        self._image.GetProperty().SetDisplayLocationToBackground()
        # The image must be the first prop: what the displayable managers add lies above it.
        self._renderer.AddViewProp(self._image)
        style = slicer.vtkMRMLSliceViewInteractorStyle()
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory
        self._set_managers(factory, SLICE_MANAGERS, application_logic, style)
        style.SetSliceLogic(slice_logic)
        self._group.SetMRMLDisplayableNode(slice_logic.GetSliceNode())
        slice_logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update_image)
        self._update_image()

    def _update_image(self, *_: Any) -> None:
        connection = self._slice_logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        self._image.SetVisibility(bool(connection))
        self.scheduleRender()

    def _resized(self, width: int, height: int) -> None:
        self._slice_logic.ResizeSliceNode(width, height)

    def mrmlSliceNode(self) -> Any:
        return self._slice_logic.GetSliceNode()

    def convertRASToXYZ(self, ras: list[float]) -> list[float]:
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.mrmlSliceNode().GetXYToRAS(), matrix)
        return list(matrix.MultiplyPoint((*ras, 1.0))[:3])

    def convertXYZToRAS(self, xyz: list[float]) -> list[float]:
        return list(self.mrmlSliceNode().GetXYToRAS().MultiplyPoint((*xyz, 1.0))[:3])

    def pixel_of_ras(self, ras: list[float]) -> tuple[int, int]:
        """(row, column) in `pixels()` of a point in RAS mm (seen along the slice's normal)."""
        x, y, _ = self.convertRASToXYZ(list(ras))
        return int(self._window.GetSize()[1] - 1 - round(y)), int(round(x))


@stand_in
class qMRMLThreeDView(RenderedView):
    """Shows one view node."""

    def __init__(self, view_node: Any, application_logic: Any, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._view_node = view_node
        style = slicer.vtkMRMLThreeDViewInteractorStyle()
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory
        self._set_managers(factory, THREE_D_MANAGERS, application_logic, style)
        self._group.SetMRMLDisplayableNode(self.mrmlViewNode())

    def mrmlViewNode(self) -> Any:
        return self._view_node

    def resetFocalPoint(self) -> None:
        """Look at everything that is shown, the view's box and axis labels left out."""
        node = self.mrmlViewNode()
        box, labels = node.GetBoxVisible(), node.GetAxisLabelsVisible()
        node.SetBoxVisible(0)
        node.SetAxisLabelsVisible(0)
        self._renderer.ResetCamera()
        node.SetBoxVisible(box)
        node.SetAxisLabelsVisible(labels)

    def resetCamera(self, *_: bool) -> None:
        self._renderer.ResetCamera()
