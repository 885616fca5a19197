"""`qMRMLNodeComboBox`: chooses among the nodes of a scene."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from ._registry import field, stand_in
from .qmrml_base import SceneObservers


@stand_in
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Lists the scene's nodes of `nodeTypes`; nothing is listed before a scene is set.

    Without `noneEnabled` a node is chosen whenever there is one; when the chosen node leaves the scene, the first
    other one is chosen, or none. Nodes hidden from editors are not listed.
    """

    currentNodeChanged = Signal(object)
    currentNodeValid = Signal(bool)
    currentNodeIDChanged = Signal(str)
    currentNodeRenamed = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    SIGNALS = (
        "currentNodeChanged(vtkMRMLNode*)",
        "currentNodeChanged(bool)",
        "currentNodeIDChanged(QString)",
        "currentNodeRenamed(QString)",
        "nodeActivated(vtkMRMLNode*)",
        "nodeAdded(vtkMRMLNode*)",
        "nodeAddedByUser(vtkMRMLNode*)",
    )
    OVERLOADS = {"currentNodeChanged(bool)": "currentNodeValid"}

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._attributes: list[tuple[str, str, Any]] = []
        self._ids: list[str] = []
        self._current = ""
        self._scene_observers = SceneObservers(self)
        self._node_observers = SceneObservers(self)
        self._box = QtWidgets.QComboBox(self)
        self._box.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._box.activated.connect(self._activated)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)

    # ---- what is listed ---------------------------------------------------------------------------------

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene_observers.clear()
        self._scene = scene
        if scene is not None:
            for event in (
                scene.NodeAddedEvent,
                scene.NodeRemovedEvent,
                scene.EndCloseEvent,
                scene.EndImportEvent,
                scene.EndRestoreEvent,
                scene.EndBatchProcessEvent,
            ):
                self._scene_observers.add(scene, event, self._refresh)
        self._refresh()

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._attributes.append((node_type, name, value))
        self._refresh()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes = [entry for entry in self._attributes if entry[:2] != (node_type, name)]
        self._refresh()

    def _listed(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(name) for name in self.hideChildNodeTypes):
            return False
        exact = node.GetClassName() in self.nodeTypes
        if not exact and not (self.showChildNodeTypes and any(node.IsA(kind) for kind in self.nodeTypes)):
            return False
        for kind, name, value in self._attributes:
            wrong = node.GetAttribute(name) is None if value is None else node.GetAttribute(name) != str(value)
            if node.IsA(kind) and wrong:
                return False
        return True

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._listed(node)]

    def _refresh(self) -> None:
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        nodes = self._nodes()
        self._node_observers.clear()
        for node in nodes:
            self._node_observers.add(node, "ModifiedEvent", self._renamed)
        self._ids = ([""] if self.noneEnabled else []) + [node.GetID() for node in nodes]
        names = ([self.noneDisplay] if self.noneEnabled else []) + [node.GetName() for node in nodes]
        extra = [f"Create new {self._tag()}"] if self.addEnabled and self._scene is not None else []
        self._box.blockSignals(True)
        self._box.clear()
        self._box.addItems(names + extra)
        self._box.blockSignals(False)
        if self._current in self._ids:
            self._box.setCurrentIndex(self._ids.index(self._current))
        else:
            self._choose("" if self.noneEnabled or not self._ids else self._ids[0])

    def _renamed(self) -> None:
        for index, node_id in enumerate(self._ids):
            node = self._scene.GetNodeByID(node_id) if node_id else None
            if node is not None and self._box.itemText(index) != node.GetName():
                self._box.setItemText(index, node.GetName())
                if node_id == self._current:
                    self.currentNodeRenamed.emit(node.GetName())

    def _tag(self) -> str:
        first = self.nodeTypes[0] if self.nodeTypes else ""
        return self.baseName or first.removeprefix("vtkMRML").removesuffix("Node")

    # ---- what is chosen ---------------------------------------------------------------------------------

    def _activated(self, index: int) -> None:
        if index >= len(self._ids):
            node = self.addNode()
            self.nodeAddedByUser.emit(node)
        else:
            self._choose(self._ids[index])
        self.nodeActivated.emit(self.currentNode())

    def _choose(self, node_id: str) -> None:
        changed = node_id != self._current
        self._current = node_id
        self._box.setCurrentIndex(self._ids.index(node_id) if node_id in self._ids else -1)
        if changed:
            node = self.currentNode()
            self.currentNodeChanged.emit(node)
            self.currentNodeValid.emit(node is not None)
            self.currentNodeIDChanged.emit(node_id)

    def addNode(self, node_type: str | None = None) -> Any:
        name = self._scene.GenerateUniqueName(self._tag())
        node = self._scene.AddNewNodeByClass(node_type or self.nodeTypes[0], name)
        if self.selectNodeUponCreation:
            self._choose(node.GetID())
        self.nodeAdded.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        node = self.currentNode()
        if node is not None:
            self._scene.RemoveNode(node)

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def nodeCount(self) -> int:
        return sum(bool(node_id) for node_id in self._ids)

    def nodeFromIndex(self, index: int) -> Any:
        node_id = [entry for entry in self._ids if entry][index]
        return self._scene.GetNodeByID(node_id)

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        wanted = node_id or ""
        # A node that is not listed cannot be chosen, and an empty choice stands only where there is a "None".
        self._choose(wanted if wanted in self._ids or not wanted else self._current)

    def setCurrentNodeIndex(self, index: int) -> None:
        node = self.nodeFromIndex(index)
        self.setCurrentNode(node)

    def _listing_changed(self) -> None:
        self._refresh()

    currentNodeID = Property(
        str, lambda self: self._current, lambda self, node_id: self.setCurrentNodeID(node_id)
    )
    nodeTypes = field("QStringList", "nodeTypes", [], _listing_changed)
    hideChildNodeTypes = field("QStringList", "hideChildNodeTypes", [], _listing_changed)
    showChildNodeTypes = field(bool, "showChildNodeTypes", True, _listing_changed)
    showHidden = field(bool, "showHidden", False, _listing_changed)
    noneEnabled = field(bool, "noneEnabled", False, _listing_changed)
    noneDisplay = field(str, "noneDisplay", "None", _listing_changed)
    addEnabled = field(bool, "addEnabled", True, _listing_changed)
    removeEnabled = field(bool, "removeEnabled", True)
    renameEnabled = field(bool, "renameEnabled", False)
    editEnabled = field(bool, "editEnabled", False)
    baseName = field(str, "baseName", "", _listing_changed)
    selectNodeUponCreation = field(bool, "selectNodeUponCreation", True)
    interactionNodeSingletonTag = field(str, "interactionNodeSingletonTag", "")


@stand_in
class qMRMLColorTableComboBox(qMRMLNodeComboBox):
    """Chooses a colour table."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.nodeTypes = ["vtkMRMLColorTableNode"]
        self.setFocusPolicy(QtCore.Qt.StrongFocus)
