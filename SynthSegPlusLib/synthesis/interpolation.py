"""Resizing, blurring and sampling, on any backend.

Everything separable (resize, blur, change of slice spacing) is a matrix per axis: made in numpy from a few numbers,
applied by three matrix products. That is exact, differentiable, of fixed shape (no recompilation), and fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def apply_along_axes(volume: Any, matrices: Sequence[np.ndarray | None]) -> Any:
    """Apply one [new, old] matrix to each of the first three axes of ``volume`` [x, y, z, ...]; None leaves an axis."""
    from keras import ops

    for axis, matrix in enumerate(matrices):
        if matrix is None:
            continue
        volume = ops.moveaxis(ops.tensordot(_tensor(matrix), volume, axes=[[1], [axis]]), 0, axis)
    return volume


def linear_matrix(new: int, old: int, rows: int | None = None, zoom: float | None = None) -> np.ndarray:
    """Matrix [rows, old] of linear interpolation at coordinates i / zoom, clamped at the edges."""
    positions = np.clip(np.arange(rows or new) / (zoom or new / old), 0, old - 1)
    low = np.minimum(np.floor(positions).astype(int), max(old - 2, 0))
    weight = positions - low
    matrix = np.zeros((len(positions), old))
    index = np.arange(len(positions))
    matrix[index, low] += 1 - weight
    matrix[index, np.minimum(low + 1, old - 1)] += weight
    return matrix


def nearest_matrix(new: int, old: int, rows: int | None = None, zoom: float | None = None) -> np.ndarray:
    """Matrix [rows, old] that picks the voxel nearest to i / zoom (half to even), clamped at the edges.

    Computed in float32 as the released code does, which decides ties such as 3.5.
    """
    ratio = np.float32(zoom) if zoom else np.float32(new) / np.float32(old)
    positions = np.clip(np.round(np.arange(rows or new, dtype=np.float32) / ratio), 0, old - 1).astype(int)
    matrix = np.zeros((len(positions), old))
    matrix[np.arange(len(positions)), positions] = 1
    return matrix


def blur_matrix(size: int, sigma: float, radius: int | None = None) -> np.ndarray:
    """Matrix [size, size] of a normalised Gaussian of ``sigma`` voxels with zero padding; identity for sigma 0."""
    if sigma <= 0:
        return np.eye(size)
    if radius is None:
        radius = math.ceil(2.5 * sigma)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    matrix = np.zeros((size, size))
    for offset, tap in zip(range(-radius, radius + 1), taps, strict=True):
        if abs(offset) < size:
            matrix += np.diag(np.full(size - abs(offset), tap), offset)
    return matrix


def resize(volume: Any, shape: Sequence[int]) -> Any:
    """Resize the first three axes of ``volume`` [x, y, z, ...] linearly (coordinate i / zoom, edges clamped)."""
    return apply_along_axes(volume, [linear_matrix(new, old) for new, old in zip(shape, volume.shape, strict=False)])


def _tensor(values: np.ndarray) -> Any:
    from keras import ops

    return ops.convert_to_tensor(np.ascontiguousarray(values, np.float32))


def _clamp(coordinates: Any, shape: Sequence[int]) -> Any:
    from keras import ops

    return ops.minimum(ops.maximum(coordinates, 0.0), _tensor(np.array(shape) - 1))


def sample_linear(volume: Any, coordinates: Any) -> Any:
    """Linear interpolation of ``volume`` [x, y, z, c] at voxel ``coordinates`` [..., 3], clamped at the edges."""
    from keras import ops

    shape = tuple(volume.shape[:3])
    position = _clamp(coordinates, shape)
    low = ops.minimum(ops.floor(position), _tensor(np.maximum(np.array(shape) - 2, 0)))
    weight = position - low
    low = ops.cast(low, "int32")
    strides = (shape[1] * shape[2], shape[2], 1)
    flat = ops.reshape(volume, (-1, volume.shape[3]))
    result = None
    for corner in np.ndindex(2, 2, 2):
        index: Any = None
        share: Any = None
        for axis, step in enumerate(corner):
            along = ops.minimum(low[..., axis] + step, shape[axis] - 1) * strides[axis]
            part = weight[..., axis] if step else 1.0 - weight[..., axis]
            index = along if index is None else index + along
            share = part if share is None else share * part
        term = ops.take(flat, index, axis=0) * share[..., None]
        result = term if result is None else result + term
    return result


def sample_nearest(volume: Any, coordinates: Any, outside: int | None = None) -> Any:
    """Nearest voxel of ``volume`` [x, y, z] at voxel ``coordinates`` [..., 3] (half to even).

    Outside the volume: the edge's value, or ``outside`` when given.
    """
    from keras import ops

    shape = tuple(volume.shape)
    rounded = ops.round(coordinates)
    position = ops.cast(_clamp(rounded, shape), "int32")
    index = (position[..., 0] * shape[1] + position[..., 1]) * shape[2] + position[..., 2]
    values = ops.take(ops.reshape(volume, (-1,)), index, axis=0)
    if outside is None:
        return values
    inside = ops.all(ops.logical_and(rounded >= 0.0, rounded <= _tensor(np.array(shape) - 1)), axis=-1)
    return ops.where(inside, values, ops.cast(outside, values.dtype))
