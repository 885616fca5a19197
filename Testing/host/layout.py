"""`slicer.app.layoutManager()`: views for the nodes that Slicer's real layout logic makes."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ElementTree
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, QObject, Signal

from .core import Core
from .views import qMRMLSliceView, qMRMLThreeDView
from .widgets import STAND_INS
from .widgets._registry import stand_in


class _ViewWidget(QtWidgets.QFrame):
    """A view under a bar in its colour that says its name."""

    def __init__(self, node: Any, view: QtWidgets.QWidget) -> None:
        super().__init__()
        self._node = node
        bar = QtWidgets.QLabel(f" {node.GetLayoutLabel() or node.GetLayoutName()}")
        color = QtGui.QColor.fromRgbF(*node.GetLayoutColor())
        bar.setStyleSheet(f"background: {color.name()}; color: black; font-weight: bold;")
        bar.setFixedHeight(bar.fontMetrics().height() + 4)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(view, 1)

    def mrmlAbstractViewNode(self) -> Any:
        return self._node


@stand_in
class qMRMLSliceWidget(_ViewWidget):
    """One slice view with its logic."""

    def __init__(self, node: Any, core: Core) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(core.application_logic)
        core.application_logic.GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(core.scene)
        self._logic.SetSliceNode(node)
        self._view = qMRMLSliceView(self._logic, core.application_logic)
        super().__init__(node, self._view)

    def sliceLogic(self) -> Any:
        return self._logic

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()
        self._logic.SnapSliceOffsetToIJK()


@stand_in
class qMRMLThreeDWidget(_ViewWidget):
    """One 3-D view with its logic."""

    def __init__(self, node: Any, core: Core) -> None:
        self._core = core
        self._view = qMRMLThreeDView(node, core.application_logic)
        super().__init__(node, self._view)

    def threeDView(self) -> qMRMLThreeDView:
        return self._view

    def mrmlViewNode(self) -> Any:
        return self._node

    def viewLogic(self) -> Any:
        return self._core.application_logic.GetViewLogic(self._node)


@stand_in
class qMRMLTableWidget(_ViewWidget):
    """One table view: shows the table that the selection node names, as Slicer's does."""

    def __init__(self, node: Any, core: Core) -> None:
        self._view = STAND_INS["qMRMLTableView"]()
        self._view.setMRMLScene(core.scene)
        self._view.setMRMLTableViewNode(node)
        super().__init__(node, self._view)
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._view.setMRMLTableViewNode(node))

    def tableView(self) -> Any:
        return self._view

    def mrmlTableViewNode(self) -> Any:
        return self._node


def _add_view_logic(core: Core) -> None:
    # A view logic takes a node in Python only when it adds it: before the layout logic does.
    logic = slicer.vtkMRMLViewLogic()
    logic.SetMRMLApplicationLogic(core.application_logic)
    core.application_logic.GetViewLogics().AddItem(logic)
    logic.SetMRMLScene(core.scene)
    logic.AddViewNode("1")


class LayoutManager(QObject):
    """Stands in for `qSlicerLayoutManager`. A view is made when a layout first needs it, and kept."""

    layoutChanged = Signal(int)
    SIGNALS = ("layoutChanged(int)",)
    _WIDGETS = {
        "vtkMRMLSliceNode": qMRMLSliceWidget,
        "vtkMRMLViewNode": qMRMLThreeDWidget,
        "vtkMRMLTableViewNode": qMRMLTableWidget,
    }

    def __init__(self, core: Core, layout: int = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView) -> None:
        super().__init__()
        self._core = core
        self._widgets: dict[str, _ViewWidget] = {}
        self._shown: list[str] = []
        self._viewport = QtWidgets.QWidget()
        self._viewport.resize(900, 700)
        column = QtWidgets.QVBoxLayout(self._viewport)
        column.setContentsMargins(0, 0, 0, 0)
        _add_view_logic(core)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(core.scene)
        self._logic.SetMRMLApplicationLogic(core.application_logic)
        self._arrangement = -1
        node = self._logic.GetLayoutNode()
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._arrange())
        node.SetViewArrangement(layout)
        self._arrange()

    # ---- making and placing views -----------------------------------------------------------------------

    def _arrange(self) -> None:
        node = self._logic.GetLayoutNode()
        if node.GetViewArrangement() == self._arrangement or not node.GetCurrentLayoutDescription():
            return
        self._arrangement = node.GetViewArrangement()
        for widget in self._widgets.values():
            widget.setParent(None)
            widget.mrmlAbstractViewNode().SetMappedInLayout(0)
        self._shown = []
        column = self._viewport.layout()
        while column.count():
            column.takeAt(0).widget().deleteLater()
        column.addWidget(self._build(ElementTree.fromstring(node.GetCurrentLayoutDescription())))
        for key in self._shown:
            self._widgets[key].show()
        self.layoutChanged.emit(self._arrangement)

    def _build(self, element: ElementTree.Element) -> QtWidgets.QWidget:
        if element.tag == "view":
            return self._view(element)
        horizontal = element.get("type") == "horizontal"
        box = QtWidgets.QSplitter(QtCore.Qt.Horizontal if horizontal else QtCore.Qt.Vertical)
        box.setChildrenCollapsible(False)
        for item in element.findall("item"):
            for child in item:
                box.addWidget(self._build(child))
        box.setSizes([int(item.get("splitSize", 500)) for item in element.findall("item")])
        return box

    def _view(self, element: ElementTree.Element) -> QtWidgets.QWidget:
        class_name, tag = element.get("class", ""), element.get("singletontag", "")
        node = self._core.scene.GetSingletonNode(tag, class_name)
        if node is None or class_name not in self._WIDGETS:
            return QtWidgets.QLabel(f"{class_name} {tag} is not shown by the test host")
        node.SetMappedInLayout(1)
        if node.GetID() not in self._widgets:
            self._set_defaults(node, element)
            self._widgets[node.GetID()] = self._WIDGETS[class_name](node, self._core)
        self._shown.append(node.GetID())
        return self._widgets[node.GetID()]

    def _set_defaults(self, node: Any, element: ElementTree.Element) -> None:
        given = {entry.get("name"): (entry.text or "") for entry in element.findall("property")}
        if "orientation" in given:
            node.SetOrientation(given["orientation"])
        if "viewlabel" in given:
            node.SetLayoutLabel(given["viewlabel"])
        if "viewcolor" in given:
            node.SetLayoutColor(*QtGui.QColor(given["viewcolor"]).getRgbF()[:3])

    # ---- what Slicer's layout manager answers -----------------------------------------------------------

    def viewport(self) -> QtWidgets.QWidget:
        return self._viewport

    def mrmlScene(self) -> Any:
        return self._core.scene

    def layoutLogic(self) -> Any:
        return self._logic

    def setLayout(self, layout: int) -> None:
        self._logic.GetLayoutNode().SetViewArrangement(layout)

    layout = Property(int, lambda self: self._arrangement, lambda self, layout: self.setLayout(layout))

    def _shown_of(self, cls: type) -> list[Any]:
        return [self._widgets[key] for key in self._shown if isinstance(self._widgets[key], cls)]

    def sliceViewNames(self) -> list[str]:
        return [widget.mrmlSliceNode().GetLayoutName() for widget in self._shown_of(qMRMLSliceWidget)]

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        widgets = [widget for widget in self._widgets.values() if isinstance(widget, qMRMLSliceWidget)]
        return next((widget for widget in widgets if widget.mrmlSliceNode().GetLayoutName() == name), None)

    def threeDWidget(self, which: int | str) -> qMRMLThreeDWidget | None:
        return self._numbered(qMRMLThreeDWidget, which)

    def tableWidget(self, which: int) -> qMRMLTableWidget | None:
        return self._numbered(qMRMLTableWidget, which)

    def _numbered(self, cls: type, which: int | str) -> Any:
        shown = self._shown_of(cls)
        if isinstance(which, str):
            return next((view for view in shown if view.mrmlAbstractViewNode().GetLayoutName() == which), None)
        return shown[which] if 0 <= which < len(shown) else None

    threeDViewCount = Property(int, lambda self: len(self._shown_of(qMRMLThreeDWidget)))
    tableViewCount = Property(int, lambda self: len(self._shown_of(qMRMLTableWidget)))
    plotViewCount = Property(int, lambda self: 0)

    def mrmlSliceLogics(self) -> Any:
        return self._core.application_logic.GetSliceLogics()

    def mrmlViewLogics(self) -> Any:
        return self._core.application_logic.GetViewLogics()

    def resetSliceViews(self) -> None:
        for widget in self._shown_of(qMRMLSliceWidget):
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        for widget in self._shown_of(qMRMLThreeDWidget):
            widget.threeDView().resetFocalPoint()

    # ---- rendering --------------------------------------------------------------------------------------

    def rendered_views(self) -> list[Any]:
        """The slice and 3-D views of the present layout."""
        return [w.sliceView() for w in self._shown_of(qMRMLSliceWidget)] + [
            w.threeDView() for w in self._shown_of(qMRMLThreeDWidget)
        ]

    def schedule_render(self) -> None:
        for view in self.rendered_views():
            view.scheduleRender()

    def render_now(self) -> None:
        for view in self.rendered_views():
            view.forceRender()

    def dispose(self) -> None:
        """Let go of the render windows while their contexts still exist."""
        for widget in self._widgets.values():
            with contextlib.suppress(AttributeError):
                view = widget.sliceView() if hasattr(widget, "sliceView") else widget.threeDView()
                view._timer.stop()
                view._window.Finalize()
