"""Segmentations that are wrong in a known way: true label maps moved out of place."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

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
    points = [max(2, round(side * voxel / spacing)) for side in shape]
    for axis in range(3):
        coarse = rng.normal(0.0, std, points)
        grid[axis] += ndimage.zoom(coarse, shape / points, order=1, grid_mode=True, mode="nearest")
    if rng.random() < 0.5:
        matrix = _rotation(rng) @ np.diag(1.0 + rng.uniform(-SCALING, SCALING, 3))
        shift = rng.uniform(-SHIFT_MM, SHIFT_MM, 3) / voxel
        grid = np.tensordot(matrix, grid - centre[:, None, None, None], 1) + (centre + shift)[:, None, None, None]
    moved: np.ndarray = ndimage.map_coordinates(labels, grid, order=0, mode="constant", cval=0, prefilter=False)
    return moved


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
