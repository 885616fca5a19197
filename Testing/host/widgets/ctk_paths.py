"""Widgets that choose files and folders, message boxes, and grabbing of pictures."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from ..pythonqt import ctk
from ._registry import field, stand_in


@stand_in
class ctkPathLineEdit(QtWidgets.QWidget):
    """A line with a path, a history and a button to browse."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    SIGNALS = ("currentPathChanged(QString)", "validInputChanged(bool)")
    # QDir's flags, as in the C++ enumeration.
    Dirs, Files, Drives, NoSymLinks = 1, 2, 4, 8
    Readable, Writable, Executable, Hidden, System = 0x10, 0x20, 0x40, 0x100, 0x200

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QtWidgets.QComboBox(self)
        self._line.setEditable(True)
        self._line.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
        self._line.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        self._button.clicked.connect(self.browse)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line)
        row.addWidget(self._button)
        self._valid = False
        self._line.editTextChanged.connect(self._edited)

    def _edited(self, path: str) -> None:
        valid = bool(path) and Path(path).exists()
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)
        self.currentPathChanged.emit(path)

    def setCurrentPath(self, path: str) -> None:
        if path != self._line.currentText():
            self._line.setEditText(path or "")

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._line

    def addCurrentPathToHistory(self) -> None:
        path = self._line.currentText()
        if path and self._line.findText(path) < 0:
            self._line.insertItem(0, path)

    def retrieveHistory(self) -> None:
        """The host keeps no history between runs."""

    def browse(self) -> None:
        if self.filters & self.Files:
            path, _ = QtWidgets.QFileDialog.getOpenFileName(self, self.label, self.currentPath)
        else:
            path = QtWidgets.QFileDialog.getExistingDirectory(self, self.label, self.currentPath)
        if path:
            self.setCurrentPath(path)

    currentPath = Property(str, lambda self: self._line.currentText(), lambda self, path: self.setCurrentPath(path))
    filters = field(int, "filters", 2)
    label = field(str, "label", "")
    nameFilters = field("QStringList", "nameFilters", [])
    settingKey = field(str, "settingKey", "")
    minimumContentsLength = field(int, "minimumContentsLength", 0)
    showHistoryButton = field(bool, "showHistoryButton", True)
    showBrowseButton = Property(
        bool, lambda self: not self._button.isHidden(), lambda self, shown: self._button.setVisible(shown)
    )


@stand_in
class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and lets one choose another."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)
    SIGNALS = ("directoryChanged(QString)", "directorySelected(QString)")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._button = QtWidgets.QPushButton(self)
        self._button.clicked.connect(self.browse)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._button)
        self._folder = ""
        self._write_directory(".")

    def _write_directory(self, path: str) -> None:
        folder = QtCore.QDir(path or ".").absolutePath()
        if folder != self._folder:
            self._folder = folder
            self._button.setText(self.text or folder)
            self.directoryChanged.emit(folder)

    def browse(self) -> str:
        path = QtWidgets.QFileDialog.getExistingDirectory(self, self.caption, self._folder)
        if path:
            self._write_directory(path)
            self.directorySelected.emit(path)
        return path

    directory = Property(str, lambda self: self._folder, lambda self, path: self._write_directory(path))
    caption = field(str, "caption", "")
    text = field(str, "text", "")
    acceptMode = field(int, "acceptMode", 0)


@stand_in
class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box with "don't show again"."""

    dontShowAgain = field(bool, "dontShowAgain", False)
    dontShowAgainVisible = field(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = field(str, "dontShowAgainSettingsKey", "")


class ctkWidgetsUtils:
    """`ctk.ctkWidgetsUtils`: pictures of widgets."""

    @staticmethod
    def grabWidget(widget: QtWidgets.QWidget, rectangle: QtCore.QRect | None = None) -> QtGui.QImage:
        return widget.grab().toImage() if rectangle is None else widget.grab(rectangle).toImage()


ctk.ctkWidgetsUtils = ctkWidgetsUtils
