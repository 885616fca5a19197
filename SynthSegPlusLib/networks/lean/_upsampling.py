"""Kernels for convolving a nearest-neighbour upsampled volume without upsampling it first.

In one dimension let v be the coarse signal and w a kernel of 3. The fine outputs at 2i and 2i + 1 are::

    y[2i]   = s v[i] - w0 (v[i] - v[i-1])
    y[2i+1] = s v[i] + w2 (v[i+1] - v[i])        with s = w0 + w1 + w2

three products for two outputs instead of six, on v and on its differences. In three dimensions the
tensor product leaves 27 products of channel vectors per coarse voxel, where the plain convolution
needs 8 x 27. For other kernels, each of the 8 parities is a coarse convolution of fewer taps.
"""

from __future__ import annotations

import itertools

import numpy as np

AXES = list(itertools.product((0, 1), repeat=3))
"""The eight combinations of "as it is" (0) and "difference" (1), or of parities, along x, y, z."""

_DIFFERENCE = np.array([[1, 1, 1], [-1, 0, 0], [0, 0, 1]], np.float64)


def difference_kernels(kernel: np.ndarray) -> list[np.ndarray]:
    """Matrices for the eight (difference) volumes, from a kernel [3, 3, 3, c, f].

    Returns one [c, f * 2**d] per entry of `AXES`, d being its number of differences; its column blocks
    are the parities of the differenced axes in order.
    """
    products = _along_axes(kernel, _DIFFERENCE, _DIFFERENCE, _DIFFERENCE)
    blocks = []
    for axes in AXES:
        choices = itertools.product(*(((1, 2) if differenced else (0,)) for differenced in axes))
        blocks.append(np.concatenate([products[choice] for choice in choices], axis=-1).astype(np.float32))
    return blocks


def parity_halo(kernel: int) -> int:
    """Coarse voxels that the kernel reaches beyond its own."""
    return (kernel // 2 + 1) // 2


def parity_kernel(kernel: np.ndarray) -> np.ndarray:
    """Coarse kernel [t, t, t, c, 8 f] of the eight parities, from a fine kernel [k, k, k, c, f].

    The last axis runs over `AXES` (parity along x, y, z), then features.
    """
    size = kernel.shape[0]
    halo = parity_halo(size)
    fold = np.zeros((2, 2 * halo + 1, size))
    for parity in (0, 1):
        for tap in range(size):
            fold[parity, (parity + tap - size // 2) // 2 + halo, tap] = 1
    folded = [_along_axes(kernel, *(fold[parity] for parity in parities)) for parities in AXES]
    return np.concatenate(folded, axis=-1).astype(np.float32)


def _along_axes(kernel: np.ndarray, *matrices: np.ndarray) -> np.ndarray:
    """Apply one matrix to each of the first three axes, in float64."""
    result = kernel.astype(np.float64)
    for axis, matrix in enumerate(matrices):
        result = np.moveaxis(np.tensordot(matrix, result, axes=(1, axis)), 0, axis)
    return result
