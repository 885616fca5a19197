"""`qt.QUiLoader` that makes stand-ins for Slicer's widgets and connections that carry MRML objects."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from .pythonqt import normalized, qt, signal_signatures
from .widgets import STAND_INS

# Loaded widgets and what C++ owns of them: PySide6 forgets Python-made children that nobody holds.
_held: dict[int, list[QtWidgets.QWidget]] = {}


class UiLoader(QtUiTools.QUiLoader):
    """Loads a `.ui` file. An unknown widget class is an error here; Qt would silently make a plain QWidget."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._made: list[QtWidgets.QWidget] = []
        self._unknown: list[str] = []

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> QtWidgets.QWidget:
        if class_name in STAND_INS:
            widget = STAND_INS[class_name](parent)
            widget.setObjectName(name)
        else:
            if not hasattr(QtWidgets, class_name) and class_name != "Line":
                self._unknown.append(class_name)
            widget = super().createWidget(class_name, parent, name)
        self._made.append(widget)
        return widget

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        root = ElementTree.fromstring(bytes(device.readAll().data()))
        connections = _take_mrml_connections(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        self._made, self._unknown = [], []
        widget = super().load(buffer, parent)
        if self._unknown:
            raise RuntimeError(f"The test host has no stand-in for {', '.join(sorted(set(self._unknown)))}.")
        for connection in connections:
            _connect(widget, *connection)
        key = id(widget)
        _held[key] = [*self._made, widget]
        widget.destroyed.connect(lambda *_: _held.pop(key, None))
        return widget


def _take_mrml_connections(root: ElementTree.Element) -> list[tuple[str, str, str, str]]:
    """(sender, signal, receiver, slot) of the connections that carry MRML objects, taken out of the document."""
    taken = []
    for block in root.iter("connections"):
        for connection in list(block):
            sender, signal, receiver, slot = (
                connection.findtext(tag, "") for tag in ("sender", "signal", "receiver", "slot")
            )
            if "vtkMRML" in signal:
                taken.append((sender, signal, receiver, slot))
                block.remove(connection)
    return taken


def _connect(root: QtWidgets.QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    source, target = (_named(root, name) for name in (sender, receiver))
    if normalized(signal) not in signal_signatures(source):
        raise RuntimeError(f"{sender} ({source.metaObject().className()}) has no signal {signal}.")
    function = getattr(target, slot.split("(")[0], None)
    if function is None:
        raise RuntimeError(f"{receiver} ({target.metaObject().className()}) has no slot {slot}.")
    getattr(source, signal.split("(")[0]).connect(function)


def _named(root: QtWidgets.QWidget, name: str) -> QtWidgets.QWidget:
    found = root if root.objectName() == name else root.findChild(QtWidgets.QWidget, name)
    if found is None:
        raise RuntimeError(f"The .ui file connects {name}, which it does not have.")
    return found


qt.QUiLoader = UiLoader
