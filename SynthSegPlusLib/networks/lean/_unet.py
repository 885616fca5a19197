"""The U-Net, chunk by chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from SynthSegPlusLib.networks._inputs import Inputs
from SynthSegPlusLib.networks._specs import UNetSpec
from SynthSegPlusLib.networks._weights import Weights
from SynthSegPlusLib.networks.lean._body import (
    Body,
    Tick,
    consumed,
    convolved,
    pooled,
    ticked,
)
from SynthSegPlusLib.networks.lean._layers import Arithmetic, Convolutions, Head
from SynthSegPlusLib.networks.lean._norms import Norms, Statistics
from SynthSegPlusLib.networks.lean._stream import regroup, windows


class LeanUNet(Body):
    """The network of a `UNetSpec`, ready to run on volumes."""

    spec: UNetSpec

    def __init__(self, spec: UNetSpec, weights: Weights, arithmetic: Arithmetic, chunk_voxels: int) -> None:
        super().__init__(spec, arithmetic, chunk_voxels)
        self._norms = Norms(weights, spec.norm, arithmetic)
        self._encoder = [self._encoder_level(level, weights) for level in range(spec.levels)]
        self._pools = [self._norms.pool(self._down(level)) for level in range(spec.levels - 1)]
        self._decoder = [self._decoder_step(step, weights) for step in range(spec.levels - 1)]
        self._head = self._make_head(weights)

    def _down(self, level: int) -> str:
        return f"{self.spec.prefix}_bn_down_{level}"

    def _up(self, step: int) -> str:
        return f"{self.spec.prefix}_bn_up_{step}"

    def _encoder_level(self, level: int, weights: Weights) -> list[Convolutions]:
        spec, layers = self.spec, []
        for index in range(spec.convolutions):
            deepest = level == spec.levels - 1 and index == spec.convolutions - 1
            # Elsewhere the norm comes with the pooling, because the skip connection leaves before it.
            norm = self._norms.folded(self._down(level)) if deepest and spec.levels > 1 else None
            values = weights[spec.down(level, index)]
            layers.append(Convolutions(self.arithmetic, [values["kernel"]], [False], values["bias"], "elu", norm))
        return layers

    def _decoder_step(self, step: int, weights: Weights) -> list[Convolutions]:
        spec, layers = self.spec, []
        level = spec.levels - 2 - step
        for index in range(spec.convolutions):
            inner = level > 0 and index == spec.convolutions - 1
            norm = self._norms.folded(self._up(step)) if inner else None  # the outermost is folded into the head
            values = weights[spec.up(step, index)]
            kernels, coarse = [values["kernel"]], [False]
            if index == 0:
                count = spec.level_features(level) if spec.has_skip(level) else 0
                skip, up = np.split(values["kernel"], [count], axis=3)
                kernels, coarse = ([skip, up], [False, True]) if count else ([up], [True])
            layers.append(Convolutions(self.arithmetic, kernels, coarse, values["bias"], "elu", norm))
        return layers

    def _make_head(self, weights: Weights) -> Head:
        spec = self.spec
        norm = self._norms.folded(self._up(spec.levels - 2) if spec.levels > 1 else self._down(0))
        values = weights[f"{spec.prefix}_likelihood"]
        kernel = values["kernel"][0, 0, 0]
        if norm is None:
            return Head(self.arithmetic, kernel, values["bias"])
        return Head(self.arithmetic, norm.scale[:, None] * kernel, norm.shift @ kernel + values["bias"])

    def work(self, shape: tuple[int, int, int]) -> float:
        """What the ticks of one run add up to."""
        voxels = float(np.prod(shape))
        total = sum(layer.size * voxels / 8**level for level, layers in enumerate(self._encoder) for layer in layers)
        for step, layers in enumerate(self._decoder):
            total += sum(layer.size for layer in layers) * voxels / 8 ** (self.spec.levels - 2 - step)
        return total

    def run(self, inputs: Inputs, tick: Tick) -> Iterator[Any]:
        """Posteriors as chunks [planes, Y, Z, n_labels], float32, in order along x."""
        spec, shape = self.spec, inputs.shape
        skips: dict[int, deque[Any]] = {}
        chunks: Iterable[Any] = self.source(inputs)
        for level, layers in enumerate(self._encoder):
            chunks = regroup(consumed(chunks) if level else chunks, self.planes(shape, level))
            for layer in layers:
                chunks = convolved(layer, chunks, tick, self.is_large(shape, level))
            if level < spec.levels - 1:
                if spec.has_skip(level):
                    skips[level] = deque()
                found = Statistics()
                chunks = self._norms.watched(self._down(level), chunks, found)
                chunks = list(pooled(self._pools[level], chunks, skips.get(level)))
                chunks = list(self._norms.after(self._down(level), chunks, found, pooled=True))
            else:
                chunks = self._norms.whole(self._down(level), chunks)
        for step, layers in enumerate(self._decoder):
            level = spec.levels - 2 - step
            chunks = self._merged(layers[0], list(chunks), skips.pop(level, None), level, shape, tick)
            for layer in layers[1:]:
                chunks = convolved(layer, chunks, tick, self.is_large(shape, level))
            chunks = self._norms.whole(self._up(step), chunks)
        yield from map(self._head, chunks)

    def _merged(
        self, layer: Convolutions, coarse: list[Any], skip: deque[Any] | None, level: int, shape: Any, tick: Tick
    ) -> Iterator[Any]:
        """The decoder's first convolution, on the coarser level's features and the skip connection's."""
        below = windows(regroup(consumed(coarse), self.planes(shape, level) // 2), layer.halos[-1])
        large = self.is_large(shape, level)
        if skip is None:
            for window in below:
                yield ticked(layer(window, large=large), layer, tick)
            return
        for fine, window in zip(windows(consumed(skip), layer.halos[0]), below, strict=True):
            yield ticked(layer(fine, window, large=large), layer, tick)
