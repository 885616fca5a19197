"""Where the brain is: networks that were trained on a box about it are shown the same box of every scan.

A network with instance norms sees the air and the neck around a head in its statistics, so a head in a field of view
of another size than in training is segmented worse. A first, rough segmentation of the whole scan finds the brain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SynthSegPlusLib.inference._components import largest_component

SMALLEST_BRAIN_MM3 = 1e5
"""Less than this is no brain: the whole scan is shown to the networks."""

CUT_PERCENT = 1.0
"""Share of the brain's voxels left out at either end of an axis before its middle is taken: stray ones do not count."""
REACH_PERCENT = 0.1
"""The same before it is asked how far the brain reaches from there."""
MARGIN_MM = 6.0
"""A box ends no nearer to the brain than this."""
LARGEST_GROWTH_MM = 32
"""A box becomes no larger than the set's by more than this along an axis: what lies further out is no brain."""


class BrainBox(NamedTuple):
    """A box about a brain: its middle (RAS, mm) and its sides (R, A, S, mm)."""

    centre: tuple[float, float, float]
    view_mm: tuple[int, int, int]


def brain_box(foreground: np.ndarray, affine: np.ndarray, view_mm: tuple[int, int, int]) -> BrainBox | None:
    """The box about the brain; None where there is no brain, or it is larger than the view.

    Its sides are those of ``view_mm``, the box that the networks saw in training, or more where the brain ends less
    than `MARGIN_MM` from it or beyond.

    foreground: bool [X, Y, Z] of a first segmentation, axes in R, A, S order; affine: its voxels to RAS in mm.
    """
    voxel, view = np.abs(np.diag(affine)[:3]), np.array(view_mm)
    brain = largest_component(foreground)
    if np.count_nonzero(brain) * voxel.prod() < SMALLEST_BRAIN_MM3:
        return None
    limits = _limits(brain, CUT_PERCENT)
    if ((limits[:, 1] - limits[:, 0] + 1) * voxel > view).any():
        return None
    middle = limits.mean(axis=1)
    outer = _limits(brain, REACH_PERCENT) + np.array([-0.5, 0.5])
    needed = 2 * (np.abs(outer - middle[:, None]).max(axis=1) * voxel + MARGIN_MM)
    sides = np.clip(np.ceil(needed), view, view + LARGEST_GROWTH_MM)
    x, y, z = (affine @ np.array([*middle, 1.0]))[:3]
    return BrainBox((float(x), float(y), float(z)), (int(sides[0]), int(sides[1]), int(sides[2])))


def _limits(brain: np.ndarray, cut_percent: float) -> np.ndarray:
    """First and last plane along each axis [3, 2] between which all but the outermost voxels lie."""
    return np.array([_limits_along(brain, axis, cut_percent) for axis in range(3)])


def _limits_along(brain: np.ndarray, axis: int, cut_percent: float) -> tuple[int, int]:
    counts = brain.sum(axis=tuple(other for other in range(3) if other != axis)).cumsum()
    cut = counts[-1] * cut_percent / 100
    return int(np.searchsorted(counts, cut, side="right")), int(np.searchsorted(counts, counts[-1] - cut))
