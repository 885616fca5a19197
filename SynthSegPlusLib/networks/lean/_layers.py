"""Layers for chunks: sums of convolutions with what follows them, pooling, and the softmax head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from SynthSegPlusLib.networks.lean._compile import Fusion, compiled, fused
from SynthSegPlusLib.networks.lean._convolution import convolve_and_activate, kernel_tensor
from SynthSegPlusLib.networks.lean._stream import Window
from SynthSegPlusLib.networks.lean._terms import Direct, Filtered, Term, upsampled
from SynthSegPlusLib.networks.lean._upsampling import parity_halo
from SynthSegPlusLib.networks.lean._winograd import best_outputs

Activation = Literal["elu", "relu", "none"]

CHANNELS_FOR_FILTERING = {3: 128, 5: 64}
"""With so many channels, by size of the kernel, minimal filtering pays even where its additions are not fused."""


@dataclass(frozen=True)
class Affine:
    """A batch norm at inference: ``x * scale + shift`` per channel, float32 [channels]."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Arithmetic:
    """How layers compute.

    Attributes
    ----------
    precision
        Type of weights and features.
    tile
        Largest tile of minimal filtering along x: 4, 2, or 1 for plain convolutions.
    fusion
        How the backend compiles large layers.
    """

    precision: str = "float32"
    tile: int = 1
    fusion: Fusion = Fusion.NONE

    def filters(self, size: int, channels: int, fusion: Fusion) -> bool:
        """Whether minimal filtering of a kernel ``size`` pays in a layer that is compiled as ``fusion``.

        In 16 bits products cost half or less, additions as much as ever: beside TensorFlow's library, which also does
        bias and activation in passing, only the larger saving of a kernel of 5 outweighs them, and only with many
        channels.
        """
        many = channels >= CHANNELS_FOR_FILTERING.get(size, 64)
        if fusion is Fusion.WHOLE or self.precision == "float32" and fusion is Fusion.AROUND:
            return True
        if self.precision != "float32":
            return fusion is Fusion.AROUND and size > 3 and many
        return many

    @property
    def joins(self) -> bool:
        """Whether convolutions that are added up pay as a single one of all their channels.

        In 16 bits products are cheap, and a coarse volume is sooner upsampled than its convolution made of differences
        in float32: TensorFlow's library then does everything in one pass.
        """
        return self.precision != "float32" and self.fusion is Fusion.AROUND

    def tensor(self, array: np.ndarray) -> Any:
        """Array to tensor, in the precision of the network; five axes are a kernel's."""
        if array.ndim == 5:
            return kernel_tensor(array, self.precision)
        return ops.cast(ops.convert_to_tensor(array), self.precision)


