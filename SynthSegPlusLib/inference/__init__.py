"""From a scan to labels, volumes and verdicts: model sets, the cascade, postprocessing, the worker and its client.

The names below are loaded when first used: Slicer's own process uses the client and lists model sets
without any deep-learning or imaging package installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "ModelSet": "SynthSegPlusLib.inference.model_set",
    "Result": "SynthSegPlusLib.inference.result",
    "Role": "SynthSegPlusLib.inference.model_set",
    "Segmenter": "SynthSegPlusLib.inference.segmenter",
    "WorkerClient": "SynthSegPlusLib.inference.client",
    "model_sets": "SynthSegPlusLib.inference._find",
    "survey": "SynthSegPlusLib.inference._find",
}

__all__ = ["ModelSet", "Result", "Role", "Segmenter", "WorkerClient", "model_sets", "survey"]

if TYPE_CHECKING:
    from SynthSegPlusLib.inference._find import model_sets, survey
    from SynthSegPlusLib.inference.client import WorkerClient
    from SynthSegPlusLib.inference.model_set import ModelSet, Role
    from SynthSegPlusLib.inference.result import Result
    from SynthSegPlusLib.inference.segmenter import Segmenter


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
