"""Volumes as streams of chunks: consecutive planes along x, [planes, Y, Z, channels]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple


class Window(NamedTuple):
    """A chunk with the planes that a kernel reaches on either side (zeros beyond the volume)."""

    before: Any
    here: Any
    after: Any


def empty(like: Any, planes: int) -> Any:
    """Planes of zeros, of the shape and type of a chunk's."""
    from keras import ops

    return ops.zeros((planes, *like.shape[1:]), dtype=like.dtype)


def windows(chunks: Iterable[Any], halo: int, zeros: Callable[[Any, int], Any] = empty) -> Iterator[Window]:
    """Windows over chunks of at least ``halo`` planes; beyond the volume is zero."""
    before = here = None
    for chunk in chunks:
        if here is None:
            before = zeros(chunk, halo)
        else:
            yield Window(before, here, chunk[:halo])
            before = here[here.shape[0] - halo :]
        here = chunk
    if here is not None:
        yield Window(before, here, zeros(here, halo))


def concatenated(chunks: list[Any]) -> Any:
    """Chunks to one chunk."""
    from keras import ops

    return ops.concatenate(chunks, axis=0)


def regroup(chunks: Iterable[Any], planes: int, join: Callable[[list[Any]], Any] = concatenated) -> Iterator[Any]:
    """The same planes in chunks of ``planes``; the total must be a multiple of it."""
    held: list[Any] = []
    count = 0
    for chunk in chunks:
        held.append(chunk)
        count += chunk.shape[0]
        while count >= planes:
            joined = held[0] if len(held) == 1 else join(held)
            yield joined[:planes] if count > planes else joined
            count -= planes
            held = [joined[planes:]] if count else []


def chunk_planes(planes: int, wanted: int, halo: int, even: bool) -> int:
    """A divisor of ``planes`` near ``wanted``: at least ``halo``, even if asked for, multiples of 4 preferred.

    The whole volume where no smaller chunk will do.
    """
    step = 2 if even else 1
    possible = [n for n in range(step, planes + 1, step) if planes % n == 0 and n >= halo] or [planes]
    small = [n for n in possible if n <= wanted] or possible[:1]
    return max([n for n in small if n % 4 == 0] or small)
