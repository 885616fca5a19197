"""Brains with cortical parcels, and label maps without, brought to one description for registration.

A `Brain` holds, on a 1 mm RAS grid, the number 1..34 of each parcel (sides apart from the cortex label) and the
structures that all brains have in common.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.labels import parcels

CORTEX = {"left": 3, "right": 42}
SUBCORTEX = (10, 11, 12, 13, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58, 16)
"""What every brain has: thalamus, caudate, putamen, pallidum, hippocampus, amygdala, accumbens, brain-stem."""
_NAMES = {
    "thalamusproper": (10, 49), "caudate": (11, 50), "putamen": (12, 51), "pallidum": (13, 52),
    "hippocampus": (17, 53), "amygdala": (18, 54), "accumbensarea": (26, 58), "brainstem": (16, 16),
}  # fmt: skip
_MIN_PARCELS = 30


@dataclass(frozen=True)
class Brain:
    """Structures (FreeSurfer values; cortex 3 and 42) and parcel numbers 1..34 (0 outside, None if unknown), 1 mm."""

    name: str
    structures: np.ndarray
    parcels: np.ndarray | None = None

    @cached_property
    def extended(self) -> dict[str, np.ndarray]:
        """For each side, its parcel numbers carried to every voxel by the nearest (uint8)."""
        parcels = 0 if self.parcels is None else self.parcels
        return {
            side: fill_nearest(np.where(self.structures == value, parcels, 0).astype(np.uint8))
            for side, value in CORTEX.items()
        }


def fill_nearest(parcels: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Every voxel (or those in ``where``) gets the nearest non-zero parcel number."""
    from scipy import ndimage

    index = ndimage.distance_transform_edt(parcels == 0, return_distances=False, return_indices=True)
    filled = parcels[tuple(index)]
    return filled if where is None else np.where(where, filled, 0).astype(parcels.dtype)


def parcel_names() -> tuple[str, ...]:
    """Names of parcels 1..34 without side, in the order of the parcel table."""
    return tuple(label.name.removeprefix("ctx-lh-") for label in parcels().select("left"))


def brain_from_freesurfer(name: str, values: np.ndarray) -> Brain:
    """From aparc+aseg values [x, y, z] (1001... left, 2001... right); `InputError` without parcels."""
    structures, numbers = np.where(np.isin(values, SUBCORTEX), values, 0), np.zeros(values.shape, np.uint8)
    for side in ("left", "right"):
        for label in parcels().select(side):
            left = label.value if side == "left" else label.partner
            here = values == label.value
            numbers[here] = parcels().channel(left)
            structures[here] = CORTEX[side]
    return _checked(Brain(name, structures.astype(np.uint8), numbers))


def brain_from_table(name: str, values: np.ndarray, table: Path) -> Brain:
    """From values [x, y, z] and a CSV of id, label, hemisphere (L, R or B)."""
    numbers_of = {parcel: number for number, parcel in enumerate(parcel_names(), 1)}
    structures, numbers = np.zeros(values.shape, np.uint8), np.zeros(values.shape, np.uint8)
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            here, right = values == int(row["id"]), row["hemisphere"] == "R"
            if row["label"] in numbers_of:
                numbers[here] = numbers_of[row["label"]]
                structures[here] = CORTEX["right" if right else "left"]
            elif row["label"] in _NAMES:
                structures[here] = _NAMES[row["label"]][right]
    return _checked(Brain(name, structures, numbers))


def _checked(brain: Brain) -> Brain:
    found = 0 if brain.parcels is None else len(np.unique(brain.parcels)) - 1
    if found < _MIN_PARCELS:
        raise InputError(f"{brain.name} has {found} cortical parcels; give a brain with the 34 of Desikan-Killiany.")
    return brain


def target_from_label_map(name: str, values: np.ndarray) -> Brain:
    """A training label map (values [x, y, z]) as a registration target."""
    keep = np.isin(values, (*SUBCORTEX, *CORTEX.values()))
    return Brain(name, np.where(keep, values, 0).astype(np.uint8))


def crop(brain: Brain, margin: int = 10) -> tuple[Brain, tuple[slice, ...]]:
    """The brain cut to its bounding box plus a margin (voxels), and that box."""
    where = np.argwhere(brain.structures > 0)
    low = np.maximum(where.min(0) - margin, 0)
    high = np.minimum(where.max(0) + 1 + margin, brain.structures.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    inside = None if brain.parcels is None else brain.parcels[box]
    return Brain(brain.name, brain.structures[box], inside), box
