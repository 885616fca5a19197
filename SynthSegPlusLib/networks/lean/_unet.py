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
    batch_norm,
    consumed,
    convolved,
    pooled,
    ticked,
)
from SynthSegPlusLib.networks.lean._layers import Affine, Arithmetic, Convolutions, Head, Pool
from SynthSegPlusLib.networks.lean._stream import regroup, windows


class LeanUNet(Body):
    """The network of a `UNetSpec`, ready to run on volumes."""

    spec: UNetSpec

    def __init__(self, spec: UNetSpec, weights: Weights, arithmetic: Arithmetic, chunk_voxels: int) -> None:
        super().__init__(spec, arithmetic, chunk_voxels)
        norms = {name: batch_norm(values) for name, values in weights.items() if "gamma" in values}
        self._encoder = [self._encoder_level(level, weights, norms) for level in range(spec.levels)]
        self._pools = [Pool(arithmetic, norms[f"{spec.prefix}_bn_down_{level}"]) for level in range(spec.levels - 1)]
        self._decoder = [self._decoder_step(step, weights, norms) for step in range(spec.levels - 1)]
        self._head = self._make_head(weights, norms)

    def _encoder_level(self, level: int, weights: Weights, norms: dict[str, Affine]) -> list[Convolutions]:
        spec, layers = self.spec, []
        for index in range(spec.convolutions):
            deepest = level == spec.levels - 1 and index == spec.convolutions - 1
            # Elsewhere the norm comes with the pooling, because the skip connection leaves before it.
            norm = norms[f"{spec.prefix}_bn_down_{level}"] if deepest and spec.levels > 1 else None
            values = weights[spec.down(level, index)]
            layers.append(Convolutions(self.arithmetic, [values["kernel"]], [False], values["bias"], "elu", norm))
        return layers

    def _decoder_step(self, step: int, weights: Weights, norms: dict[str, Affine]) -> list[Convolutions]:
        spec, layers = self.spec, []
        level = spec.levels - 2 - step
        for index in range(spec.convolutions):
            inner = level > 0 and index == spec.convolutions - 1
            norm = norms[f"{spec.prefix}_bn_up_{step}"] if inner else None  # the outermost is folded into the head
            values = weights[spec.up(step, index)]
            kernels, coarse = [values["kernel"]], [False]
            if index == 0:
                count = spec.level_features(level) if spec.has_skip(level) else 0
                skip, up = np.split(values["kernel"], [count], axis=3)
                kernels, coarse = ([skip, up], [False, True]) if count else ([up], [True])
            layers.append(Convolutions(self.arithmetic, kernels, coarse, values["bias"], "elu", norm))
        return layers

    def _make_head(self, weights: Weights, norms: dict[str, Affine]) -> Head:
        spec = self.spec
        last = f"bn_up_{spec.levels - 2}" if spec.levels > 1 else "bn_down_0"
        norm, values = norms[f"{spec.prefix}_{last}"], weights[f"{spec.prefix}_likelihood"]
        kernel = values["kernel"][0, 0, 0]
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
                chunks = list(pooled(self._pools[level], chunks, skips.get(level)))
        for step, layers in enumerate(self._decoder):
            level = spec.levels - 2 - step
            chunks = self._merged(layers[0], list(chunks), skips.pop(level, None), level, shape, tick)
            for layer in layers[1:]:
                chunks = convolved(layer, chunks, tick, self.is_large(shape, level))
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
