"""The symmetric way to conform: the result depends on the anatomy and its spacing, never on how the file stores it.

Axes are brought to R, A, S first; spacings are rounded to 1e-4 mm; every grid shares the centre of the volume. Grids
that are not the scan's own have an even number of voxels, so that padding to the networks' (even) sizes is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from SynthSegPlusLib.volume._axes import UNITS_PER_MM, AxisMap, centred_axis, linear, units

TOLERANCE = 0.05
"""Relative difference of spacing below which a scan is taken as it is (as the published tolerance of 0.05 mm)."""

PREFILTER = 0.25
"""Width of the Gaussian before resampling to larger voxels, in target voxels."""


@dataclass(frozen=True)
class CentredGrid:
    """Three axes in R, A, S with a common centre: numbers of voxels and spacings in units of 1e-4 mm."""

    shape: tuple[int, int, int]
    spacing: tuple[int, int, int]

    def maps_from(self, source: CentredGrid) -> list[AxisMap | None]:
        """Per axis the map that samples this grid from another; None where both are the same."""
        return [
            None if (n, s) == (m, t) else centred_axis((n, s), (m, t))
            for n, s, m, t in zip(source.shape, source.spacing, self.shape, self.spacing, strict=True)
        ]

    def affine(self, native: np.ndarray, native_shape: tuple[int, ...]) -> np.ndarray:
        """Voxel-to-RAS affine with the centre and directions of a native one (already in R, A, S order)."""
        sizes = np.array(self.spacing) / UNITS_PER_MM
        result = np.eye(4)
        result[:3, :3] = native[:3, :3] / np.linalg.norm(native[:3, :3], axis=0) * sizes
        centre = native[:3, :3] @ ((np.array(native_shape) - 1) / 2) + native[:3, 3]
        result[:3, 3] = centre - result[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return result


def native_grid(shape: tuple[int, ...], spacing_mm: np.ndarray) -> CentredGrid:
    """The scan's own grid, its axes already in R, A, S order."""
    return CentredGrid(tuple(shape), tuple(units(s) for s in spacing_mm))  # type: ignore[arg-type]


def grid_at(native: CentredGrid, resolution_mm: float) -> CentredGrid:
    """Grid of a resolution over the same field of view; the native grid itself where its spacing is close enough."""
    step = units(resolution_mm)
    if all(abs(s - step) <= TOLERANCE * step for s in native.spacing):
        return native
    shape = tuple(_even_cover(n * s, step) for n, s in zip(native.shape, native.spacing, strict=True))
    return CentredGrid(shape, (step, step, step))  # type: ignore[arg-type]


def resample(data: np.ndarray, source: CentredGrid, target: CentredGrid) -> np.ndarray:
    """Resample data float32 [R, A, S] from one grid to another: Gaussian where voxels grow, then linear."""
    maps = target.maps_from(source)
    # Axis by axis, those that shrink most first: the later passes then have less to do.
    for axis in sorted(range(3), key=lambda k: target.shape[k] / source.shape[k]):
        old, new = source.spacing[axis], target.spacing[axis]
        if old < new:
            data = gaussian_filter1d(data, PREFILTER * new / old, axis=axis)
        data = linear(data, [table if k == axis else None for k, table in enumerate(maps)])
    return data


def _even_cover(length: int, step: int) -> int:
    """Smallest even number of steps that covers a length up to a twentieth of a step (rounded headers)."""
    count = -(-(length - step // 20) // step)
    return max(2, count + count % 2)
