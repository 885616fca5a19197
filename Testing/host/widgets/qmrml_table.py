"""`qMRMLTableView`: shows a table node."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Signal

from ._registry import field, stand_in
from .qmrml_base import SceneObservers


@stand_in
class qMRMLTableView(QtWidgets.QTableView):
    """One row for each row of the table; numbers are right-aligned and sort as numbers."""

    mrmlSceneChanged = Signal(object)
    selectionChanged_ = Signal()
    SIGNALS = ("mrmlSceneChanged(vtkMRMLScene*)", "selectionChanged()")
    OVERLOADS = {"selectionChanged()": "selectionChanged_"}

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._table: Any = None
        self._view_node: Any = None
        self._observers = SceneObservers(self)
        self._items = QtGui.QStandardItemModel(self)
        self._sorted = QtCore.QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._items)
        self._sorted.setSortRole(QtCore.Qt.UserRole)
        self.setModel(self._sorted)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlTableNode(self) -> Any:
        return self._table

    def setMRMLTableNode(self, node: Any) -> None:
        self._observers.clear()
        self._table = node
        if node is not None:
            self._observers.add(node, "ModifiedEvent", self._fill)
        self._fill()

    def mrmlTableViewNode(self) -> Any:
        return self._view_node

    def setMRMLTableViewNode(self, node: Any) -> None:
        self._view_node = node
        self.setMRMLTableNode(node.GetTableNode() if node is not None else None)

    def sortFilterProxyModel(self) -> QtCore.QSortFilterProxyModel:
        return self._sorted

    def _fill(self) -> None:
        self._items.clear()
        if self._table is None or self._table.GetTable() is None:
            return
        table = self._table.GetTable()
        names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
        self._items.setHorizontalHeaderLabels(names)
        for row in range(table.GetNumberOfRows()):
            self._items.appendRow([_item(table.GetValue(row, column)) for column in range(len(names))])

    transposed = field(bool, "transposed", False)
    firstRowLocked = field(bool, "firstRowLocked", False)
    firstColumnLocked = field(bool, "firstColumnLocked", False)


def _item(value: Any) -> QtGui.QStandardItem:
    item = QtGui.QStandardItem(value.ToString())
    if value.IsNumeric():
        item.setData(value.ToDouble(), QtCore.Qt.UserRole)
        item.setTextAlignment(QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
    else:
        item.setData(value.ToString(), QtCore.Qt.UserRole)
    return item
