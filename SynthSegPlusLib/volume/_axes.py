"""Interpolation along one axis after the other, from tables of neighbours and weights.

The tables of `centred_axis` come from integers (tenths of a micrometre), and every sample is
low * weight_low + high * weight_high, so a mirrored input gives the bitwise mirrored output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

UNITS_PER_MM = 10_000
"""Spacings are compared and rounded in these units: 1e-4 mm."""


@dataclass(frozen=True)
class AxisMap:
    """For every target sample of one axis: its two source neighbours (intp [n]) and their weights (float64 [n])."""

    low: np.ndarray
    high: np.ndarray
    weight_low: np.ndarray
    weight_high: np.ndarray

    def __len__(self) -> int:
        return len(self.low)

    def part(self, samples: slice) -> AxisMap:
        """The map of some of the target samples."""
        return AxisMap(self.low[samples], self.high[samples], self.weight_low[samples], self.weight_high[samples])

    @property
    def nearest(self) -> np.ndarray:
        """Source index nearest to every target sample, intp [n]; a tie goes towards the middle of the axis."""
        lower_half = np.arange(len(self)) < (len(self) - 1) / 2
        tie = self.weight_high == self.weight_low
        return np.where((self.weight_high > self.weight_low) | (tie & lower_half), self.high, self.low)

    def is_identity(self, length: int) -> bool:
        """Whether the samples are exactly those of a source axis of this length."""
        return len(self) == length and np.array_equal(self.nearest, np.arange(length)) and not np.any(
            self.weight_low * self.weight_high
        )


def units(spacing_mm: float) -> int:
    """Spacing in whole units of 1e-4 mm, at least one."""
    return max(1, round(float(spacing_mm) * UNITS_PER_MM))


def centred_axis(source: tuple[int, int], target: tuple[int, int]) -> AxisMap:
    """Map between two axes with a common centre, each given as (number of voxels, spacing in units).

    Samples beyond the outermost source voxel centres repeat the outermost voxel.
    """
    (n, spacing), (m, step) = source, target
    # Position of target sample j in units of 1 / (2 * spacing) source voxels: exact.
    position = (2 * np.arange(m, dtype=np.int64) - (m - 1)) * step + (n - 1) * spacing
    position = np.clip(position, 0, (n - 1) * 2 * spacing)
    low, rest = np.divmod(position, 2 * spacing)
    return _axis_map(low, rest / (2 * spacing), (2 * spacing - rest) / (2 * spacing), n)


def positions_axis(positions: np.ndarray, n: int) -> AxisMap:
    """Map to any positions (float64, in source voxels, clamped to [0, n - 1]) along a source axis of n voxels."""
    clamped = np.clip(positions, 0, n - 1)
    low = np.minimum(np.floor(clamped), max(n - 2, 0)).astype(np.intp)
    weight = clamped - low
    return _axis_map(low, weight, 1 - weight, n)


def linear(array: np.ndarray, maps: Sequence[AxisMap | None]) -> np.ndarray:
    """Interpolate an array [x, y, z, ...] linearly along its first axes; None leaves an axis alone.

    Floating arrays keep their dtype, others become float32. Axes that shrink go first, which changes no value beyond
    rounding but the time; the order depends on the lengths alone.
    """
    result = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float32)
    for axis in _shrinking_first(array.shape, maps):
        table = maps[axis]
        assert table is not None
        shape = [1] * result.ndim
        shape[axis] = len(table)
        sample = np.take(result, table.low, axis=axis)
        sample *= table.weight_low.astype(result.dtype).reshape(shape)
        other = np.take(result, table.high, axis=axis)
        other *= table.weight_high.astype(result.dtype).reshape(shape)
        sample += other
        result = sample
    return result


def nearest(array: np.ndarray, maps: Sequence[AxisMap | None]) -> np.ndarray:
    """Take the nearest samples along the first axes of an array [x, y, z, ...]; None leaves an axis alone."""
    result = array
    for axis in _shrinking_first(array.shape, maps):
        table = maps[axis]
        assert table is not None
        result = np.take(result, table.nearest, axis=axis)
    return result


def _shrinking_first(shape: tuple[int, ...], maps: Sequence[AxisMap | None]) -> Iterable[int]:
    present = [axis for axis, table in enumerate(maps) if table is not None]
    return sorted(present, key=lambda axis: len(maps[axis]) / shape[axis])  # type: ignore[arg-type]


def _axis_map(low: np.ndarray, weight_high: np.ndarray, weight_low: np.ndarray, n: int) -> AxisMap:
    low = low.astype(np.intp)
    return AxisMap(low, np.minimum(low + 1, n - 1), weight_low, weight_high)
