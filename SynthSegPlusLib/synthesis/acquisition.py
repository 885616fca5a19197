"""The scanner's grid: slices of a given spacing and thickness, brought back to the working grid; field of view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from SynthSegPlusLib.synthesis.interpolation import apply_along_axes, blur_matrix, linear_matrix, nearest_matrix

BLUR_PER_SPACING = 0.75
"""Standard deviation of the blur before downsampling, in units of the slice thickness (reference implementation)."""
LARGEST_SPACING = 8.0


def blur_sigma(spacing: float, thickness: float, working: float, jitter: float = 1.0) -> float:
    """Sigma, in working voxels, of the blur that makes slices of ``thickness`` mm, ``spacing`` mm apart."""
    thinner = min(spacing, thickness)
    if math.isclose(thinner, working):
        return 0.5 * jitter
    return BLUR_PER_SPACING * thinner / working * jitter if thinner > working else 0.0


def acquisition_matrices(
    shape: Sequence[int], spacing: Sequence[float], sigma: Sequence[float], working: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Matrices of blur-and-downsample, and of upsampling, per axis.

    Both are square: the low-resolution grid is kept in an array of full size whose entries beyond its end repeat
    its last voxel, so that shapes never depend on the drawn spacing.
    """
    down, up = [], []
    for size, space, width in zip(shape, spacing, sigma, strict=True):
        radius = math.ceil(2.5 * max(width, BLUR_PER_SPACING * LARGEST_SPACING / working) / 2)
        blur = blur_matrix(size, width, radius)
        low = min(size, max(1, int(size * working / space)))
        if low == size:
            down.append(blur)
            up.append(np.eye(size))
            continue
        down.append(nearest_matrix(low, size, rows=size) @ blur)
        up.append(linear_matrix(size, size, zoom=size / low))
    return down, up


def acquire(
    image: Any, spacing: Sequence[float], sigma: Sequence[float], working: float, noise: Any = None
) -> Any:
    """Blur ``image`` [x, y, z] by ``sigma`` voxels, sample it every ``spacing`` mm, add ``noise``, and bring it back.

    ``working`` is the voxel size in mm; ``noise`` is in intensity units on the (full-size) low-resolution array.
    """
    down, up = acquisition_matrices(image.shape, spacing, sigma, working)
    low = apply_along_axes(image, down)
    if noise is not None:
        low = low + noise
    return apply_along_axes(low, up)


def field_of_view_mask(shape: Sequence[int], low: Sequence[int], high: Sequence[int]) -> np.ndarray:
    """Boolean [x, y, z]: inside the box of voxels low <= i < high."""
    mask = np.zeros(tuple(shape), bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask
