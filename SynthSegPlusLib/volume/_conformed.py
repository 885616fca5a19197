"""A scan as the networks see it, and all the ways back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from SynthSegPlusLib.volume._axes import linear, nearest
from SynthSegPlusLib.volume._orientation import Orientation
from SynthSegPlusLib.volume._plan import Maps, whole_scan
from SynthSegPlusLib.volume._volume import Volume

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Conformed:
    """A scan as the networks see it, and the way back.

    Three grids, all in R, A, S order: the *working* grid (resolution_mm; `image` is a patch of it, padded with zeros),
    the *output* grid (1 mm, the scan's whole field of view; the same as the working grid at 1 mm), and the *native*
    grid (the scan's own voxels). An array on the padded patch goes to_output(), and from there restore() gives a
    Volume in the input's own axis order.

    image: float32 [X, Y, Z] in [0, 1]. affine: of the padded patch, voxel to RAS in mm. inner: the box of `image` that
    holds the scan. resampled: whether the output grid is not the scan's own. voxel_volume_mm3: of the output grid, by
    the scheme's rule for volumes; working_voxel_volume_mm3: of the working grid.
    """

    scheme: Literal["published", "centred"]
    volume: Volume
    image: np.ndarray
    affine: np.ndarray
    resolution_mm: float
    resampled: bool
    inner: Box
    patch: Box
    working_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_affine: np.ndarray
    voxel_volume_mm3: float
    working_voxel_volume_mm3: float
    orientation: Orientation
    restored_affine: np.ndarray
    _to_output: Maps
    _to_native: Maps

    @property
    def output_is_inner(self) -> bool:
        """Whether to_output() is nothing but taking the inner box: 1 mm working resolution and no crop."""
        return not any(self._to_output) and all(
            box == slice(0, n) for box, n in zip(self.patch, self.working_shape, strict=True)
        )

    def to_output(self, array: np.ndarray) -> np.ndarray:
        """Bring an array [X, Y, Z] or [X, Y, Z, C] from the padded patch to the output grid.

        Voxels outside a crop become background: 0 in [X, Y, Z], and 1 in channel 0 of [X, Y, Z, C]. A working grid
        other than the output grid is interpolated linearly (posteriors), integers by nearest neighbour (labels).
        """
        inner = array[self.inner]
        if self.output_is_inner:
            return inner
        if array.ndim == 3:
            return self._labels_to_output(inner)
        out = np.empty((*self.output_shape, array.shape[3]), array.dtype)
        for plane, found in zip(out, self.output_planes(array), strict=True):
            plane[:] = found
        return out

    def output_planes(self, posteriors: np.ndarray, window: Box | None = None) -> Iterator[np.ndarray]:
        """The planes [Y, Z, C] of to_output(posteriors [X, Y, Z, C]) one by one along x, never the whole.

        For argmax and sums over many channels at 1 mm without an array of that size. ``window``: a box of the output
        grid to which they are limited.
        """
        inner = posteriors[self.inner]
        x, y, z = window or tuple(slice(0, side) for side in self.output_shape)
        along_x = None if self._to_output[0] is None else self._to_output[0].part(x)
        across = [None if one is None else one.part(box) for one, box in zip(self._to_output[1:], (y, z), strict=True)]
        whole = tuple(box if one is None else slice(None) for one, box in zip(self._to_output[1:], (y, z), strict=True))

        @lru_cache(maxsize=2)
        def plane(i: int) -> np.ndarray:
            return linear(self._working_plane(inner, i)[whole][None], [None, *across])[0]

        if along_x is None:
            yield from (plane(i) for i in range(x.start, x.stop))
            return
        for low, high, weight_low, weight_high in zip(
            along_x.low, along_x.high, along_x.weight_low, along_x.weight_high, strict=True
        ):
            kind = inner.dtype.type
            yield plane(int(low)) * kind(weight_low) + plane(int(high)) * kind(weight_high)

    def restore(
        self,
        array: np.ndarray,
        grid: Literal["1mm", "native"] = "1mm",
        interpolation: Literal["nearest", "linear"] = "nearest",
        fill: float = 0,
    ) -> Volume:
        """Volume of an array [R, A, S] or [R, A, S, C] on the output grid, in the axis order of the input.

        grid "1mm": the output grid itself, only permuted and flipped. "native": the input's own voxels, by nearest
        neighbour (labels) or linear interpolation (posteriors); `fill` goes where the output grid does not reach.
        """
        if array.shape[:3] != tuple(self.output_shape):
            raise ValueError(f"array of shape {array.shape} is not on the output grid {tuple(self.output_shape)}")
        if interpolation not in ("nearest", "linear"):
            raise ValueError(f"interpolation must be 'nearest' or 'linear', not {interpolation!r}")
        name, header, sizes = self.volume.name, self.volume.header, self.volume.header_sizes
        if grid == "1mm":
            data = self.orientation.undo(array)
            return Volume(data, self.restored_affine, name, None, header, None if self.resampled else sizes)
        if grid != "native":
            raise ValueError(f"grid must be '1mm' or 'native', not {grid!r}")
        if any(self._to_native):
            array = (nearest if interpolation == "nearest" else linear)(array, self._to_native)
        return Volume(self.orientation.undo(array), self.volume.affine, name, None, header, sizes)

    def mirror(self, array: np.ndarray) -> np.ndarray:
        """Reflect an array on the padded patch about the middle sagittal plane of the scan (not of the padding).

        The reflection of a mirrored scan's image is then exactly the scan's image, whatever the parity of its width.
        """
        box = self.inner[0]
        partner = (box.start + box.stop - 1) - np.arange(array.shape[0])
        return np.take(array, np.clip(partner, 0, array.shape[0] - 1), axis=0)

    def output_window(self, mask: np.ndarray) -> Box:
        """A box of the output grid outside which to_output() of an array that is 0 outside ``mask`` is 0.

        It is the smallest up to a voxel a side, or reaches to the grid's edge where the mask reaches that of the
        working grid. Empty where the mask is. mask: boolean [X, Y, Z] on the padded patch.
        """
        to_output = np.linalg.inv(self.output_affine) @ self.affine
        box = []
        for axis, side in enumerate(self.output_shape):
            seen = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
            if not len(seen):
                return (slice(0, 0),) * 3
            # Interpolation reaches to the next voxel, and repeats the outermost one of the working grid to the edge.
            ends = to_output[axis, axis] * np.array([seen[0] - 1, seen[-1] + 1]) + to_output[axis, 3]
            first = seen[0] <= self.inner[axis].start and self.patch[axis].start == 0
            last = seen[-1] >= self.inner[axis].stop - 1 and self.patch[axis].stop == self.working_shape[axis]
            start = 0 if first else int(np.floor(ends[0]))
            stop = side if last else int(np.ceil(ends[1])) + 1
            box.append(slice(min(max(start, 0), side), min(max(stop, 0), side)))
        return tuple(box)  # type: ignore[return-value]

    def scan_on_output(self) -> np.ndarray:
        """The scan on the output grid, float [R, A, S], before any change of intensity."""
        return self.orientation.apply(whole_scan(self.volume, self.scheme, self.resampled))

    def sampled_from_output(self, array: np.ndarray) -> np.ndarray:
        """Values [n, X, Y, Z], of the array's type, of an array on the output grid in the voxels of the padded patch.

        They are the nearest ones. Where a patch voxel's centre lies half way between two along x, both (n = 2), so that
        a mirrored scan gives mirrored values; outside the scan those at its edge.
        """
        to_output = np.linalg.inv(self.output_affine) @ self.affine
        places = [
            to_output[axis, axis] * np.arange(side) + to_output[axis, 3] for axis, side in enumerate(self.image.shape)
        ]
        lower = [np.ceil(np.round(place, 3) - 0.5).astype(int) for place in places]
        upper = np.floor(np.round(places[0], 3) + 0.5).astype(int)
        found = []
        for first in (lower[0], upper):
            index = [np.clip(one, 0, side - 1) for one, side in zip((first, *lower[1:]), array.shape, strict=True)]
            found.append(array[np.ix_(*index)])
        return np.stack(found if (upper != lower[0]).any() else found[:1])

    def resampled_volume(self) -> Volume:
        """The scan on the output grid before any change of intensity, in the input's axis order (for --resample)."""
        data = whole_scan(self.volume, self.scheme, self.resampled)
        return Volume(data, self.restored_affine, self.volume.name, None, self.volume.header)

    def _working_plane(self, inner: np.ndarray, i: int) -> np.ndarray:
        """Plane [Y, Z, C] of the working grid: of the patch where it reaches, else background."""
        x, y, z = self.patch
        if (y.stop - y.start, z.stop - z.start) == tuple(self.working_shape[1:]) and x.start <= i < x.stop:
            return inner[i - x.start]
        plane = np.zeros((*self.working_shape[1:], inner.shape[3]), inner.dtype)
        plane[..., 0] = 1
        if x.start <= i < x.stop:
            plane[y, z] = inner[i - x.start]
        return plane

    def _labels_to_output(self, inner: np.ndarray) -> np.ndarray:
        if inner.shape != tuple(self.working_shape):
            whole = np.zeros(self.working_shape, inner.dtype)
            whole[self.patch] = inner
            inner = whole
        if not any(self._to_output):
            return inner
        return (linear if np.issubdtype(inner.dtype, np.floating) else nearest)(inner, self._to_output)
