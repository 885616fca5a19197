"""`slicer.app`: the part of `qSlicerApplication` that scripted modules use."""

from __future__ import annotations

import os
import platform
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, QObject, Signal

from .core import Core
from .io_manager import IOManager

SLICER_VERSION = "5.13.0"


class FactoryManager:
    """Which modules there are."""

    def __init__(self, names: Callable[[], list[str]]) -> None:
        self.loadedModuleNames = names


class ModuleManager(QObject):
    """`slicer.app.moduleManager()`."""

    moduleAboutToBeUnloaded = Signal(str)
    SIGNALS = ("moduleAboutToBeUnloaded(QString)",)

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, Any] = {}

    def add(self, module: Any) -> None:
        self._modules[module.name] = module

    def module(self, name: str) -> Any:
        return self._modules.get(name)

    def factoryManager(self) -> FactoryManager:
        return FactoryManager(lambda: list(self._modules))


class Application(QObject):
    """One for each process, after a `QApplication` exists.

    `testing` decides whether message boxes are shown or only logged, as in Slicer.
    """

    startupCompleted = Signal()
    aboutToQuit = Signal()
    SIGNALS = ("startupCompleted()", "aboutToQuit()", "lastWindowClosed()")

    def __init__(self, core: Core, testing: bool = True) -> None:
        super().__init__()
        self._core, self._testing = core, testing
        self._io = IOManager(core)
        self._manager = ModuleManager()
        for module in core.modules.values():
            self._manager.add(module)
        self._layout: Any = None
        self._settings = QtCore.QSettings()
        self._settings_file = self._settings.fileName()
        self._render_pauses = 0
        self._options = types.SimpleNamespace(runPythonAndExit=False, noMainWindow=True)
        self.exit_status: int | None = None
        self._start_environment = QtCore.QProcessEnvironment.systemEnvironment()

    # ---- names and places -------------------------------------------------------------------------------

    applicationName = Property(str, lambda self: "Slicer")
    applicationVersion = Property(str, lambda self: SLICER_VERSION)
    majorVersion = Property(int, lambda self: int(SLICER_VERSION.split(".")[0]))
    minorVersion = Property(int, lambda self: int(SLICER_VERSION.split(".")[1]))
    revision = Property(str, lambda self: "0")
    repositoryRevision = Property(str, lambda self: "0")
    os = Property(str, lambda self: {"win32": "win", "darwin": "macosx"}.get(sys.platform, "linux"))
    arch = Property(str, lambda self: platform.machine().lower())
    platform = Property(str, lambda self: f"{self.os}-{self.arch}")
    temporaryPath = Property(str, lambda self: str(self._core.folder / "temporary"))
    slicerHome = Property(str, lambda self: str(self._core.folder))
    slicerUserSettingsFilePath = Property(str, lambda self: self._settings_file)
    extensionsInstallPath = Property(str, lambda self: str(self._core.folder / "Extensions"))
    cachePath = Property(str, lambda self: str(self._core.folder / "cache"))
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/en/latest/")

    def testingEnabled(self) -> bool:
        return self._testing

    def setTestingEnabled(self, enabled: bool) -> None:
        self._testing = bool(enabled)

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def commandOptions(self) -> types.SimpleNamespace:
        return self._options

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return self._start_environment

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    settings = revisionUserSettings = userSettings

    # ---- parts ------------------------------------------------------------------------------------------

    def mrmlScene(self) -> Any:
        return self._core.scene

    def applicationLogic(self) -> Any:
        return self._core.application_logic

    def coreIOManager(self) -> IOManager:
        return self._io

    ioManager = coreIOManager

    def moduleManager(self) -> ModuleManager:
        return self._manager

    def moduleLogic(self, name: str) -> Any:
        module = self._manager.module(name)
        return module.logic() if module else None

    def layoutManager(self) -> Any:
        """None when there are no views, as without a main window."""
        return self._layout

    def setLayoutManager(self, layout: Any) -> None:
        self._layout = layout

    def translate(self, context: str, text: str) -> str:
        return QtCore.QCoreApplication.translate(context, text)

    # ---- events and rendering ---------------------------------------------------------------------------

    def processEvents(self, *arguments: Any) -> None:
        QtWidgets.QApplication.processEvents(*arguments)

    def pauseRender(self) -> None:
        self._render_pauses += 1

    def resumeRender(self) -> None:
        if self._render_pauses == 0:
            raise RuntimeError("resumeRender was called more often than pauseRender.")
        self._render_pauses -= 1
        if self._render_pauses == 0 and self._layout is not None:
            self._layout.schedule_render()

    def rendering_paused(self) -> bool:
        return self._render_pauses > 0

    def setOverrideCursor(self, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(QtGui.QCursor(cursor))

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def topLevelWidgets(self) -> list[QtWidgets.QWidget]:
        return QtWidgets.QApplication.topLevelWidgets()

    def clipboard(self) -> QtGui.QClipboard:
        return QtGui.QGuiApplication.clipboard()

    def palette(self) -> QtGui.QPalette:
        return QtWidgets.QApplication.palette()

    def exit(self, status: int = 0) -> None:
        self.exit_status = status
        QtWidgets.QApplication.exit(status)

    def restart(self) -> None:
        raise RuntimeError("The test host does not restart.")

    def pythonConsole(self) -> None:
        return None


def make_python_slicer(folder: Path) -> Path:
    """Put a `PythonSlicer` that runs this Python on PATH, as Slicer has one. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        launcher = folder / "PythonSlicer.bat"
        launcher.write_text(f'@"{sys.executable}" %*\r\n', encoding="utf-8")
    else:
        launcher = folder / "PythonSlicer"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        launcher.chmod(0o755)
    if str(folder) not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = str(folder) + os.pathsep + os.environ.get("PATH", "")
    return launcher
