"""Gaussian smoothing of posteriors while they stream by, so that no second copy of all channels exists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

Slabs = Iterable[tuple[slice, np.ndarray]]
"""Pieces of a volume along x, in order and without overlap: (planes, float32 [planes, Y, Z, C])."""

_PLANES = 8  # smoothed at once: little enough to cost no memory worth planning
_ROWS = 8  # of a plane at once: little enough to stay in the cache


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
    held: list[np.ndarray] = []  # planes, smoothed along y and z, waiting for their neighbours along x
    done = 0
    for piece in _pieces(slabs):
        smooth = _smooth_in_plane(piece, kernel)
        if not held:
            held = [np.zeros_like(smooth[0])] * radius
        held += list(smooth)
        count = len(held) - 2 * radius
        if count > 0:
            yield slice(done, done + count), _along_first(held, kernel)
            held, done = held[count:], done + count
    if held:
        held += [np.zeros_like(held[0])] * radius
        yield slice(done, done + len(held) - 2 * radius), _along_first(held, kernel)


def _pieces(slabs: Slabs) -> Iterator[np.ndarray]:
    for _, slab in slabs:
        for start in range(0, len(slab), _PLANES):
            yield slab[start : start + _PLANES]


def _along_first(planes: list[np.ndarray], kernel: np.ndarray) -> np.ndarray:
    """Weighted sums of each plane [Y, Z, C] and its neighbours, but for ``radius`` planes at both ends."""
    width = len(kernel)
    size_y, *rest = planes[0].shape
    out = np.empty((len(planes) - width + 1, size_y, *rest), np.float32)
    pair = np.empty((min(_ROWS, size_y), *rest), np.float32)
    for number, result in enumerate(out):
        for start in range(0, size_y, _ROWS):
            rows = slice(start, min(start + _ROWS, size_y))
            shifted = [plane[rows] for plane in planes[number : number + width]]
            _weighted_sum(shifted, kernel, result[rows], pair[: rows.stop - rows.start])
    return out


def _smooth_in_plane(piece: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Smooth planes [planes, Y, Z, C] along y and z, a block of rows at a time so that it stays in the cache."""
    radius = len(kernel) // 2
    _, size_y, size_z, channels = piece.shape
    out = np.empty(piece.shape, np.float32)
    rows = min(_ROWS, size_y) + 2 * radius
    bordered = np.zeros((rows, size_z + 2 * radius, channels), np.float32)
    across, pair = np.empty((2, rows, size_z, channels), np.float32)
    for plane, result in zip(piece, out, strict=True):
        for start in range(0, size_y, _ROWS):
            stop = min(start + _ROWS, size_y)
            low, high = max(start - radius, 0), min(stop + radius, size_y)
            first, last = low - (start - radius), high - (start - radius)
            bordered[:first] = bordered[last:] = 0.0
            bordered[first:last, radius:-radius] = plane[low:high]
            shifted = [bordered[:, offset : offset + size_z] for offset in range(2 * radius + 1)]
            _weighted_sum(shifted, kernel, across, pair)
            count = stop - start
            shifted = [across[offset : offset + count] for offset in range(2 * radius + 1)]
            _weighted_sum(shifted, kernel, result[start:stop], pair[:count])
    return out


def _weighted_sum(shifted: list[np.ndarray], kernel: np.ndarray, out: np.ndarray, pair: np.ndarray) -> None:
    """Sum of arrays with a symmetric kernel's weights into ``out``; ``pair`` is room of the same shape."""
    middle = len(kernel) // 2
    np.multiply(shifted[middle], kernel[middle], out=out)
    for offset in range(1, middle + 1):
        np.add(shifted[middle - offset], shifted[middle + offset], out=pair)
        pair *= kernel[middle + offset]
        out += pair