class Convolutions:
    """A sum of convolutions of windows, then bias, residual, activation, affine map.

    Called with one window per kernel and the optional residual chunk; ``large`` says that much is still
    to come, so that compiling pays. A kernel marked as upsampled takes a window of the coarse volume.
    ``size`` is the number of kernel weights, a measure of the work per voxel; ``halos`` are the planes
    that each window needs on either side.
    """

    def __init__(
        self,
        arithmetic: Arithmetic,
        kernels: list[np.ndarray],
        upsampled: list[bool],
        bias: np.ndarray,
        activation: Activation,
        affine: Affine | None = None,
    ) -> None:
        self.size = sum(kernel.size for kernel in kernels)
        self.halos = [_halo(len(kernel), coarse) for kernel, coarse in zip(kernels, upsampled, strict=True)]
        self._arithmetic = arithmetic
        self._kernels = list(zip(kernels, upsampled, strict=True))
        self._activation = activation
        self._values = [arithmetic.tensor(bias)]
        if affine is not None:
            self._values += [arithmetic.tensor(affine.scale), arithmetic.tensor(affine.shift)]
        self._prepared: dict[tuple[Term, ...], list[list[Any]]] = {}
        self._joined: Any = None

    def __call__(self, *windows: Window, residual: Any = None, large: bool = False) -> Any:
        fusion = self._arithmetic.fusion
        upsampled_too = any(coarse for _, coarse in self._kernels)
        if upsampled_too and residual is None and self._arithmetic.joins:
            return self._as_one(windows)
        if fusion is Fusion.AROUND and not large:
            fusion = Fusion.NONE
        terms = tuple(
            self._term(kernel, coarse, window.here.shape[0], fusion)
            for (kernel, coarse), window in zip(self._kernels, windows, strict=True)
        )
        if terms not in self._prepared:  # one entry, unless the grid's size changes how it is cut
            self._prepared[terms] = [
                [self._arithmetic.tensor(weight) for weight in term.prepare(kernel)]
                for term, (kernel, _) in zip(terms, self._kernels, strict=True)
            ]
        run = _convolutions(terms, self._activation, fusion)
        return run([tuple(window) for window in windows], self._prepared[terms], residual, self._values)

    def _as_one(self, windows: tuple[Window, ...]) -> Any:
        """The sum as one convolution of all channels, those of coarse volumes upsampled."""
        if self._joined is None:
            self._joined = self._arithmetic.tensor(np.concatenate([kernel for kernel, _ in self._kernels], axis=3))
        size, coarse = len(self._kernels[0][0]), tuple(coarse for _, coarse in self._kernels)
        join, convolve = _joining(size, coarse, self._activation, self._arithmetic.fusion)
        return convolve(join([tuple(window) for window in windows]), self._joined, self._values)

    def _term(self, kernel: np.ndarray, coarse: bool, planes: int, fusion: Fusion) -> Term:
        size, features = len(kernel), kernel.shape[-1]
        pays = self._arithmetic.filters(size, kernel.shape[3], fusion)
        if coarse:
            taps = 2 * parity_halo(size) + 1
            return upsampled(size, features, best_outputs(planes, taps, self._arithmetic.tile) if pays else 1)
        outputs = best_outputs(planes, size, self._arithmetic.tile) if pays else 1
        return Filtered(size, outputs) if outputs > 1 and size > 1 else Direct(size)


def _halo(kernel: int, coarse: bool) -> int:
    if not coarse:
        return kernel // 2
    return 1 if kernel == 3 else parity_halo(kernel)


@cache
def _convolutions(terms: tuple[Term, ...], activation: Activation, fusion: Fusion) -> Callable[..., Any]:
    """The function of tensors that layers of one kind share."""
    if fusion is not Fusion.AROUND:
        return compiled(partial(_all_phases, terms, activation), fusion)
    if len(terms) == 1 and isinstance(terms[0], Direct):
        return compiled(partial(_in_passing, terms[0], activation), fusion)
    transforms = [_transform(term, fusion) for term in terms]
    multiplies = [_multiply(term, fusion) for term in terms]
    # Interleaving is compiled on its own: fused with an activation, XLA would branch on every number.
    combines = [_combine(term, fusion) if term.interleaves else None for term in terms]
    ends = tuple(Combined() if term.interleaves else term for term in terms)
    finish = fused(partial(_end, ends, activation), fusion)

    def run(windows: list[Any], weights: list[list[Any]], residual: Any, values: list[Any]) -> Any:
        parts = []
        for transform, multiply, combine, window, weight in zip(
            transforms, multiplies, combines, windows, weights, strict=True
        ):
            products = multiply(transform(window), weight)
            parts.append([combine(products)] if combine else products)
        return finish(parts, residual, values)

    return run


@cache
def _transform(term: Term, fusion: Fusion) -> Callable[..., Any]:
    # There is nothing to fuse in a concatenation.
    return (compiled if isinstance(term, Direct) else fused)(term.transform, fusion)


@cache
def _multiply(term: Term, fusion: Fusion) -> Callable[..., Any]:
    return compiled(term.multiply, fusion)


@cache
def _combine(term: Term, fusion: Fusion) -> Callable[..., Any]:
    return fused(term.combine, fusion)


def _all_phases(
    terms: tuple[Term, ...], activation: Activation, windows: list[Any], weights: list[list[Any]], residual: Any,
    values: list[Any],
) -> Any:  # fmt: skip
    products = [
        term.multiply(term.transform(window), weight)
        for term, window, weight in zip(terms, windows, weights, strict=True)
    ]
    return _end(terms, activation, products, residual, values)


def _in_passing(
    term: Direct, activation: Activation, windows: list[Any], weights: list[list[Any]], residual: Any, values: list[Any]
) -> Any:
    """A plain convolution that takes bias and activation with it; a residual comes before them and forbids that."""
    if residual is not None:
        return _all_phases((term,), activation, windows, weights, residual, values)
    bias, *affine = values
    (x,) = term.transform(windows[0])
    return _mapped(convolve_and_activate(x, weights[0][0], bias, activation), affine)


