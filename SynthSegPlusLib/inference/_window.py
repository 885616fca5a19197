"""Where the brain is: networks that were trained on a box about it are shown the same box of every scan.

A network with instance norms sees the air and the neck around a head in its statistics, so a head in a field of view
of another size than in training is segmented worse. A first, rough segmentation of the whole scan finds the brain.
"""

from __future__ import annotations

import numpy as np

from SynthSegPlusLib.inference._components import largest_component

SMALLEST_BRAIN_MM3 = 1e5
"""Less than this is no brain: the whole scan is shown to the networks."""

CUT_PERCENT = 1.0
"""Share of the brain's voxels left out at either end of an axis before its middle is taken: stray ones do not count."""


def brain_centre(
    foreground: np.ndarray, affine: np.ndarray, view_mm: tuple[int, int, int]
) -> tuple[float, float, float] | None:
    """Middle of the brain (RAS, mm), or None where there is none or it is larger than the view.

    foreground: bool [X, Y, Z] of a first segmentation, axes in R, A, S order; affine: its voxels to RAS in mm.
    """
    voxel = np.abs(np.diag(affine)[:3])
    brain = largest_component(foreground)
    if np.count_nonzero(brain) * voxel.prod() < SMALLEST_BRAIN_MM3:
        return None
    limits = np.array([_limits(brain, axis) for axis in range(3)])
    if ((limits[:, 1] - limits[:, 0] + 1) * voxel > np.array(view_mm)).any():
        return None
    x, y, z = (affine @ np.array([*limits.mean(axis=1), 1.0]))[:3]
    return float(x), float(y), float(z)


def _limits(brain: np.ndarray, axis: int) -> tuple[int, int]:
    """First and last plane along an axis between which all but the outermost voxels lie."""
    counts = brain.sum(axis=tuple(other for other in range(3) if other != axis)).cumsum()
    cut = counts[-1] * CUT_PERCENT / 100
    return int(np.searchsorted(counts, cut, side="right")), int(np.searchsorted(counts, counts[-1] - cut))
