"""Widgets that hold a scene: `qMRMLWidget` and what a scripted module's panel lies in."""

from __future__ import annotations

import weakref
from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal

from ._registry import stand_in


class SceneObservers:
    """Observers on VTK objects that die with their owner and do not keep it alive."""

    def __init__(self, owner: QtCore.QObject) -> None:
        self._tags: list[tuple[Any, int]] = []
        tags = self._tags
        owner.destroyed.connect(lambda *_: _remove(tags))

    def add(self, subject: Any, event: Any, method: Any) -> None:
        reference = weakref.WeakMethod(method)

        def call(*_: Any) -> None:
            alive = reference()
            if alive is not None:
                alive()

        self._tags.append((subject, subject.AddObserver(event, call)))

    def clear(self) -> None:
        _remove(self._tags)


def _remove(tags: list[tuple[Any, int]]) -> None:
    while tags:
        subject, tag = tags.pop()
        subject.RemoveObserver(tag)


@stand_in
class qMRMLWidget(QtWidgets.QWidget):
    """A widget with a scene. Only widgets that are connected to `mrmlSceneChanged` hear of it, as in Slicer."""

    mrmlSceneChanged = Signal(object)
    SIGNALS = ("mrmlSceneChanged(vtkMRMLScene*)",)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


@stand_in
class qSlicerWidget(qMRMLWidget):
    """The base of module panels."""


@stand_in
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The widget that holds a scripted module's panel; `self()` is the Python object."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._python: Any = None
        self._entered = False

    def self(self) -> Any:  # noqa: F811 - the name that Slicer gives it
        return self._python

    def isEntered(self) -> bool:
        return self._entered
