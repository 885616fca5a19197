"""Parcels carried from labelled brains to a target by registration of what both have: cortex ribbon and deep nuclei.

An affine fit of landmarks (centroids of structures, extremes of each hemisphere's cortex) is refined by symmetric
demons on a blurred picture of the labels, coarse to fine. Each brain then votes for a parcel at every cortex voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from SynthSegPlusLib.training.brains import CORTEX, SUBCORTEX, Brain, fill_nearest

LEVELS = ((4.0, 40), (2.0, 25))
"""Grid spacing (mm) and iterations of the demons, coarse to fine."""
FIELD_SMOOTHING = 1.5  # standard deviation, voxels of the level, of the regularisation of the displacement
RIBBON_BLUR_MM = 1.5
_EXTREME = 2.0  # percent of a hemisphere's cortex voxels that make a landmark on each of its six sides
_GREY = {10: 120, 49: 120, 11: 160, 50: 160, 12: 140, 51: 140, 13: 180, 52: 180, 17: 160, 53: 160, 18: 190, 54: 190,
         26: 150, 58: 150, 16: 110, 3: 70, 42: 90}  # fmt: skip


def landmarks(structures: np.ndarray) -> np.ndarray:
    """Landmarks [n, 3] in voxels: centroids of deep structures and cortex, and the cortex's extremes per side and axis.

    A structure that is absent gives NaN.
    """
    centroid = [_mean(np.argwhere(structures == value)) for value in (*SUBCORTEX, *CORTEX.values())]
    for value in CORTEX.values():
        where = np.argwhere(structures == value)
        for axis in range(3):
            for percent in (_EXTREME, 100 - _EXTREME):
                limit = np.percentile(where[:, axis], percent) if len(where) else 0.0
                beyond = where[:, axis] <= limit if percent < 50 else where[:, axis] >= limit
                centroid.append(_mean(where[beyond]))
    return np.array(centroid)


def _mean(points: np.ndarray) -> np.ndarray:
    return points.mean(0) if len(points) else np.full(3, np.nan)


def fit_affine(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """4x4 matrix that maps target landmarks [n, 3] to source landmarks [n, 3], by least squares."""
    known = np.isfinite(target).all(1) & np.isfinite(source).all(1)
    design = np.c_[target[known], np.ones(known.sum())]
    solution, *_ = np.linalg.lstsq(design, source[known], rcond=None)
    matrix = np.eye(4)
    matrix[:3] = solution.T
    return matrix


def picture(structures: np.ndarray) -> np.ndarray:
    """Blurred grey picture (float32) of a label volume, in which like structures have like intensities."""
    table = np.zeros(256, np.float32)
    for value, grey in _GREY.items():
        table[value] = grey
    return ndimage.gaussian_filter(table[structures], RIBBON_BLUR_MM)


def register(target: Brain, source: Brain) -> Any:
    """SimpleITK transform from the target's voxels (1 mm, identity geometry) to the source's."""
    import SimpleITK as sitk

    matrix = fit_affine(landmarks(target.structures), landmarks(source.structures))
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix[:3, :3].ravel())
    affine.SetTranslation(matrix[:3, 3])
    fixed, moving = _image(picture(target.structures)), _image(picture(source.structures))
    moved = sitk.Resample(moving, fixed, affine, sitk.sitkLinear)
    field: Any = None
    for spacing, iterations in LEVELS:
        small_fixed, small_moved = _at_spacing(fixed, spacing), _at_spacing(moved, spacing)
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(iterations)
        demons.SetStandardDeviations(FIELD_SMOOTHING)
        if field is not None:
            field = sitk.Resample(field, small_fixed, sitk.Transform(), sitk.sitkLinear)
        field = demons.Execute(small_fixed, small_moved, field) if field else demons.Execute(small_fixed, small_moved)
    full = sitk.Cast(sitk.Resample(field, fixed, sitk.Transform(), sitk.sitkLinear), sitk.sitkVectorFloat64)
    return sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(full)])


def _image(array: np.ndarray) -> Any:
    """SimpleITK image whose index (i, j, k) is the array's; unit spacing, zero origin."""
    import SimpleITK as sitk

    return sitk.GetImageFromArray(np.ascontiguousarray(array.T))


def _at_spacing(image: Any, spacing: float) -> Any:
    import SimpleITK as sitk

    smooth = sitk.SmoothingRecursiveGaussian(image, spacing / 2)
    size = [max(4, int(np.ceil(side / spacing))) for side in image.GetSize()]
    return sitk.Resample(smooth, size, sitk.Transform(), sitk.sitkLinear, (0.0, 0.0, 0.0), (spacing,) * 3)


def votes(target: Brain, sources: Sequence[Brain]) -> dict[str, np.ndarray]:
    """For each side, uint8 [cortex voxels of that side, 35]: how many sources say each parcel number."""
    import SimpleITK as sitk

    found = {side: np.zeros((int((target.structures == value).sum()), 35), np.uint8) for side, value in CORTEX.items()}
    for source in sources:
        transform = register(target, source)
        for side, value in CORTEX.items():
            parcels, grid = _image(source.extended[side]), _image(target.structures)
            moved = sitk.Resample(parcels, grid, transform, sitk.sitkNearestNeighbor)
            numbers = sitk.GetArrayFromImage(moved).T[target.structures == value]
            found[side][np.arange(len(numbers)), numbers] += 1
    return found


def propagate(target: Brain, sources: Sequence[Brain]) -> np.ndarray:
    """Parcel numbers (uint8, 0 outside the cortex) of ``target`` by majority of ``sources``.

    Voxels where no source reaches (outside the field of view of all) take the nearest parcel of their side.
    """
    result = np.zeros(target.structures.shape, np.uint8)
    for side, counts in votes(target, sources).items():
        ribbon = target.structures == CORTEX[side]
        one = np.zeros_like(result)
        counts[:, 0] = 0
        one[ribbon] = counts.argmax(1)
        result += fill_nearest(one, ribbon) if one.any() else one
    return result


def parcel_dice(one: np.ndarray, two: np.ndarray, ribbon: np.ndarray) -> np.ndarray:
    """Dice of parcel numbers 1..34 within a ribbon; NaN where both lack a parcel."""
    pairs = np.bincount(one[ribbon].astype(int) * 35 + two[ribbon], minlength=35 * 35).reshape(35, 35)
    sizes = pairs.sum(0) + pairs.sum(1)
    return np.divide(2.0 * np.diag(pairs), sizes, out=np.full(35, np.nan), where=sizes > 0)[1:]
