"""The quality regressor, chunk by chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from SynthSegPlusLib.networks._inputs import Inputs
from SynthSegPlusLib.networks._specs import RegressorSpec
from SynthSegPlusLib.networks._weights import Weights
from SynthSegPlusLib.networks.lean._body import (
    Body,
    Tick,
    consumed,
    convolved,
    pooled,
    ticked,
)
from SynthSegPlusLib.networks.lean._layers import Activation, Affine, Arithmetic, Convolutions
from SynthSegPlusLib.networks.lean._norms import Norms, Statistics
from SynthSegPlusLib.networks.lean._repeats import Runs, Shortened, after_pooling, repeated_planes
from SynthSegPlusLib.networks.lean._stream import concatenated, regroup, windows


class LeanRegressor(Body):
    """The network of a `RegressorSpec`, ready to run on label maps."""

    spec: RegressorSpec

    def __init__(self, spec: RegressorSpec, weights: Weights, arithmetic: Arithmetic, chunk_voxels: int) -> None:
        super().__init__(spec, arithmetic, chunk_voxels)
        self._published = spec.variant == "published"
        self._norms = Norms(weights, spec.norm, arithmetic)
        levels = range(spec.levels)
        self._convolutions = [self._level(level, weights) for level in levels]
        self._forks = [self._fork(level, weights) for level in levels if self._published]
        count = spec.levels if self._published else spec.levels - 1
        self._pools = [self._norms.pool(self._down(level)) for level in range(count)]
        activations: tuple[Activation, Activation] = ("relu", "relu") if self._published else ("elu", "none")
        self._final = [
            self._layer(weights[f"{spec.prefix}_final_conv_{index}"], activation)
            for index, activation in enumerate(activations)
        ]

    def _down(self, level: int) -> str:
        return f"{self.spec.prefix}_bn_down_{level}"

    def _level(self, level: int, weights: Weights) -> list[Convolutions]:
        spec, layers = self.spec, []
        first = 1 if self._published and spec.convolutions > 1 else 0  # the published first one is in the fork
        for index in range(first, spec.convolutions):
            deepest = not self._published and level == spec.levels - 1 and index == spec.convolutions - 1
            norm = self._norms.folded(self._down(level)) if deepest else None
            # In the residual block the last ReLU comes after the sum; `Convolutions` adds the residual before it.
            activation: Activation = "relu" if self._published else "elu"
            layers.append(self._layer(weights[spec.down(level, index)], activation, norm))
        return layers

    def _fork(self, level: int, weights: Weights) -> Convolutions:
        """Both convolutions of a residual block's input, the first of the block and the shortcut, as one."""
        names = [self.spec.down(level, 0)] * (self.spec.convolutions > 1) + [self.spec.shortcut(level)]
        kernel = np.concatenate([weights[name]["kernel"] for name in names], axis=-1)
        bias = np.concatenate([weights[name]["bias"] for name in names])
        return self._layer({"kernel": kernel, "bias": bias}, "relu")

    def _layer(self, values: dict[str, np.ndarray], activation: Activation, norm: Affine | None = None) -> Convolutions:
        return Convolutions(self.arithmetic, [values["kernel"]], [False], values["bias"], activation, norm)

    def _reach(self) -> int:
        """Planes that the convolutions of one level see on either side, one after the other."""
        return self.spec.convolutions * (self.spec.kernel // 2)

    def _plan(self, inputs: Inputs) -> list[Shortened]:
        """What of each level is computed, the rest being repeated planes."""
        runs: tuple[Runs, ...] = ((), (), ()) if inputs.groups is None else repeated_planes(inputs.groups)
        found = []
        for level in range(self.spec.levels):
            shape = tuple(length >> level for length in inputs.shape)
            found.append(Shortened.of(shape, runs, self._reach()))
            runs = tuple(after_pooling(own, self._reach()) for own in runs)
        return found

    def work(self, inputs: Inputs) -> float:
        """What the ticks of one run add up to."""
        layers = [[*convolutions] for convolutions in self._convolutions]
        for level, fork in enumerate(self._forks):
            layers[level].append(fork)
        voxels = [float(np.prod(level.shape)) for level in self._plan(inputs)]
        total = sum(layer.size * count for count, found in zip(voxels, layers, strict=True) for layer in found)
        return total + sum(layer.size for layer in self._final) * float(np.prod(inputs.shape)) / 8 ** len(self._pools)

    def run(self, inputs: Inputs, tick: Tick) -> Any:
        """Raw scores, a tensor [n_outputs], float32."""
        from keras import ops

        plan = self._plan(inputs)
        chunks: Iterable[Any] = []
        for level, layers in enumerate(self._convolutions):
            part = plan[level]
            shape = (part.shape[0] << level, part.shape[1] << level, part.shape[2] << level)
            source = part.take(consumed(chunks)) if level else self.source(_taken_inputs(inputs, part))
            chunks = regroup(source, self.planes(shape, level))
            large = self.is_large(shape, level)
            if self._published:
                chunks = self._residual(layers, self._forks[level], chunks, tick, large)
            else:
                for layer in layers:
                    chunks = convolved(layer, chunks, tick, large)
            if not part.is_whole:
                chunks = regroup(part.restore(chunks), self.planes(inputs.shape, level))
            found, poolable = Statistics(), level < len(self._pools)
            chunks = self._norms.watched(self._down(level), chunks, found)
            chunks = list(pooled(self._pools[level], chunks) if poolable else chunks)
            chunks = list(self._norms.after(self._down(level), chunks, found, pooled=poolable))
        chunks = [concatenated(list(chunks))]
        for layer in self._final:
            chunks = convolved(layer, chunks, tick, large=False)
        features = ops.cast(concatenated(list(chunks)), "float32")
        return (ops.mean if self._published else ops.max)(features, axis=(0, 1, 2))

    def _residual(
        self, layers: list[Convolutions], fork: Convolutions, chunks: Iterable[Any], tick: Tick, large: bool
    ) -> Iterator[Any]:
        """``relu(shortcut(x) + layers(x))``; the shortcut's chunks wait until the other path has its halo."""
        waiting: deque[Any] = deque()
        inner: Iterable[Any] = self._forked(fork, chunks, waiting, tick, large)
        for layer in layers[:-1]:
            inner = convolved(layer, inner, tick, large)
        last = layers[-1]
        for window in windows(inner, last.halos[0]):
            yield ticked(last(window, residual=waiting.popleft(), large=large), last, tick)

    def _forked(
        self, fork: Convolutions, chunks: Iterable[Any], waiting: deque[Any], tick: Tick, large: bool
    ) -> Iterator[Any]:
        for window in windows(chunks, fork.halos[0]):
            both = ticked(fork(window, large=large), fork, tick)
            if self.spec.convolutions == 1:
                waiting.append(both)
                yield window.here
            else:
                features = both.shape[-1] // 2
                waiting.append(both[..., features:])
                yield both[..., :features]


def _taken_inputs(inputs: Inputs, part: Shortened) -> Inputs:
    """The kept planes of a label map; a plan keeps everything where there are other channels."""
    if inputs.groups is None or part.is_whole:
        return inputs
    return Inputs(groups=inputs.groups[np.ix_(*part.kept)], n_groups=inputs.n_groups)
