"""The grids of one scan under each way to conform, and the maps between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from SynthSegPlusLib.volume import _centred, _published
from SynthSegPlusLib.volume._axes import AxisMap, positions_axis
from SynthSegPlusLib.volume._intensity import finite
from SynthSegPlusLib.volume._orientation import Orientation, nearest_orientation, published_orientation
from SynthSegPlusLib.volume._volume import Volume

Maps = list[AxisMap | None]
"""For R, A and S the map from one grid to another; None where they coincide along that axis."""


@dataclass(frozen=True)
class Plan:
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
    to_output: Maps
    to_native: Maps


def published_plan(volume: Volume) -> Plan:
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
    to_native: Maps = [None, None, None]
    if resampled:
        for world, (axis, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
            # Where the native voxels lie on the resampled axis: the outer voxel edges coincide.
            back = np.arange(volume.shape[axis]) * factors[axis] + (factors[axis] - 1) / 2
            to_native[world] = positions_axis((shape[axis] - 1 - back)[::-1] if flip else back, shape[axis])
    return Plan(
        working=lambda: orientation.apply(whole_scan(volume, "published", resampled)),
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


def centred_plan(volume: Volume, resolution_mm: float) -> Plan:
    orientation, native, native_affine = _centred_native(volume)
    output = _centred.grid_at(native, 1.0)
    working = _centred.grid_at(native, resolution_mm) if resolution_mm != 1 else output
    resampled = output != native

    def affine_of(grid: _centred.CentredGrid) -> np.ndarray:
        return native_affine if grid == native else grid.affine(native_affine, native.shape)

    output_affine, working_affine = affine_of(output), affine_of(working)
    restored = orientation.undo_affine(output_affine, output.shape) if resampled else volume.affine
    return Plan(
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


def whole_scan(volume: Volume, scheme: str, resampled: bool) -> np.ndarray:
    """The scan on the output grid in the input's axis order, intensities unchanged."""
    if scheme == "published":
        data = finite(volume.data, np.float64)
        return _published.resample(data, volume.affine) if resampled else data
    orientation, native, _ = _centred_native(volume)
    data = _centred.resample(orientation.apply(finite(volume.data, np.float32)), native, _centred.grid_at(native, 1.0))
    return orientation.undo(data)


def _cell(affine: np.ndarray) -> float:
    """Volume of a voxel in mm3."""
    return float(abs(np.linalg.det(affine[:3, :3])))
