"""How thick a scan's slices are, and how much its voxels at 1 mm can therefore say."""

from __future__ import annotations

import numpy as np

LEAST_ROUGHNESS = 0.17
"""Of thicker slices' voxels at a border most hold several things. `relative_roughness` is 0.2 to 0.35 in slices of
3 mm, at most 0.15 from 5 mm on, and above 0.85 where voxels are as deep as wide (32 synthetic, 10 real scans)."""
SHARE_IN_THICK = 0.5
"""Of a strength, in slices of 5 mm and more that a file stores at 1 mm."""


def relative_roughness(scan: np.ndarray) -> float:
    """How rough a scan [X, Y, Z] is along its smoothest axis, over the middle one: far below 1 in interpolated slices.

    Roughness is the root mean square of second differences where the scan is brighter than its median. A scan's file
    may say 1 mm where its slices were thick once.
    """
    bright = scan > np.median(scan)
    rough = []
    for axis, size in enumerate(scan.shape):
        inner = tuple(slice(1, size - 1) if other == axis else slice(None) for other in range(3))
        second = np.diff(scan, n=2, axis=axis)[bright[inner]]
        rough.append(float(np.sqrt(np.mean(np.square(second, dtype=np.float64)))) if second.size else 0.0)
    low, middle, _ = sorted(rough)
    return low / middle if middle > 0 else 0.0


def strength_in(strength: float, spacing_mm: np.ndarray, thick: bool = False) -> float:
    """Exponent of the likelihoods in a scan of this spacing (mm [3]).

    Voxels of the output grid that were interpolated between the scan's own are not independent witnesses, and thick
    slices mix tissues: ``strength`` is divided by the square root of the product of the spacings, each at least 1 mm.
    thick: whether the scan itself looks as if its slices were thick (`LEAST_ROUGHNESS`), whatever its file says; then
    no more than `SHARE_IN_THICK` of it is left.
    """
    by_spacing = strength / float(np.sqrt(np.prod(np.maximum(spacing_mm, 1.0))))
    return min(by_spacing, SHARE_IN_THICK * strength) if thick else by_spacing
