"""The refiner's part: a small network that looks at the output grid itself.

Networks on a coarser grid know where structures lie, and Bayes' rule what each voxel's own intensity says
(`_appearance`). Neither sees that a voxel's neighbours at 1 mm are all of another structure. The refiner does: it is
given the intensities, the posteriors before Bayes' rule and those after it, and answers with a factor for every
structure in every voxel. Left and right it does not tell apart: where in the head a voxel lies the coarser networks
have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from SynthSegPlusLib.inference._appearance import CERTAIN
from SynthSegPlusLib.inference._rules import refiner_channels
from SynthSegPlusLib.labels import LabelTable
from SynthSegPlusLib.networks import Inputs

SEEN = (-1.0, 2.0)
"""Normalised intensities that the refiner is shown; beyond lie metal and broken voxels."""
_FULL = 65535  # posteriors of a whole box are held as whole shares of this, in half the memory


def shown_to_refiner(
    intensities: np.ndarray, before: np.ndarray, after: np.ndarray, table: LabelTable
) -> np.ndarray:
    """The refiner's input, float32 [..., 1 + 2 K].

    intensities: normalised and without the bias field, float [...]; before, after: posteriors [..., C] without and with
    what these intensities say.
    """
    of_kind = np.eye(refiner_channels(table)[1], dtype=np.float32)[table.kinds]
    seen = np.clip(intensities, *SEEN)[..., None].astype(np.float32)
    return np.concatenate([seen, after @ of_kind, before @ of_kind], axis=-1)


@dataclass(frozen=True)
class Shares(Inputs):
    """One channel as it is and others as whole shares of 65535, ``shares`` uint16 [X, Y, Z, n]."""

    shares: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint16))

    @property
    def channels(self) -> int:
        return super().channels + self.shares.shape[3]

    def slab(self, start: int, stop: int) -> np.ndarray:
        """As `Inputs.slab`."""
        low, high = max(start, 0), min(stop, self.shape[0])
        out = np.zeros((stop - start, *self.shape[1:], self.channels), np.float32)
        inner, first = out[low - start : high - start], super().channels
        assert self.image is not None
        inner[..., :first] = self.image[low:high]
        np.multiply(self.shares[low:high], np.float32(1 / _FULL), out=inner[..., first:])
        return out


class Closeup:
    """What the refiner is shown of a box of the output grid, filled plane by plane, and what it makes of that.

    ``shape``: of the box [X, Y, Z]; ``multiple``: what the network's grid must be divisible by; ``strength``: exponent
    of its factors.
    """

    def __init__(self, shape: tuple[int, ...], table: LabelTable, multiple: int, strength: float) -> None:
        self._table, self._strength, self._shape = table, strength, shape
        padded = tuple(-(-side // multiple) * multiple for side in shape)
        self._seen = np.zeros(padded, np.float32)
        self._kinds = np.zeros((*padded, refiner_channels(table)[0] - 1), np.uint16)
        self._posteriors = np.empty((*shape, len(table)), np.uint16)

    def add(self, plane: int, intensities: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Note a plane [Y, Z]; as `shown_to_refiner`."""
        _, y, z = self._shape
        shown = shown_to_refiner(intensities, before, after, self._table)
        self._seen[plane, :y, :z] = shown[..., 0]
        self._kinds[plane, :y, :z] = _as_shares(shown[..., 1:])
        self._posteriors[plane] = _as_shares(after)

    def refined(
        self, net: Any, progress: Callable[[float], object], cancelled: Callable[[], bool]
    ) -> Iterator[np.ndarray]:
        """Posteriors of every plane, float32 [Y, Z, C], as the network ``net`` changes them, in order.

        What is surely background stays.
        """
        kinds = self._table.kinds
        x, y, z = self._shape
        inputs = Shares(image=self._seen, shares=self._kinds)
        for planes, slab in net.slabs(inputs, progress, cancelled):
            for number in range(planes.start, min(planes.stop, x)):
                found = self._posteriors[number] * np.float32(1 / _FULL)
                inside = found[..., 0] < CERTAIN
                factors = slab[number - planes.start, :y, :z][inside] ** np.float32(self._strength)
                rows = found[inside] * factors[:, kinds]
                total = rows.sum(axis=1, keepdims=True)
                found[inside] = np.divide(rows, total, out=found[inside], where=total > 0)
                yield found


def _as_shares(values: np.ndarray) -> np.ndarray:
    return np.minimum(values * np.float32(_FULL) + np.float32(0.5), np.float32(_FULL)).astype(np.uint16)
