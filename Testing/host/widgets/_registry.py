"""Where stand-ins are known by the class name that a `.ui` file gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from ..pythonqt import ctk

STAND_INS: dict[str, type[QtWidgets.QWidget]] = {}


def stand_in(cls: type) -> type:
    """Make a class known to the UI loader, and in `ctk` or `slicer`, whichever has it in Slicer."""
    STAND_INS[cls.__name__] = cls
    setattr(ctk if cls.__name__.startswith("ctk") else slicer, cls.__name__, cls)
    return cls


def field(kind: Any, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> QtCore.Property:
    """A Qt property that keeps its value in the object; `changed(self)` is called after an assignment."""
    attribute = f"_{name}"

    def read(self: Any) -> Any:
        return self.__dict__.get(attribute, default)

    def write(self: Any, value: Any) -> None:
        self.__dict__[attribute] = value
        if changed is not None:
            changed(self)

    return QtCore.Property(kind, read, write)
