"""Resampling to 1 mm exactly as the reference implementation does it, down to its float effects.

Every operation is in float64 and in the reference's order, because its networks were validated behind it: the grid
is aligned at the outer voxel edges, its length follows from the affine's rounding and from numpy's arange,
and interpolation multiplies and adds the eight corners in a fixed order. It is not symmetric.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

TOLERANCE_MM = 0.05
"""A scan whose voxel sizes all lie within this of 1 mm is not resampled."""

PREFILTER = 0.25
"""Width of the Gaussian before resampling, in target voxels."""


def needs_resampling(voxel_sizes: np.ndarray) -> bool:
    """Whether voxel sizes (mm, as the header states them) call for resampling to 1 mm."""
    sizes = np.asarray(voxel_sizes, np.float64)
    return bool(np.any((sizes > 1 + TOLERANCE_MM) | (sizes < 1 - TOLERANCE_MM)))


def factors(affine: np.ndarray) -> np.ndarray:
    """Output voxels per input voxel along each axis, float64 [3]: column norms of the affine over 1 mm."""
    return np.sqrt(np.sum(affine * affine, axis=0))[:-1] / np.array([1.0, 1.0, 1.0])


def positions(length: int, factor: float) -> np.ndarray:
    """Sample positions in input voxels along one axis, float64, clamped to the input."""
    start = -(factor - 1) / (2 * factor)
    step = 1.0 / factor
    stop = start + step * np.ceil(length * factor)
    samples: np.ndarray = np.arange(start, stop, step)  # type: ignore[arg-type]
    samples[samples < 0] = 0
    samples[samples > (length - 1)] = length - 1
    return samples


def resampled_affine(affine: np.ndarray) -> np.ndarray:
    """Voxel-to-RAS affine of the 1 mm grid: outer voxel edges coincide with the input's."""
    factor = factors(affine)
    result = affine.copy()
    for column in range(3):
        result[:-1, column] = result[:-1, column] / factor[column]
    result[:-1, -1] = result[:-1, -1] - np.matmul(result[:-1, :-1], 0.5 * (factor - 1))
    return result


def resample(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Resample data float64 [x, y, z] to 1 mm in its own axis order."""
    factor = factors(affine)
    sigmas = PREFILTER / factor
    sigmas[factor > 1] = 0
    smooth = gaussian_filter(data, sigmas)
    return _trilinear(smooth, [positions(n, f) for n, f in zip(data.shape, factor, strict=True)])


def _trilinear(data: np.ndarray, samples: list[np.ndarray]) -> np.ndarray:
    """Sum of ((value * wx) * wy) * wz over the corners in the order 000, 001, ... 111.

    Gathering planes, then rows, then points applies the same multiplications to the same numbers as the naive sum,
    at a fraction of its cost.
    """
    (x_low, wx), (y_low, wy), (z_low, wz) = (_corners(s, n) for s, n in zip(samples, data.shape, strict=True))
    out = np.empty([len(s) for s in samples], np.float64)
    for i, plane in enumerate(out):
        plane[:] = 0.0
        for x_side in (0, 1):
            in_x = data[x_low[i] + x_side] * wx[x_side][i]
            for y_side in (0, 1):
                in_y = in_x[y_low + y_side] * wy[y_side][:, None]
                for z_side in (0, 1):
                    plane += np.take(in_y, z_low + z_side, axis=1) * wz[z_side]
    return out


def _corners(samples: np.ndarray, length: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    low = np.minimum(np.floor(samples), length - 2).astype(np.intp)
    high_weight = samples - low
    return low, (1 - high_weight, high_weight)
