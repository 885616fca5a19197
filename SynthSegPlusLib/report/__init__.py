"""Pictures of a result, and its volumes as a table of text. Loaded when first used, so that a table needs no
matplotlib."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "Subject": "SynthSegPlusLib.report.picture",
    "draw_pictures": "SynthSegPlusLib.report.picture",
    "qc_path": "SynthSegPlusLib.report.picture",
    "volumes_table": "SynthSegPlusLib.report.text",
    "write_pictures": "SynthSegPlusLib.report.picture",
}

__all__ = ["Subject", "draw_pictures", "qc_path", "volumes_table", "write_pictures"]

if TYPE_CHECKING:
    from SynthSegPlusLib.report.picture import Subject, draw_pictures, qc_path, write_pictures
    from SynthSegPlusLib.report.text import volumes_table


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
