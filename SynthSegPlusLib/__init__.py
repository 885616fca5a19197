"""SynthSegPlus: segmentation of brain MRI of any contrast and resolution, with quality control.

The names below are loaded when they are first used, so that importing the package costs nothing
and works where no deep-learning framework is installed (Slicer's own process).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "ModelSet": "SynthSegPlusLib.inference",
    "Result": "SynthSegPlusLib.inference",
    "Segmenter": "SynthSegPlusLib.inference",
    "SegmentOptions": "SynthSegPlusLib.contract",
    "Volume": "SynthSegPlusLib.volume",
}

__all__ = ["ModelSet", "Result", "SegmentOptions", "Segmenter", "Volume", "__version__"]

if TYPE_CHECKING:
    from SynthSegPlusLib.contract import SegmentOptions
    from SynthSegPlusLib.inference import ModelSet, Result, Segmenter
    from SynthSegPlusLib.volume import Volume


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
