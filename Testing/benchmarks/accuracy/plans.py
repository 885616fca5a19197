"""Which test scans are made, and in which order, so that a run that stops early is still balanced."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

TEST_MAPS = ("17", "18", "19", "20")
CONTRASTS = ("T1", "T2", "FLAIR", "PD", "DBS", "random")
SPACINGS = ((1, None), *((spacing, axis) for spacing in (3, 5, 7) for axis in range(3)))
"""(spacing in mm, axis): 1 mm, and 3, 5, 7 mm sagittal, coronal, axial."""
ORIENTATIONS = {None: "", 0: "sagittal", 1: "coronal", 2: "axial"}
SERIES = (
    ("18", "18", 0.0), ("20", "20", 0.0), ("17", "17", 0.0), ("19", "19", 0.0),
    ("18b", "18", 0.95), ("20b", "20", 0.95), ("17b", "17", 0.95), ("19b", "19", 0.95),
)  # fmt: skip
"""The contrast series, in order: name, map, and how alike all fluid is in the named contrasts. Each is one anatomy in
every contrast. The first four are older than the generator's knowledge that ventricles and horns hold one fluid."""
SUBSETS = {"synthetic": 24, "contrast": 6, "degraded": 100, "quality": 48}
"""How many scans of each part are enough on a CPU."""
DEGRADED = Path(__file__).with_name("degraded.toml")
SYNTHETIC_SEED, CONTRAST_SEED = 5000, 6000


@dataclass(frozen=True)
class Planned:
    """One scan to make. ``seed`` decides contrast, noise and bias, ``shape_seed`` the anatomy; ``fluid_alike`` is the
    generator's.
    """

    part: str
    name: str
    map_id: str
    contrast: str
    spacing: float | None
    axis: int | None
    seed: tuple[int, ...]
    shape_seed: tuple[int, ...]
    fluid_alike: float = 0.0


def balanced(cells: Sequence[tuple[Hashable, ...]]) -> list[int]:
    """Order of ``cells`` (each a tuple of factor levels) in which every beginning is balanced.

    The next cell is always one whose levels, and then whose pairs of levels, were used least so far; the first on
    ties.
    """
    single: Counter[tuple[int, Hashable]] = Counter()
    double: Counter[tuple[int, int, Hashable, Hashable]] = Counter()
    left, order = list(range(len(cells))), []
    while left:
        def used(number: int) -> tuple[int, int, int]:
            cell = cells[number]
            ones = [single[one] for one in enumerate(cell)]
            return sum(ones), sum(double[pair] for pair in _pairs(cell)), number

        best = min(left, key=used)
        left.remove(best)
        order.append(best)
        single.update(enumerate(cells[best]))
        double.update(_pairs(cells[best]))
    return order


def _pairs(cell: tuple[Hashable, ...]) -> list[tuple[int, int, Hashable, Hashable]]:
    return [(a, b, cell[a], cell[b]) for a, b in combinations(range(len(cell)), 2)]


def synthetic_plan() -> list[Planned]:
    """All 240 combinations of map, contrast, spacing and orientation; every scan has an anatomy of its own."""
    cells = [(one, contrast, *spacing) for one in TEST_MAPS for contrast in CONTRASTS for spacing in SPACINGS]
    found = []
    for number in balanced(cells):
        one, contrast, spacing, axis = cells[number]
        name = f"map{one}_{contrast}_{spacing}mm{'_' + ORIENTATIONS[axis] if axis is not None else ''}"
        seed = (SYNTHETIC_SEED, number)
        found.append(Planned("synthetic", name, one, contrast, float(spacing), axis, seed, seed))
    return found


def contrast_plan() -> list[Planned]:
    """Series of one anatomy at 1 mm in every contrast, one series after the other."""
    return [
        Planned("contrast", f"series{name}_{contrast}", map_id, contrast, 1.0, None,
                (CONTRAST_SEED, series, number), (CONTRAST_SEED, series), alike)
        for series, (name, map_id, alike) in enumerate(SERIES) for number, contrast in enumerate(CONTRASTS)
    ]  # fmt: skip


def degraded_settings() -> dict[str, Any]:
    """The committed description of the strongly degraded scans."""
    return tomllib.loads(DEGRADED.read_text(encoding="utf-8"))


def degraded_plan() -> list[Planned]:
    """The strongly degraded scans, the test maps in turn; their spacing is drawn when they are made."""
    scans = degraded_settings()["scans"]
    maps, found = scans["maps"], []
    for number in range(scans["count"]):
        one, seed = maps[number % len(maps)], (scans["seed"], number)
        found.append(Planned("degraded", f"degraded{number:03}_map{one}", one, "", None, None, seed, seed))
    return found


def quality_plan() -> list[Planned]:
    """The same scans, for the set's scores: it is run as users run it, mirror images and all."""
    return [replace(one, part="quality") for one in degraded_plan()]


PLANS = {
    "synthetic": synthetic_plan, "contrast": contrast_plan, "degraded": degraded_plan, "quality": quality_plan,
}  # fmt: skip
STRONGLY_DEGRADED = ("degraded", "quality")
