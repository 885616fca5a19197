"""Runs the engine with networks that earlier tests have loaded: compiling them is what takes the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference.result import Result
from SynthSegPlusLib.volume import Volume
from Testing.inference.tiny import scan

_latest: dict[Path, Segmenter] = {}


def segment(folder: Path, volume: Volume | None = None, **options: Any) -> Result:
    """Segment ``volume`` (a toy head by default) with the model set of ``folder``; ``options`` as `Segmenter`'s."""
    segmenter = Segmenter(ModelSet.load(folder), device="cpu", keep_networks=True, **options)
    if folder in _latest:
        segmenter.take_networks_of(_latest[folder])
    _latest[folder] = segmenter
    return segmenter.segment(volume or scan())


def forget() -> None:
    """Let the next run load its networks anew."""
    _latest.clear()
