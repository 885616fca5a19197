"""The window that a person sees: the module's panel at the left, the views at the right."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

PANEL_WIDTH = 460


def make_window(panel: QtWidgets.QWidget, layout: Any, size: tuple[int, int]) -> QtWidgets.QMainWindow:
    """Slicer's main window in small. `layout` may be None (no views)."""
    window = QtWidgets.QMainWindow()
    window.setObjectName("qSlicerMainWindow")
    window.setWindowTitle("SynthSegPlus in the test host")
    scroll = QtWidgets.QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QtWidgets.QFrame.NoFrame)
    scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
    scroll.setWidget(panel)
    if layout is None:
        window.setCentralWidget(scroll)
    else:
        parts = QtWidgets.QSplitter(QtCore.Qt.Horizontal)
        parts.addWidget(scroll)
        parts.addWidget(layout.viewport())
        parts.setStretchFactor(1, 1)
        parts.setSizes([PANEL_WIDTH, max(size[0] - PANEL_WIDTH, 1)])
        window.setCentralWidget(parts)
    window.statusBar()
    window.resize(*size)
    window.show()
    return window
