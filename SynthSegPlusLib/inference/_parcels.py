"""Parcels of the cortex: from the posteriors of S3 to hard parcels and volumes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SynthSegPlusLib.inference._smoothing import Slabs
from SynthSegPlusLib.labels import LabelTable, parcels

LEAK = 1e-6
"""Weight of a parcel's partner in the other hemisphere: decides only where S3 gives this hemisphere nothing."""


@dataclass(frozen=True)
class Parcels:
    """Result of the parcellation.

    ``labels``: parcel label values int32 [n] of the voxels ``index`` (flat, of the grid of the labels), all inside the
    cortex. ``sums``: volume per parcel (68, ascending by label), float64, in voxels, or in any unit before scaling.
    """

    index: np.ndarray
    labels: np.ndarray
    sums: np.ndarray


class PublishedRule:
    """The reference's combination, fed with slabs of S3's posteriors on the working grid (1 mm).

    Inside the cortex the background of S3 is ruled out, outside it is set to 1; after division by the sum every
    voxel counts. The hemisphere is not forced to agree with the cortex label.
    """

    def __init__(self, cortex: np.ndarray, box: tuple[slice, slice, slice]):
        self._cortex = cortex
        self._box = box
        self._table = parcels()
        self._sums = np.zeros(len(self._table) - 1)
        self._index: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, slabs: Slabs) -> None:
        """Take slabs of S3's posteriors on the grid of ``cortex``."""
        size_y, size_z = self._cortex.shape[1:]
        inner_x, inner_y, inner_z = self._box
        for planes, slab in slabs:
            for number, posteriors in enumerate(slab, start=planes.start):
                if not inner_x.start <= number < inner_x.stop:
                    continue
                cortex = self._cortex[number, inner_y, inner_z]
                self._add_plane(posteriors[inner_y, inner_z], cortex)
                row, column = np.nonzero(cortex)
                row, column = row + inner_y.start, column + inner_z.start
                self._index.append((number * size_y + row) * size_z + column)

    def _add_plane(self, posteriors: np.ndarray, cortex: np.ndarray) -> None:
        values = posteriors[..., 1:]
        total = values @ np.ones(values.shape[-1], np.float32)
        divisor = total + ~cortex
        weight = np.divide(1.0, divisor, out=np.zeros_like(total), where=divisor > 0)
        # float32 dot products of one row of voxels, added up in float64
        self._sums += np.matmul(weight[:, None, :], values)[:, 0, :].sum(axis=0, dtype=np.float64)
        inside = values[cortex]
        channel = np.where(total[cortex] > 0, inside.argmax(axis=1) + 1, 0)
        self._labels.append(self._table.values[channel])

    def result(self) -> Parcels:
        return Parcels(np.concatenate(self._index), np.concatenate(self._labels), self._sums)


class ConditionalRule:
    """Parcels given the hemisphere: volume = sum of p(cortex of its hemisphere) p(parcel | voxel, hemisphere).

    The second factor adds up to one over the parcels of a hemisphere, so the parcels add up to the cortex, and a hard
    parcel takes the hemisphere of the cortex label below it.

    Parameters
    ----------
    index
        Flat voxel numbers [n] where the cortex has any probability, ascending.
    soft
        float32 [n, 2]: p(left cortex), p(right cortex) there.
    hard
        int8 [n]: 0 where the label is left cortex, 1 right cortex, -1 neither.
    plane_size
        Voxels in a plane of the grid.
    """

    def __init__(self, index: np.ndarray, soft: np.ndarray, hard: np.ndarray, plane_size: int):
        self._plane_size = plane_size
        self._index, self._soft, self._hard = index, soft, hard
        self._table = parcels()
        self._channels = [_channels_of(self._table, side) for side in ("left", "right")]
        self._sums = np.zeros(len(self._table))
        self._labels = np.zeros(len(index), np.int32)

    def add(self, slabs: Slabs) -> None:
        """Take slabs of S3's posteriors on the grid that ``index`` numbers."""
        plane_size = self._plane_size
        for planes, slab in slabs:
            first, last = np.searchsorted(self._index, [planes.start * plane_size, planes.stop * plane_size])
            local = self._index[first:last] - planes.start * plane_size
            self._add_rows(slice(first, last), slab.reshape(-1, slab.shape[-1])[local])

    def _add_rows(self, where: slice, rows: np.ndarray) -> None:
        """Take S3's posteriors float32 [m, 69] of the voxels ``index[where]``."""
        for side, channels in enumerate(self._channels):
            given = rows[:, channels] + LEAK * rows[:, self._table.partners[channels]] + LEAK**2
            given /= given.sum(axis=1, keepdims=True)
            self._sums[channels] += (given * self._soft[where, side, None]).sum(axis=0, dtype=np.float64)
            inside = self._hard[where] == side
            values = self._table.values[channels]
            self._labels[where][inside] = values[given[inside].argmax(axis=1)]

    def result(self) -> Parcels:
        inside = self._hard >= 0
        return Parcels(self._index[inside], self._labels[inside], self._sums[1:])


def _channels_of(table: LabelTable, hemisphere: str) -> np.ndarray:
    return table.channels([label.value for label in table.select(hemisphere=hemisphere)])
