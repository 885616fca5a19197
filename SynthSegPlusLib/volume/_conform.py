"""From a scan to what the networks see, and all the ways back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.volume import _centred, _published
from SynthSegPlusLib.volume._axes import UNITS_PER_MM, AxisMap, linear, nearest, positions_axis
from SynthSegPlusLib.volume._intensity import CT_RANGE_HU, finite, rescale
from SynthSegPlusLib.volume._orientation import Orientation, nearest_orientation, published_orientation
from SynthSegPlusLib.volume._volume import Volume

Box = tuple[slice, slice, slice]
_Maps = list[AxisMap | None]


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
    _to_output: _Maps
    _to_native: _Maps

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
            return self._one_to_output(inner, 0)
        out = np.empty((*self.output_shape, *array.shape[3:]), array.dtype)
        for channel in range(array.shape[3]):
            out[..., channel] = self._one_to_output(inner[..., channel], 1 if channel == 0 else 0)
        return out

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

    def resampled_volume(self) -> Volume:
        """The scan on the output grid before any change of intensity, in the input's axis order (for --resample)."""
        data = _whole_scan(self.volume, self.scheme, self.resampled)
        return Volume(data, self.restored_affine, self.volume.name, None, self.volume.header)

    def _one_to_output(self, inner: np.ndarray, outside: int) -> np.ndarray:
        if inner.shape != tuple(self.working_shape):
            whole = np.full(self.working_shape, outside, inner.dtype)
            whole[self.patch] = inner
            inner = whole
        if not any(self._to_output):
            return inner
        return (linear if np.issubdtype(inner.dtype, np.floating) else nearest)(inner, self._to_output)


def conform(
    volume: Volume,
    scheme: Literal["published", "centred"] = "centred",
    resolution_mm: float = 1.0,
    ct: bool = False,
    crop: int | tuple[int, int, int] | None = None,
    multiple: int = 32,
    minimum: int = 128,
) -> Conformed:
    """Bring a scan to the grid and intensities that the networks were trained for.

    volume: a scan [x, y, z]. scheme: "published" repeats the reference bit for bit; "centred" depends on the anatomy
    alone. resolution_mm: of the working grid ("published" knows 1 mm only). ct: clip to [0, 80] HU first. crop: size of
    a centred patch in mm, one number or R x A x S, rounded up to `multiple` voxels. The patch is padded with zeros to
    a multiple of `multiple` and at least `minimum` voxels (with a crop: at least the crop).

    NaN and infinities become 0. Raises OptionsError for a contradiction.
    """
    if volume.data.ndim != 3:
        raise ValueError(f"a scan has three axes, not {volume.data.ndim}")
    if scheme == "published":
        if resolution_mm != 1:
            raise OptionsError(
                f"The published way to conform works at 1 mm, not {resolution_mm:g} mm; use the centred one."
            )
        plan = _published_plan(volume)
    elif scheme == "centred":
        plan = _centred_plan(volume, resolution_mm)
    else:
        raise OptionsError(f"The way to conform must be 'published' or 'centred', not {scheme!r}.")
    data = plan.working()
    patch, sizes = _patch(data.shape, crop, plan.resolution_mm, multiple)
    data = data[patch]
    if ct:
        data = np.clip(data, *(data.dtype.type(v) for v in CT_RANGE_HU))
    image, inner = _padded(rescale(data), [sizes[k] if crop else minimum for k in range(3)], multiple)
    affine = plan.working_affine.copy()
    shift = [p.start - i.start for p, i in zip(patch, inner, strict=True)]
    affine[:3, 3] += affine[:3, :3] @ np.array(shift, np.float64)
    return Conformed(
        scheme=scheme,
        volume=volume,
        image=image,
        affine=affine,
        resolution_mm=plan.resolution_mm,
        resampled=plan.resampled,
        inner=inner,
        patch=patch,
        working_shape=plan.working_shape,
        output_shape=plan.output_shape,
        output_affine=plan.output_affine,
        voxel_volume_mm3=plan.voxel_volume_mm3,
        working_voxel_volume_mm3=plan.working_voxel_volume_mm3,
        orientation=plan.orientation,
        restored_affine=plan.restored_affine,
        _to_output=plan.to_output,
        _to_native=plan.to_native,
    )


@dataclass(frozen=True)
class _Plan:
    """Grids of one scan under one scheme; `working` makes the scan on the working grid, R, A, S, not yet scaled."""

    working: Callable[[], np.ndarray]
    resolution_mm: float
    resampled: bool
    working_shape: tuple[int, ...]
    working_affine: np.ndarray
    output_shape: tuple[int, ...]
    output_affine: np.ndarray
    voxel_volume_mm3: float
    working_voxel_volume_mm3: float
    orientation: Orientation
    restored_affine: np.ndarray
    to_output: _Maps
    to_native: _Maps


