"""From a scan to what the networks see."""

from __future__ import annotations

from typing import Literal

import numpy as np

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.volume._conformed import Box, Conformed
from SynthSegPlusLib.volume._intensity import CT_RANGE_HU, rescale
from SynthSegPlusLib.volume._plan import centred_plan, published_plan
from SynthSegPlusLib.volume._volume import Volume


def conform(
    volume: Volume,
    scheme: Literal["published", "centred"] = "centred",
    resolution_mm: float = 1.0,
    ct: bool = False,
    crop: int | tuple[int, int, int] | None = None,
    multiple: int = 32,
    minimum: int = 128,
    centre: tuple[float, float, float] | None = None,
) -> Conformed:
    """Bring a scan to the grid and intensities that the networks were trained for.

    volume: a scan [x, y, z]. scheme: "published" repeats the reference bit for bit; "centred" depends on the anatomy
    alone. resolution_mm: of the working grid ("published" knows 1 mm only). ct: clip to [0, 80] HU first. crop: size of
    a patch in mm, one number or R x A x S, rounded up to `multiple` voxels. centre: its middle, RAS in mm (default: the
    middle of the scan; near an edge the patch moves inwards). The patch is padded with zeros to a multiple of
    `multiple` and at least `minimum` voxels (with a crop: at least the crop).

    NaN and infinities become 0. Raises OptionsError for a contradiction.
    """
    if volume.data.ndim != 3:
        raise ValueError(f"a scan has three axes, not {volume.data.ndim}")
    if scheme == "published":
        if resolution_mm != 1:
            raise OptionsError(
                f"The published way to conform works at 1 mm, not {resolution_mm:g} mm; use the centred one."
            )
        plan = published_plan(volume)
    elif scheme == "centred":
        plan = centred_plan(volume, resolution_mm)
    else:
        raise OptionsError(f"The way to conform must be 'published' or 'centred', not {scheme!r}.")
    data = plan.working()
    middle = None if centre is None else np.linalg.inv(plan.working_affine) @ np.array([*centre, 1.0])
    patch, sizes = _patch(data.shape, crop, plan.resolution_mm, multiple, middle)
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


def _patch(
    shape: tuple[int, ...],
    crop: int | tuple[int, int, int] | None,
    resolution_mm: float,
    multiple: int,
    middle: np.ndarray | None,
) -> tuple[Box, list[int]]:
    """Box of the patch in the working grid, and its nominal size in voxels. middle: its voxel (None: the grid's)."""
    if crop is None:
        return (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])), list(shape)
    wanted = [crop] * 3 if isinstance(crop, (int, np.integer)) else list(crop)
    sizes = [_up(round(size / resolution_mm), multiple) for size in wanted]
    room = [max(n - size, 0) for n, size in zip(shape, sizes, strict=True)]
    if middle is None:
        starts = [most // 2 for most in room]
    else:
        ideal = [round(m - (size - 1) / 2) for m, size in zip(middle, sizes, strict=False)]
        starts = [min(max(start, 0), most) for start, most in zip(ideal, room, strict=True)]
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
