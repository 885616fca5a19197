"""Where each voxel of a synthetic scan comes from: affine matrices and diffeomorphic displacement fields.

All coordinates are voxel coordinates of the array that is sampled; a displacement field has shape [x, y, z, 3].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from SynthSegPlusLib.synthesis.interpolation import resize, sample_linear


def affine_matrix(
    rotation: ArrayLike, shearing: ArrayLike, scaling: ArrayLike,
    translation: ArrayLike = (0.0, 0.0, 0.0),
) -> np.ndarray:  # fmt: skip
    """4x4 matrix S H R as the reference: rotations about x, y, z in degrees (R = Rx Ry Rz), six shears, three scales.

    The translation is the last column, in the unit of the coordinates that the matrix is applied to.
    """
    shear = np.eye(3)
    shear[[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]] = shearing
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(scaling) @ shear @ _rotation(np.deg2rad(rotation))
    matrix[:3, 3] = translation
    return matrix


def _rotation(angles: Any) -> np.ndarray:
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[one, one] = turn[two, two] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def voxel_grid(shape: Sequence[int]) -> Any:
    """Voxel coordinates [x, y, z, 3] of a grid, float32."""
    from keras import ops

    axes = [ops.arange(size, dtype="float32") for size in shape]
    return ops.stack(ops.meshgrid(*axes, indexing="ij"), axis=-1)


def integrate_velocity(velocity: Any, steps: int = 7) -> Any:
    """Displacement [x, y, z, 3] of a stationary velocity field by scaling and squaring, both in voxels of its grid."""
    displacement = velocity / 2.0**steps
    grid = voxel_grid(velocity.shape[:3])
    for _ in range(steps):
        displacement = displacement + sample_linear(displacement, grid + displacement)
    return displacement


def displacement_field(control: np.ndarray, shape: Sequence[int], unit: float) -> Any:
    """Displacement [x, y, z, 3] on ``shape``, in the unit of ``control``'s velocities (mm).

    ``control`` [i, j, k, 3] holds random velocities on a coarse grid. They are brought to half resolution,
    integrated there, and brought to full resolution. ``unit`` is the size of a full-resolution voxel (mm).
    """
    from keras import ops

    half = [max(2, size // 2) for size in shape]
    velocity = resize(ops.convert_to_tensor((control / (2.0 * unit)).astype(np.float32)), half)
    return resize(integrate_velocity(velocity) * (2.0 * unit), shape)
