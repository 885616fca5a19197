"""Posteriors, kept only where there is brain.

Outside the brain every posterior is "background, surely" once the foreground has been masked, so the
33 channels are stored for foreground voxels alone: the arithmetic is that of the dense array, in a
fraction of its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from SynthSegPlusLib.inference._components import grown_within, largest_component
from SynthSegPlusLib.labels import LabelTable

Box = tuple[slice, slice, slice]
Slabs = Iterable[tuple[slice, np.ndarray]]


class SoftLabels:
    """Posteriors of the structures of a table, on a grid [X, Y, Z].

    ``index`` holds flat (C order) voxel numbers, ascending, and ``rows`` the posteriors float32 [n, channels] there,
    both in pieces; every other voxel is background with probability one.
    """

    def __init__(self, shape: tuple[int, ...], table: LabelTable):
        self.shape = shape
        self.table = table
        self.index: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []

    @classmethod
    def gather(cls, slabs: Slabs, shape: tuple[int, ...], table: LabelTable, threshold: float,
               within: Box | None = None, visit: Callable[[slice, np.ndarray], object] | None = None,
               columns: tuple[int, int] = (0, 0)) -> SoftLabels:
        """Take the voxels whose foreground probability (all channels but 0) exceeds ``threshold``.

        ``within`` limits them to a box of the grid; ``visit`` also sees every slab. Slabs may be parts of the planes
        that begin at ``columns`` (y, z), and planes may be left out: the rest is background.
        """  # fmt: skip
        soft = cls(shape, table)
        foreground = np.ones(len(table), np.float32)
        foreground[0] = 0.0
        allowed = None if within is None else _box_mask(shape, within)
        for planes, slab in slabs:
            if visit is not None:
                visit(planes, slab)
            mask = slab @ foreground > threshold
            if allowed is not None:
                mask &= allowed[planes]
            local = np.flatnonzero(mask)
            x, y, z = np.unravel_index(local, mask.shape)
            corner = (planes.start, *columns)
            soft.index.append(np.ravel_multi_index((x + corner[0], y + corner[1], z + corner[2]), shape))
            soft.rows.append(slab.reshape(-1, len(table))[local])
        if not soft.index:
            soft.index.append(np.zeros(0, np.intp))
            soft.rows.append(np.zeros((0, len(table)), np.float32))
        return soft

    def keep_largest_component(self, threshold: float = 0.0) -> None:
        """Keep the largest component (6-connected) of the stored voxels; with a ``threshold``, of those
        whose foreground probability exceeds it.

        Stored voxels below it stay where they hang together with this component. The rest becomes background.
        """
        stored, sure = np.zeros((2, int(np.prod(self.shape))), bool)
        for index, rows in zip(self.index, self.rows, strict=True):
            stored[index] = True
            sure[index] = rows[:, 1:].sum(axis=1) > threshold if threshold > 0 else True
        kept = largest_component(sure.reshape(self.shape))
        tails = stored & ~sure
        self._keep(grown_within(kept, tails.reshape(self.shape)) if tails.any() else kept)

    def keep_box(self, box: Box) -> None:
        """Outside ``box`` everything is background."""
        self._keep(_box_mask(self.shape, box))

    def _keep(self, mask: np.ndarray) -> None:
        flat = mask.reshape(-1)
        for number, index in enumerate(self.index):
            kept = flat[index]
            if not kept.all():
                self.index[number] = index[kept]
                self.rows[number] = self.rows[number][kept]

    def drop_below(self, threshold: float) -> None:
        """Posteriors up to ``threshold`` become 0; the background is untouched."""
        for rows in self.rows:
            foreground = rows[:, 1:]
            foreground[foreground <= threshold] = 0.0

    def keep_topology(self, threshold: float, tails: bool = False) -> None:
        """Each topological class keeps the largest component of voxels where one of its channels exceeds ``threshold``.

        tails: whether posteriors up to ``threshold`` outside of it stay. Channels of class 0 (background,
        extracerebral CSF) are untouched.
        """
        classes = self.table.topology
        mask = np.empty(int(np.prod(self.shape)), bool)
        for number in np.unique(classes[classes > 0]):
            channels = np.flatnonzero(classes == number)
            mask[:] = False
            for index, rows in zip(self.index, self.rows, strict=True):
                mask[index] = (rows[:, channels] > threshold).any(axis=1)
            kept = largest_component(mask.reshape(self.shape)).reshape(-1)
            for index, rows in zip(self.index, self.rows, strict=True):
                outside = np.ix_(~kept[index], channels)
                rows[outside] = np.where(rows[outside] > threshold, 0.0, rows[outside]) if tails else 0.0

    def restrict(self, groups: np.ndarray, group_of_channel: np.ndarray, leak: float) -> None:
        """Multiply channels whose group is not the voxel's ``groups`` [X, Y, Z] by ``leak`` (see `normalise`)."""
        flat = groups.reshape(-1)
        for index, rows in zip(self.index, self.rows, strict=True):
            rows[group_of_channel[None, :] != flat[index][:, None]] *= leak

    def normalise(self) -> None:
        """Divide by the sum over channels. Where nothing is left, the voxel is background.

        The reference divides 0 by 0 there and counts NaN volumes.
        """
        for rows in self.rows:
            total = rows.sum(axis=1, keepdims=True)
            empty = total[:, 0] <= 0
            if empty.any():
                rows[empty, 0] = 1.0
                total[empty] = 1.0
            rows /= total

    def channel_map(self) -> np.ndarray:
        """Channel of the largest posterior, uint8 [X, Y, Z]; the lowest on ties."""
        out = np.zeros(int(np.prod(self.shape)), np.uint8)
        for index, rows in zip(self.index, self.rows, strict=True):
            out[index] = rows.argmax(axis=1)
        return out.reshape(self.shape)

    def sums(self) -> np.ndarray:
        """Sum of the stored posteriors per channel, float64 [channels], in voxels; channel 0 is incomplete."""
        total = np.zeros(len(self.table))
        for rows in self.rows:
            total += rows.sum(axis=0, dtype=np.float64)
        return total

    def take(self, channels: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """(index [n], posteriors [n, len(channels)]) of the voxels where one of these channels is above 0."""
        index, rows = [], []
        for where, values in zip(self.index, self.rows, strict=True):
            wanted = values[:, channels]
            present = (wanted > 0).any(axis=1)
            index.append(where[present])
            rows.append(wanted[present])
        return np.concatenate(index), np.concatenate(rows)

    def channel(self, number: int) -> np.ndarray:
        """One channel on the whole grid, float32 [X, Y, Z]."""
        out = np.full(int(np.prod(self.shape)), 1.0 if number == 0 else 0.0, np.float32)
        for index, rows in zip(self.index, self.rows, strict=True):
            out[index] = rows[:, number]
        return out.reshape(self.shape)


def _box_mask(shape: tuple[int, ...], box: Box) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[box] = True
    return mask
