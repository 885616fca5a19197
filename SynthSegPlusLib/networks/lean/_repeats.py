"""Planes that repeat: around a head all planes of a label map are alike, and so is what a convolution makes of them.

A run of identical planes is shortened before the convolutions of a level, to what they need to see of it, and its
middle is repeated afterwards: the same numbers for less work. Runs are followed from level to level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from SynthSegPlusLib.networks.lean._stream import concatenated

Runs = tuple[tuple[int, int], ...]
"""Identical planes along an axis: [start, stop) of each run."""

STEP = 16
"""Shortened sides are multiples of this, so that few shapes occur and little is compiled anew."""

WORTHWHILE = 0.9
"""Shorten where at most this share of the voxels is left."""


def repeated_planes(volume: np.ndarray) -> tuple[Runs, Runs, Runs]:
    """Runs of identical planes of [X, Y, Z] along each axis."""
    return tuple(_runs(np.moveaxis(volume, axis, 0)) for axis in range(3))  # type: ignore[return-value]


def _runs(planes: np.ndarray) -> Runs:
    same = [bool((planes[i] == planes[i + 1]).all()) for i in range(len(planes) - 1)]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(int)))
    return tuple((int(start), int(stop) + 1) for start, stop in edges.reshape(-1, 2))


def after_pooling(runs: Runs, halo: int) -> Runs:
    """What is left of the runs after convolutions that reach ``halo`` planes, and pooling by two."""
    shrunk = [((start + halo + 1) // 2, (stop - halo) // 2) for start, stop in runs]
    return tuple((start, stop) for start, stop in shrunk if stop > start)


@dataclass(frozen=True)
class Shortened:
    """Which planes of a level are kept along each axis, and which kept plane stands for each original one."""

    kept: tuple[np.ndarray, ...]
    source: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], runs: tuple[Runs, ...], halo: int) -> Shortened:
        """For convolutions that reach ``halo`` planes in all; nothing is left out where it does not pay."""
        axes = [_shorten(length, own, halo) for length, own in zip(shape, runs, strict=True)]
        if np.prod([len(kept) for kept, _ in axes]) > WORTHWHILE * np.prod(shape):
            axes = [(np.arange(length), np.arange(length)) for length in shape]
        return cls(tuple(kept for kept, _ in axes), tuple(source for _, source in axes))

    @property
    def shape(self) -> tuple[int, int, int]:
        """The grid that is left."""
        return tuple(len(kept) for kept in self.kept)  # type: ignore[return-value]

    @property
    def is_whole(self) -> bool:
        return all(len(kept) == len(source) for kept, source in zip(self.kept, self.source, strict=True))

    def take(self, chunks: Iterable[Any]) -> Iterable[Any]:
        """The kept planes of a volume that comes in chunks."""
        if self.is_whole:
            return chunks
        return iter([_taken(concatenated(list(chunks)), self.kept)])

    def restore(self, chunks: Iterable[Any]) -> Iterator[Any]:
        """The whole volume again, in chunks of any length."""
        if self.is_whole:
            yield from chunks
            return
        start, along_x = 0, self.source[0]
        for chunk in chunks:
            stop = start + chunk.shape[0]
            wanted = along_x[(along_x >= start) & (along_x < stop)] - start
            yield _taken(chunk, (wanted, *self.source[1:]))
            start = stop


def _taken(chunk: Any, indices: tuple[np.ndarray, ...]) -> Any:
    from keras import ops

    for axis, index in enumerate(indices):
        if not np.array_equal(index, np.arange(chunk.shape[axis])):
            chunk = ops.take(chunk, index.astype(np.int32), axis=axis)
    return chunk


def _shorten(length: int, runs: Runs, halo: int) -> tuple[np.ndarray, np.ndarray]:
    """Kept planes, and for every plane its place among them.

    Of a run at least 2 * halo + 1 planes stay: those near either end, which see what is beyond it, and one that sees
    nothing else than the run.
    """
    spare = [max(0, stop - start - (2 * halo + 1)) for start, stop in runs]
    surplus = -(length - sum(spare)) % STEP  # planes that stay although they could go
    stays = np.ones(length, bool)
    for (_, stop), count in zip(runs, spare, strict=True):
        back = min(surplus, count)
        surplus -= back
        stays[stop - halo - (count - back) : stop - halo] = False
    return np.flatnonzero(stays), np.cumsum(stays) - 1
