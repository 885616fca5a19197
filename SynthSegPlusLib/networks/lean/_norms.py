"""Norms: affine maps that are known beforehand (batch), or only when the whole volume has passed (instance)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from keras import ops

from SynthSegPlusLib.networks._specs import BATCH_NORM_EPSILON, Norm
from SynthSegPlusLib.networks._weights import Weights
from SynthSegPlusLib.networks.lean._compile import compiled
from SynthSegPlusLib.networks.lean._layers import Affine, Arithmetic, Pool


class Norms:
    """The norms of one network, by layer name.

    A batch norm is folded into the layers beside it (`folded`, `pool`). An instance norm takes a volume whose chunks
    are held until its statistics are known (`after`); pooling goes before it, with the sign of its scale.
    """

    def __init__(self, weights: Weights, kind: Norm, arithmetic: Arithmetic) -> None:
        self._values = {name: values for name, values in weights.items() if "gamma" in values}
        self._is_instance = kind == "instance"
        self._arithmetic = arithmetic
        self._scale = compiled(_scaled, arithmetic.fusion)
        self._moments = compiled(_moments, arithmetic.fusion)

    def folded(self, name: str) -> Affine | None:
        """The affine map of a batch norm; None for an instance norm."""
        return None if self._is_instance else _affine(self._values[name])

    def pool(self, name: str) -> Pool:
        """Norm and pooling; of an instance norm the sign only, so that a maximum stays a maximum (see `after`)."""
        affine = self.folded(name)
        if affine is None:
            sign = _sign(self._values[name]["gamma"])
            affine = Affine(sign, np.zeros_like(sign)) if (sign < 0).any() else None
        return Pool(self._arithmetic, affine)

    def watched(self, name: str, chunks: Iterable[Any], found: Statistics) -> Iterable[Any]:
        """The chunks, measured as they pass; a batch norm need not know."""
        return found.watch(chunks, self._moments) if self._is_instance else chunks

    def after(self, name: str, chunks: list[Any], found: Statistics, pooled: bool = False) -> Iterator[Any]:
        """An instance norm of chunks whose statistics are complete; after a batch norm's layers nothing is left."""
        if not self._is_instance:
            yield from chunks
            return
        mean, variance = found.result()
        affine = _affine(self._values[name] | {"moving_mean": mean, "moving_variance": variance})
        scale = np.abs(affine.scale) if pooled else affine.scale
        values = [self._arithmetic.tensor(value.astype(np.float32)) for value in (scale, affine.shift)]
        chunks.reverse()
        while chunks:
            yield self._scale(chunks.pop(), values)

    def whole(self, name: str, chunks: Iterable[Any]) -> Iterable[Any]:
        """An instance norm of a stream, which is held until it is complete."""
        if not self._is_instance:
            return chunks
        found = Statistics()
        return self.after(name, list(self.watched(name, chunks, found)), found)


class Statistics:
    """Mean and variance of each channel, gathered chunk by chunk without cancellation."""

    def __init__(self) -> None:
        self._parts: list[tuple[float, Any]] = []

    def watch(self, chunks: Iterable[Any], moments: Any) -> Iterator[Any]:
        """Pass the chunks on and remember their moments."""
        for chunk in chunks:
            self._parts.append((float(np.prod(chunk.shape[:3])), moments(chunk)))
            yield chunk

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance, float64 [channels], of all that was watched."""
        sizes = np.array([size for size, _ in self._parts])[:, None]
        parts = np.stack([np.asarray(ops.convert_to_numpy(part), np.float64) for _, part in self._parts])
        means, variances = parts[:, 0], parts[:, 1]
        mean = (sizes * means).sum(0) / sizes.sum()
        return mean, (sizes * (variances + (means - mean) ** 2)).sum(0) / sizes.sum()


def _affine(values: dict[str, np.ndarray]) -> Affine:
    scale = values["gamma"] / np.sqrt(values["moving_variance"] + BATCH_NORM_EPSILON)
    return Affine(scale, values["beta"] - values["moving_mean"] * scale)


def _sign(gamma: np.ndarray) -> np.ndarray:
    return np.where(gamma < 0, -1.0, 1.0).astype(np.float32)


def _moments(chunk: Any) -> Any:
    mean, variance = ops.moments(ops.cast(chunk, "float32"), axes=(0, 1, 2))
    return ops.stack([mean, variance])


def _scaled(chunk: Any, values: list[Any]) -> Any:
    # Rounding the map to 16 bits would shift every voxel alike; only the result is rounded.
    scaled = ops.cast(chunk, "float32") * ops.cast(values[0], "float32") + ops.cast(values[1], "float32")
    return ops.cast(scaled, chunk.dtype)