def _published_plan(volume: Volume) -> _Plan:
    resampled = _published.needs_resampling(volume.stated_sizes)
    affine, shape = volume.affine, volume.shape
    if resampled:
        factors = _published.factors(volume.affine)
        affine = _published.resampled_affine(volume.affine)
        shape = tuple(len(_published.positions(n, f)) for n, f in zip(volume.shape, factors, strict=True))
    orientation = published_orientation(affine)
    size = 1.0 if resampled else float(np.prod(volume.stated_sizes))
    output_shape = tuple(shape[axis] for axis in orientation.axes)
    output_affine = orientation.apply_affine(affine, shape)
    to_native: _Maps = [None, None, None]
    if resampled:
        for world, (axis, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
            # Where the native voxels lie on the resampled axis: the outer voxel edges coincide.
            back = np.arange(volume.shape[axis]) * factors[axis] + (factors[axis] - 1) / 2
            to_native[world] = positions_axis((shape[axis] - 1 - back)[::-1] if flip else back, shape[axis])
    return _Plan(
        working=lambda: orientation.apply(_whole_scan(volume, "published", resampled)),
        resolution_mm=1.0,
        resampled=resampled,
        working_shape=output_shape,
        working_affine=output_affine,
        output_shape=output_shape,
        output_affine=output_affine,
        voxel_volume_mm3=size,
        working_voxel_volume_mm3=size,
        orientation=orientation,
        restored_affine=affine,
        to_output=[None, None, None],
        to_native=to_native,
    )


def _centred_plan(volume: Volume, resolution_mm: float) -> _Plan:
    orientation, native, native_affine = _centred_native(volume)
    output = _centred.grid_at(native, 1.0)
    working = _centred.grid_at(native, resolution_mm) if resolution_mm != 1 else output
    resampled = output != native

    def affine_of(grid: _centred.CentredGrid) -> np.ndarray:
        return native_affine if grid == native else grid.affine(native_affine, native.shape)

    output_affine, working_affine = affine_of(output), affine_of(working)
    restored = orientation.undo_affine(output_affine, output.shape) if resampled else volume.affine
    return _Plan(
        working=lambda: _centred.resample(orientation.apply(finite(volume.data, np.float32)), native, working),
        resolution_mm=float(resolution_mm),
        resampled=resampled,
        working_shape=working.shape,
        working_affine=working_affine,
        output_shape=output.shape,
        output_affine=output_affine,
        voxel_volume_mm3=_cell(output_affine),
        working_voxel_volume_mm3=_cell(working_affine),
        orientation=orientation,
        restored_affine=restored,
        to_output=output.maps_from(working),
        to_native=native.maps_from(output),
    )


def _centred_native(volume: Volume) -> tuple[Orientation, _centred.CentredGrid, np.ndarray]:
    orientation = nearest_orientation(volume.affine)
    shape = tuple(volume.shape[axis] for axis in orientation.axes)
    grid = _centred.native_grid(shape, volume.spacing[list(orientation.axes)])
    return orientation, grid, orientation.apply_affine(volume.affine, volume.shape)


def _whole_scan(volume: Volume, scheme: str, resampled: bool) -> np.ndarray:
    """The scan on the output grid in the input's axis order, intensities unchanged."""
    if scheme == "published":
        data = finite(volume.data, np.float64)
        return _published.resample(data, volume.affine) if resampled else data
    orientation, native, _ = _centred_native(volume)
    data = _centred.resample(orientation.apply(finite(volume.data, np.float32)), native, _centred.grid_at(native, 1.0))
    return orientation.undo(data)


def _patch(
    shape: tuple[int, ...], crop: int | tuple[int, int, int] | None, resolution_mm: float, multiple: int
) -> tuple[Box, list[int]]:
    """Box of the centred patch in the working grid, and its nominal size in voxels."""
    if crop is None:
        return (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])), list(shape)
    wanted = [crop] * 3 if isinstance(crop, (int, np.integer)) else list(crop)
    sizes = [_up(round(size / resolution_mm), multiple) for size in wanted]
    starts = [max(int((n - size) / 2), 0) for n, size in zip(shape, sizes, strict=True)]
    box = tuple(slice(a, min(a + size, n)) for a, size, n in zip(starts, sizes, shape, strict=True))
    return box, sizes  # type: ignore[return-value]


def _padded(data: np.ndarray, minimum: list[int], multiple: int) -> tuple[np.ndarray, Box]:
    """Data float32 in the middle of zeros, and its box."""
    target = [max(_up(n, multiple), _up(m, multiple)) for n, m in zip(data.shape, minimum, strict=True)]
    before = [(t - n) // 2 for t, n in zip(target, data.shape, strict=True)]
    box = tuple(slice(b, b + n) for b, n in zip(before, data.shape, strict=True))
    image = np.zeros(target, np.float32)
    image[box] = data
    return image, box  # type: ignore[return-value]


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _cell(affine: np.ndarray) -> float:
    """Volume of a voxel in mm3."""
    return float(abs(np.linalg.det(affine[:3, :3])))


__all__ = ["UNITS_PER_MM", "Conformed", "conform"]
