"""Where the brain is: networks that were trained on a box about it are shown such a box of every scan.

A network with instance norms sees the air and the neck around a head in its statistics, so a head in a field of view
of another size than in training is segmented worse. A first, rough segmentation of the whole scan finds the brain. Only
one that comes too near to the sides of the box gets a larger one, for a brain that is cut is worse still.
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


def brain_box(
    foreground: np.ndarray, tissue: np.ndarray, affine: np.ndarray, view_mm: tuple[int, int, int],
    inner: tuple[slice, slice, slice],
) -> BrainBox | None:  # fmt: skip
    """The box about the brain; None, for the whole scan, where there is no brain or its bulk is longer than the view.

    Its sides are those of ``view_mm``, the box that the networks saw in training, or as much more as `MARGIN_MM` about
    the brain's tissue need, as far as there is scan.

    foreground: bool [X, Y, Z] of a first segmentation, axes in R, A, S order; tissue: the same without the fluid
    around, which goes down into the neck; affine: voxels to RAS in mm; inner: where in this grid the scan lies.
    """
    voxel, view = np.linalg.norm(affine[:3, :3], axis=0), np.array(view_mm)
    brain = largest_component(foreground)
    tissue = brain & tissue
    if np.count_nonzero(brain) * voxel.prod() < SMALLEST_BRAIN_MM3 or not tissue.any():
        return None
    limits = _limits(brain, CUT_PERCENT)
    if ((limits[:, 1] - limits[:, 0] + 1) * voxel > view).any():
        return None
    middle = limits.mean(axis=1)
    outer = _about(_limits(tissue, REACH_PERCENT), middle) * voxel[:, None] + MARGIN_MM
    edges = _about(np.array([(side.start, side.stop - 1) for side in inner]), middle) * voxel[:, None]
    needed = np.ceil(np.round(2 * np.minimum(outer, edges).max(axis=1), 3))
    sides = np.clip(needed, view, view + LARGEST_GROWTH_MM)
    x, y, z = (affine @ np.array([*middle, 1.0]))[:3]
    return BrainBox((float(x), float(y), float(z)), (int(sides[0]), int(sides[1]), int(sides[2])))


def _about(limits: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """How far the outer sides of the first and last planes [3, 2] lie from a middle [3], in voxels."""
    return np.abs(limits + np.array([-0.5, 0.5]) - middle[:, None])


def _limits(brain: np.ndarray, cut_percent: float) -> np.ndarray:
    """First and last plane along each axis [3, 2] between which all but the outermost voxels lie."""
    return np.array([_limits_along(brain, axis, cut_percent) for axis in range(3)])


def _limits_along(brain: np.ndarray, axis: int, cut_percent: float) -> tuple[int, int]:
    counts = brain.sum(axis=tuple(other for other in range(3) if other != axis)).cumsum()
    cut = counts[-1] * cut_percent / 100
    return int(np.searchsorted(counts, cut, side="right")), int(np.searchsorted(counts, counts[-1] - cut))
