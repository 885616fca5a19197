"""What the lean U-Net and the lean regressor have in common."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from SynthSegPlusLib.networks._inputs import Inputs
from SynthSegPlusLib.networks._specs import RegressorSpec, UNetSpec
from SynthSegPlusLib.networks.lean._layers import Arithmetic, Convolutions, Pool
from SynthSegPlusLib.networks.lean._stream import chunk_planes, windows

Tick = Callable[[float], None]
"""Told the multiply-adds just done; may raise `Cancelled`."""

LARGE = 40_000_000
"""Numbers in a level's features from which the backend's compiler earns back its own time within one scan."""


class Body:
    """A description, its arithmetic, and how volumes are cut into chunks."""

    def __init__(self, spec: UNetSpec | RegressorSpec, arithmetic: Arithmetic, chunk_voxels: int) -> None:
        self.spec = spec
        self.arithmetic = arithmetic
        self.chunk_voxels = chunk_voxels

    def planes(self, shape: tuple[int, int, int], level: int) -> int:
        """Planes per chunk at a level: about as many numbers as ``chunk_voxels`` at the finest."""
        x, y, z = (length >> level for length in shape)
        growth = self.spec.level_features(level) // self.spec.features
        even = x % 2 == 0
        return chunk_planes(x, self.chunk_voxels // (y * z * growth), self.spec.kernel // 2, even)

    def is_large(self, shape: tuple[int, int, int], level: int) -> bool:
        """Whether compiling the layers of a level pays."""
        return float(np.prod(shape)) / 8**level * self.spec.level_features(level) >= LARGE

    def source(self, inputs: Inputs) -> Iterator[Any]:
        """The input as chunks of the finest level."""
        planes = self.planes(inputs.shape, 0)
        for start in range(0, inputs.shape[0], planes):
            yield self.arithmetic.tensor(inputs.slab(start, start + planes))


def convolved(layer: Convolutions, chunks: Iterable[Any], tick: Tick, large: bool) -> Iterator[Any]:
    """One convolution over a stream."""
    for window in windows(chunks, layer.halos[0]):
        yield ticked(layer(window, large=large), layer, tick)


def ticked(chunk: Any, layer: Convolutions, tick: Tick) -> Any:
    """Report a chunk that a layer has made, and pass it on."""
    tick(float(np.prod(chunk.shape[:3])) * layer.size)
    return chunk


def pooled(pool: Pool, chunks: Iterable[Any], kept: deque[Any] | None = None) -> Iterator[Any]:
    """Pooling over a stream; what is pooled is also kept, if asked."""
    for chunk in chunks:
        if kept is not None:
            kept.append(chunk)
        yield pool(chunk)


def consumed(chunks: Iterable[Any]) -> Iterator[Any]:
    """The chunks, each let go as soon as it was handed out."""
    held = deque(chunks)
    while held:
        yield held.popleft()
