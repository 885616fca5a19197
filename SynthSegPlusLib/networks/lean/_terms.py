"""Ways to compute one convolution of a chunk, each in three phases.

``transform`` and ``combine`` only add, scale and move voxels, in float32 whatever the network's precision,
so that a backend that fuses may compile them; ``multiply`` is where the arithmetic is, done by the
backend's convolutions and matrix products. Terms hold no weights and compare by value, so that layers
of one kind share what was compiled.
All padding is by zeros; kernels are [k, k, k, c, f] and volumes [planes, Y, Z, channels].
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from keras import ops

from SynthSegPlusLib.networks.lean._convolution import convolve
from SynthSegPlusLib.networks.lean._upsampling import AXES, difference_kernels, parity_halo, parity_kernel
from SynthSegPlusLib.networks.lean._winograd import filtering

Tensors = list[Any]


class Term(Hashable, Protocol):
    """One convolution of one window."""

    interleaves: ClassVar[bool]
    """Whether `combine` puts together voxels of finer rows."""

    def prepare(self, kernel: np.ndarray) -> list[np.ndarray]:
        """The weights that `multiply` takes."""

    def transform(self, window: Any) -> Tensors:
        """From (before, here, after) to what is multiplied."""

    def multiply(self, transformed: Tensors, weights: Tensors) -> Tensors:
        """The products."""

    def combine(self, products: Tensors) -> Any:
        """From the products to the convolution's chunk."""


@dataclass(frozen=True)
class Direct:
    """The plain convolution, 'valid' along x (the window brings the halo), 'same' along y and z."""

    kernel: int

    interleaves: ClassVar[bool] = False

    def prepare(self, kernel: np.ndarray) -> list[np.ndarray]:
        return [kernel]

    def transform(self, window: Any) -> Tensors:
        return [ops.concatenate(window, axis=0) if self.kernel > 1 else window[1]]

    def multiply(self, transformed: Tensors, weights: Tensors) -> Tensors:
        return [convolve(transformed[0], weights[0])]

    def combine(self, products: Tensors) -> Any:
        return products[0]


@dataclass(frozen=True)
class Filtered:
    """Minimal filtering F(outputs, kernel) along x of convolutions in the y-z planes."""

    kernel: int
    outputs: int

    interleaves: ClassVar[bool] = False

    def prepare(self, kernel: np.ndarray) -> list[np.ndarray]:
        matrix = filtering(self.outputs, self.kernel).kernel
        return list(np.tensordot(matrix, kernel.astype(np.float64), axes=1).astype(np.float32))

    def transform(self, window: Any) -> Tensors:
        dtype = window[1].dtype
        x = ops.cast(ops.concatenate(window, axis=0), "float32")
        matrix = filtering(self.outputs, self.kernel).input
        last = x.shape[0] - len(matrix)
        taps = [x[tap : last + tap + 1 : self.outputs] for tap in range(len(matrix))]
        return [ops.cast(_linear(row, taps), dtype) for row in matrix]

    def multiply(self, transformed: Tensors, weights: Tensors) -> Tensors:
        return [ops.conv(x, w, padding="same") for x, w in zip(transformed, weights, strict=True)]

    def combine(self, products: Tensors) -> Any:
        products = [ops.cast(product, "float32") for product in products]
        rows = [_linear(row, products) for row in filtering(self.outputs, self.kernel).output]
        tiles, *rest = rows[0].shape
        return ops.reshape(ops.stack(rows, axis=1), (tiles * self.outputs, *rest))


def _linear(coefficients: np.ndarray, tensors: Tensors) -> Any:
    total = None
    for coefficient, tensor in zip(coefficients, tensors, strict=True):
        if coefficient == 0:
            continue
        term = tensor if coefficient == 1 else tensor * float(coefficient)
        total = term if total is None else total + term
    return total


@dataclass(frozen=True)
class Differences:
    """A kernel of 3 on the upsampled volume, from the coarse volume and its differences."""

    features: int

    interleaves: ClassVar[bool] = True

    def prepare(self, kernel: np.ndarray) -> list[np.ndarray]:
        return difference_kernels(kernel)

    def transform(self, window: Any) -> Tensors:
        coarse = ops.cast(ops.concatenate(window, axis=0), "float32")
        return [ops.cast(_difference(coarse, axes), window[1].dtype) for axes in AXES]

    def multiply(self, transformed: Tensors, weights: Tensors) -> Tensors:
        products = []
        for x, block in zip(transformed, weights, strict=True):
            flat = ops.matmul(ops.reshape(x, (-1, block.shape[0])), block)
            products.append(ops.reshape(flat, (*x.shape[:3], block.shape[1])))
        return products

    def combine(self, products: Tensors) -> Any:
        products = [ops.cast(product, "float32") for product in products]
        parities = [self._parity(products, parity) for parity in AXES]
        rows = [ops.stack(parities[i : i + 2], 3) for i in range(0, 8, 2)]
        slices = [ops.stack(rows[i : i + 2], 2) for i in range(0, 4, 2)]
        return _fine(ops.stack(slices, 1), self.features)

    def _parity(self, products: Tensors, parity: tuple[int, ...]) -> Any:
        total = None
        for axes, product in zip(AXES, products, strict=True):
            block, where = 0, []
            for differenced, odd in zip(axes, parity, strict=True):
                if differenced:
                    block = 2 * block + odd
                where.append((slice(1, None) if odd else slice(None, -1)) if differenced else slice(None))
            term = product[(*where, slice(block * self.features, (block + 1) * self.features))]
            total = term if total is None else total + term
        return total


def _difference(coarse: Any, axes: tuple[int, ...]) -> Any:
    """Difference along the marked axes; along x the window brings the neighbours, along y and z zeros are added."""
    along_x, along_y, along_z = axes
    x = coarse[1:] - coarse[:-1] if along_x else coarse[1:-1]
    if along_y:
        x = ops.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
        x = x[:, 1:] - x[:, :-1]
    if along_z:
        x = ops.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
        x = x[:, :, 1:] - x[:, :, :-1]
    return x


@dataclass(frozen=True)
class Parities:
    """Any kernel on the upsampled volume: a coarse convolution to the eight parities, then interleaved."""

    features: int
    coarse: Direct | Filtered

    interleaves: ClassVar[bool] = True

    def prepare(self, kernel: np.ndarray) -> list[np.ndarray]:
        return self.coarse.prepare(parity_kernel(kernel))

    def transform(self, window: Any) -> Tensors:
        return self.coarse.transform(window)

    def multiply(self, transformed: Tensors, weights: Tensors) -> Tensors:
        return self.coarse.multiply(transformed, weights)

    def combine(self, products: Tensors) -> Any:
        x = self.coarse.combine(products)
        planes, height, depth = x.shape[:3]
        x = ops.reshape(x, (planes, height, depth, 2, 2, 2, self.features))
        return _fine(ops.transpose(x, (0, 3, 1, 4, 2, 5, 6)), self.features)


def _fine(x: Any, features: int) -> Any:
    """[X, 2, Y, 2, Z, 2, f] to [2X, 2Y, 2Z, f]."""
    planes, _, height, _, depth, _, _ = x.shape
    return ops.reshape(x, (2 * planes, 2 * height, 2 * depth, features))


def upsampled(kernel: int, features: int, outputs: int) -> Differences | Parities:
    """The cheapest term for a kernel on an upsampled volume, with tiles of ``outputs`` coarse planes."""
    if kernel == 3:
        return Differences(features)
    taps = 2 * parity_halo(kernel) + 1
    return Parities(features, Filtered(taps, outputs) if outputs > 1 else Direct(taps))