def _mapped(total: Any, affine: list[Any]) -> Any:
    """An affine map, if any, whose result alone is rounded."""
    if not affine:
        return total
    scale, shift = (ops.cast(value, "float32") for value in affine)
    return ops.cast(ops.cast(total, "float32") * scale + shift, total.dtype)


@cache
def _joining(
    size: int, coarse: tuple[bool, ...], activation: Activation, fusion: Fusion
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Functions of tensors: from windows to one window of all channels, and the convolution of that."""
    return compiled(partial(_join, size, coarse), fusion), compiled(partial(_whole_window, activation), fusion)


def _join(size: int, coarse: tuple[bool, ...], windows: list[Any]) -> Any:
    parts = []
    for is_coarse, window in zip(coarse, windows, strict=True):
        x = ops.concatenate(window, axis=0)
        if is_coarse:
            surplus = 2 * window[0].shape[0] - size // 2
            for axis in range(3):
                x = ops.repeat(x, 2, axis)
            x = x[surplus : x.shape[0] - surplus]
        parts.append(x)
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)


def _whole_window(activation: Activation, x: Any, kernel: Any, values: list[Any]) -> Any:
    bias, *affine = values
    return _mapped(convolve_and_activate(x, kernel, bias, activation), affine)


@dataclass(frozen=True)
class Combined:
    """A term whose chunk is already made."""

    def combine(self, products: list[Any]) -> Any:
        return products[0]


def _end(
    terms: tuple[Term | Combined, ...], activation: Activation, products: list[Any], residual: Any, values: list[Any]
) -> Any:
    total, *others = [term.combine(product) for term, product in zip(terms, products, strict=True)]
    dtype = "float32" if others else total.dtype  # sums of several parts are not rounded in between
    bias, *affine = (ops.cast(value, dtype) for value in values)
    total = ops.cast(total, dtype)
    for other in others:
        total = total + ops.cast(other, dtype)
    total = total + bias
    if residual is not None:
        total = total + ops.cast(residual, dtype)
    total = {"elu": ops.elu, "relu": ops.relu, "none": lambda x: x}[activation](total)
    return ops.cast(total * affine[0] + affine[1] if affine else total, values[0].dtype)


class Pool:
    """Batch norm (optional), then the maximum over 2 x 2 x 2 voxels."""

    def __init__(self, arithmetic: Arithmetic, affine: Affine | None = None) -> None:
        self._values = [] if affine is None else [arithmetic.tensor(affine.scale), arithmetic.tensor(affine.shift)]
        # The maximum commutes with an affine map of positive scale, and there is less to scale after it.
        late = affine is None or bool((affine.scale > 0).all())
        self._run = compiled(_pool_then_scale if late else _scale_then_pool, arithmetic.fusion)

    def __call__(self, chunk: Any) -> Any:
        return self._run(chunk, self._values)


def _pool_then_scale(chunk: Any, values: list[Any]) -> Any:
    dtype = chunk.dtype
    half = keras.backend.standardize_dtype(dtype) == "float16"  # for which TensorFlow cannot pool on a CPU
    chunk = ops.cast(chunk, "float32") if half else chunk
    pooled = ops.cast(ops.max_pool(chunk[None], 2, strides=2, padding="valid")[0], dtype)
    return pooled * values[0] + values[1] if values else pooled


def _scale_then_pool(chunk: Any, values: list[Any]) -> Any:
    return _pool_then_scale(chunk * values[0] + values[1], [])


class Head:
    """1 x 1 x 1 convolution [c, n] and softmax over the channels, in float32."""

    def __init__(self, arithmetic: Arithmetic, kernel: np.ndarray, bias: np.ndarray) -> None:
        self._weights = [ops.convert_to_tensor(value.astype(np.float32)) for value in (kernel, bias)]
        self._run = compiled(_softmax_head, arithmetic.fusion)

    def __call__(self, chunk: Any) -> Any:
        return self._run(chunk, *self._weights)


def _softmax_head(chunk: Any, kernel: Any, bias: Any) -> Any:
    return ops.softmax(ops.matmul(ops.cast(chunk, "float32"), kernel) + bias, axis=-1)
