"""Bringing the voxel axes of a scan to right, anterior, superior by permutation and flips, and back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

# Directions closer than this in summed cosines count as tied, so that rounding never decides an orientation.
_TIE = 1e-6


@dataclass(frozen=True)
class Orientation:
    """How the voxel axes of an array become R, A, S.

    axes: for R, A, S the axis of the array that runs along it; flips: whether that axis runs the other way
    (towards left, posterior, inferior). Only the first three axes of an array are touched.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: np.ndarray) -> np.ndarray:
        """View of an array [i, j, k, ...] as [R, A, S, ...]."""
        return self._flip(array.transpose(*self.axes, *range(3, array.ndim)))

    def undo(self, array: np.ndarray) -> np.ndarray:
        """View of an array [R, A, S, ...] in the original axis order and directions."""
        return self._flip(array).transpose(*np.argsort(self.axes), *range(3, array.ndim))

    def apply_affine(self, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Voxel-to-RAS affine of apply(array), from that of an array of this shape."""
        result = affine.astype(np.float64, copy=True)
        result[:, :3] = result[:, self.axes]
        for target, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            if flip:
                result[:3, 3] += result[:3, target] * (shape[axis] - 1)
                result[:3, target] *= -1
        return result

    def undo_affine(self, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Voxel-to-RAS affine of undo(array), from that of an array [R, A, S] of this shape."""
        result = affine.astype(np.float64, copy=True)
        for target, flip in enumerate(self.flips):
            if flip:
                result[:3, 3] += result[:3, target] * (shape[target] - 1)
                result[:3, target] *= -1
        result[:, :3] = result[:, np.argsort(self.axes)]
        return result

    def _flip(self, array: np.ndarray) -> np.ndarray:
        return array[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]


def published_orientation(affine: np.ndarray) -> Orientation:
    """Orientation by the reference's rule: each world axis takes the voxel axis with the largest entry of the inverse.

    Where two world axes take the same voxel axis, the last of them gets the axis that is missing.
    """
    axes = np.argmax(np.abs(np.linalg.inv(affine)[:3, :3]), axis=0)
    for missing in range(3):
        if missing not in axes:
            values, counts = np.unique(axes, return_counts=True)
            axes[np.flatnonzero(axes == values[np.argmax(counts)])[-1]] = missing
    return _with_flips(affine, tuple(int(axis) for axis in axes))


def nearest_orientation(affine: np.ndarray) -> Orientation:
    """Orientation whose voxel directions lie closest to R, A, S (largest sum of cosines over the six permutations).

    Ties, as in a scan tilted by 45 degrees, are decided by the directions themselves and not by the order in which the
    axes are stored, so that all 48 orders and directions of one scan agree.
    """
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)

    def closeness(axes: tuple[int, ...]) -> tuple[float, ...]:
        chosen = columns[:, axes]
        signs = np.where(np.diag(chosen) < 0, -1.0, 1.0)
        total = np.abs(np.diag(chosen)).sum()
        return (round(total / _TIE), *np.round(chosen * signs, 6).ravel().tolist())

    return _with_flips(affine, max(itertools.permutations(range(3)), key=closeness))


def _with_flips(affine: np.ndarray, axes: tuple[int, ...]) -> Orientation:
    flips = tuple(bool(affine[world, axis] < 0) for world, axis in enumerate(axes))
    return Orientation(axes, flips)  # type: ignore[arg-type]
