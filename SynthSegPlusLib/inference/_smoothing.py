"""Gaussian smoothing of posteriors while they stream by, so that no second copy of all channels exists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

Slabs = Iterable[tuple[slice, np.ndarray]]
"""Pieces of a volume along x, in order and without overlap: (planes, float32 [planes, Y, Z, C])."""

_PLANES = 8  # smoothed at once: small enough to stay in the cache and to cost no memory worth planning


def gaussian_kernel(sigma: float) -> np.ndarray:
    """One-dimensional weights, float64, of the published window length ``2 int(ceil(2.5 sigma) / 2) + 1``.

    >>> gaussian_kernel(0.5).round(6).tolist()
    [0.106507, 0.786986, 0.106507]
    """
    radius = int(math.ceil(2.5 * sigma) / 2)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-(offsets**2) / (2.0 * sigma**2))
    return weights / weights.sum()


def smooth_slabs(slabs: Slabs, sigma: float) -> Iterator[tuple[slice, np.ndarray]]:
    """Smooth every channel with zeros outside the volume (the outermost voxels lose mass, as published).

    ``sigma`` is in voxels; 0 passes the slabs through. The slabs that come out are cut anew.
    """
    kernel = gaussian_kernel(sigma).astype(np.float32) if sigma > 0 else np.ones(1, np.float32)
    radius = len(kernel) // 2
    if radius == 0:
        yield from slabs
        return
    held: np.ndarray | None = None  # smoothed along y and z, waiting for their neighbours along x
    done = 0
    for piece in _pieces(slabs):
        flat = _smooth_in_plane(piece, kernel)
        held = np.concatenate([_blank(flat, radius) if held is None else held, flat])
        count = len(held) - 2 * radius
        if count > 0:
            yield slice(done, done + count), _along_first(held, kernel, count)
            held, done = held[count:].copy(), done + count
    if held is not None:
        held = np.concatenate([held, _blank(held, radius)])
        count = len(held) - 2 * radius
        yield slice(done, done + count), _along_first(held, kernel, count)


def _pieces(slabs: Slabs) -> Iterator[np.ndarray]:
    for _, slab in slabs:
        for start in range(0, len(slab), _PLANES):
            yield slab[start : start + _PLANES]


def _blank(like: np.ndarray, planes: int) -> np.ndarray:
    return np.zeros((planes, *like.shape[1:]), like.dtype)


def _along_first(held: np.ndarray, kernel: np.ndarray, count: int) -> np.ndarray:
    radius = len(kernel) // 2
    out = held[radius : radius + count] * kernel[radius]
    for offset in range(1, radius + 1):
        pair = held[radius - offset : radius - offset + count] + held[radius + offset : radius + offset + count]
        pair *= kernel[radius + offset]
        out += pair
    return out


def _smooth_in_plane(piece: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    out = np.empty(piece.shape, np.float32)
    for plane, result in zip(piece, out, strict=True):
        across = _same(plane, kernel)
        result[...] = _same(across.swapaxes(0, 1), kernel).swapaxes(0, 1)
    return out


def _same(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve along the first axis with zeros beyond both ends, same length."""
    radius = len(kernel) // 2
    out = plane * kernel[radius]
    for offset in range(1, min(radius, len(plane) - 1) + 1):
        weight = kernel[radius + offset]
        out[offset:] += plane[:-offset] * weight
        out[:-offset] += plane[offset:] * weight
    return out
