"""What earlier scans took on this machine, from the records that lie beside their results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ENOUGH = 20
"""So many records tell what a scan takes; a folder may hold thousands."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """How a forecast compares with what was measured: factors on seconds and bytes, from `count` scans."""

    count: int
    seconds: float
    memory: float
    device: str


def earlier(
    records: Iterable[Path], request: Mapping[str, Any], device: str,
    forecast: Callable[[Shape, Shape, Shape], tuple[float, float]],
) -> Measured | None:
    """Compare records of scans that were done here with the same request; None where there is none.

    Parameters
    ----------
    device
        As asked for: "gpu", "cuda" and "mps" are the first GPU, "auto" takes what the records say.
    forecast
        (seconds, bytes) of a scan from its working grid, its output grid and its own.
    """
    wanted, times, sizes, devices = json.loads(json.dumps(request)), [], [], []
    for path in records:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            run = content["run"]
            if content["request"] != wanted or not _here(run) or not _is_on(device, run):
                continue
            shapes = run["grid"]["working"], run["grid"]["output"], run["input"]["shape"][:3]
            seconds, needed = forecast(*(tuple(shape) for shape in shapes))
            times.append(sum(stage["wall_s"] for stage in run["timings"].values()) / seconds)
            sizes.append(run["peak_memory_bytes"] / needed)
            devices.append(run["device"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another program's file, or a record of an older version
        if len(times) == ENOUGH:
            break
    return Measured(len(times), median(times), median(sizes), devices[0]) if times else None


def _is_on(device: str, run: Mapping[str, Any]) -> bool:
    """Whether a scan was done on the device that is asked for; records say "cpu" or "gpu:0", whatever its kind."""
    kind, _, number = device.lower().partition(":")
    return kind == "auto" or run["device"] == ("cpu" if kind == "cpu" else f"gpu:{number or 0}")


def _here(run: Mapping[str, Any]) -> bool:
    return run["platform"] == platform.platform() and run["processors"] == os.cpu_count()
