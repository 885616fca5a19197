"""Segmentations that are wrong in a known way: true label maps moved out of place."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SynthSegPlusLib.synthesis.interpolation import linear_matrix

FIELD_SPACING_MM = (20.0, 60.0)
FIELD_STD_MM = (0.0, 6.0)
ROTATION_DEGREES = 8.0
SCALING = 0.12
SHIFT_MM = 5.0


def displaced(labels: np.ndarray, rng: np.random.Generator, voxel: float) -> np.ndarray:
    """Labels [x, y, z] with ``voxel`` mm spacing after a smooth random displacement, and in half of the cases an
    affine motion about the centre; 0 comes in from outside."""
    shape = np.array(labels.shape)
    centre = (shape - 1) / 2
    grid = np.stack(np.meshgrid(*(np.arange(side, dtype=np.float32) for side in shape), indexing="ij"))
    spacing, std = rng.uniform(*FIELD_SPACING_MM), rng.uniform(*FIELD_STD_MM) / voxel
    field = rng.normal(0.0, std, (3, *(max(2, round(side * voxel / spacing)) for side in shape)))
    grid += _enlarged(field.astype(np.float32), labels.shape)
    if rng.random() < 0.5:
        matrix = _rotation(rng) @ np.diag(1.0 + rng.uniform(-SCALING, SCALING, 3))
        shift = centre + rng.uniform(-SHIFT_MM, SHIFT_MM, 3) / voxel - matrix @ centre
        flat = matrix.astype(np.float32) @ grid.reshape(3, -1) + shift[:, None].astype(np.float32)
        grid = flat.reshape(grid.shape)
    moved: np.ndarray = ndimage.map_coordinates(labels, grid, order=0, mode="constant", cval=0, prefilter=False)
    return moved


def _enlarged(field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Components [3, i, j, k], interpolated linearly to [3, x, y, z]."""
    for axis, side in enumerate(shape, start=1):
        matrix = linear_matrix(side, field.shape[axis]).astype(np.float32)
        field = np.moveaxis(np.tensordot(matrix, field, (1, axis)), 0, axis)
    return field


def _rotation(rng: np.random.Generator) -> np.ndarray:
    """A rotation by up to `ROTATION_DEGREES` about each axis, one after the other."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES, 3))):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix
