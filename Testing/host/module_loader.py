"""Loading of a scripted module's file, and the object that Slicer keeps for it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QObject

from .widgets._registry import field
from .widgets.qmrml_base import qSlicerScriptedLoadableModuleWidget


class ScriptedModule(QObject):
    """`slicer.modules.<name>`: stands in for `qSlicerScriptedLoadableModule`."""

    # The properties of qSlicerAbstractCoreModule and qSlicerScriptedLoadableModule.
    title = field(str, "title", "")
    categories = field("QStringList", "categories", [])
    dependencies = field("QStringList", "dependencies", [])
    contributors = field("QStringList", "contributors", [])
    associatedNodeTypes = field("QStringList", "associatedNodeTypes", [])
    helpText = field(str, "helpText", "")
    acknowledgementText = field(str, "acknowledgementText", "")
    hidden = field(bool, "hidden", False)
    widgetRepresentationCreationEnabled = field(bool, "widgetRepresentationCreationEnabled", True)
    index = field(int, "index", -1)
    icon = field(QtGui.QIcon, "icon", None)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.name = str(path), path.stem
        self._python: Any = None
        self._module: Any = None
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None
        self._logic: Any = None

    def load(self) -> None:
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location(self.name, self.path)
        assert spec is not None
        assert spec.loader is not None
        self._module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = self._module
        spec.loader.exec_module(self._module)
        self._python = getattr(self._module, self.name)(self)
        setattr(slicer.modules, f"{self.name}Instance", self._python)
        setattr(slicer.modules, self.name.lower(), self)

    def self(self) -> Any:  # noqa: F811 - the name that Slicer gives it
        return self._python

    def logic(self) -> Any:
        """Slicer gives a C++ object without the module's functions; scripts make their own `<Name>Logic()`."""
        return self._logic

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        holder = qSlicerScriptedLoadableModuleWidget()
        holder.setLayout(QtWidgets.QVBoxLayout())
        holder.setMRMLScene(slicer.mrmlScene)
        holder._python = getattr(sys.modules[self.name], f"{self.name}Widget")(holder)
        setattr(slicer.modules, f"{self.name}Widget", holder._python)
        holder._python.setup()
        return holder

    def enter(self) -> Any:
        """Open the module's panel, as the user does. Returns the Python widget."""
        holder = self.widgetRepresentation()
        if not holder._entered:
            holder._entered = True
            holder._python.enter()
        return holder._python

    def leave(self) -> None:
        if self._widget is not None and self._widget._entered:
            self._widget._entered = False
            self._widget._python.exit()

    def unload(self) -> None:
        """What happens when Slicer ends: the panel is told, and goes. It can be opened anew."""
        if self._widget is None:
            return
        self.leave()
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.name)
        widget, self._widget = self._widget, None
        delattr(slicer.modules, f"{self.name}Widget")
        widget.deleteLater()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
