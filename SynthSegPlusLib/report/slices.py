"""Planes through a volume, sampled in RAS millimetres, so that any axis order and any oblique grid looks the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.ndimage import map_coordinates

PIXEL_MM = 0.5
MARGIN_MM = 14.0
# Distance of the two further slices from the centre, as a share of the brain's extent along that axis.
OFFSETS = {"axial": 0.2, "coronal": 0.2, "sagittal": 0.17}


class HasGrid(Protocol):
    """A volume: `data` [x, y, z] and `affine` (4x4, voxel to RAS, mm)."""

    data: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class Box:
    """Box in RAS millimetres: lower and upper corner, float64 [3]."""

    lower: np.ndarray
    upper: np.ndarray

    @property
    def size(self) -> np.ndarray:
        return self.upper - self.lower

    def grown(self, margin: float) -> Box:
        return Box(self.lower - margin, self.upper + margin)


@dataclass(frozen=True)
class Plane:
    """A slice to look at.

    view: "axial", "coronal" or "sagittal"; normal: RAS axis that it is perpendicular to; across, up: RAS axes of
    its columns and rows; position: mm along the normal; reversed_across: the axis grows to the left.
    """

    view: str
    normal: int
    across: int
    up: int
    position: float
    reversed_across: bool

    @property
    def marks(self) -> tuple[str, str]:
        """Letters of the left and right edge of the picture."""
        low, high = (("L", "R"), ("P", "A"))[self.across]
        return (high, low) if self.reversed_across else (low, high)


def box_of(labels: HasGrid) -> tuple[Box, np.ndarray]:
    """Box around everything that is labelled, and its centre of mass (RAS mm); the whole grid if nothing is."""
    found = np.argwhere(labels.data > 0)
    if len(found) == 0:
        corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(labels.data.shape[:3]) - 1)
        world = _world(corners, labels.affine)
        return Box(world.min(0), world.max(0)), world.mean(0)
    world = _world(found, labels.affine)
    return Box(world.min(0), world.max(0)), world.mean(0)


def planes(box: Box, centre: np.ndarray, radiological: bool = True) -> dict[str, list[Plane]]:
    """Three slices per view, the middle one through the centre. Radiological: the patient's right is on the left."""
    views = (("axial", 2, 0, 1, radiological), ("coronal", 1, 0, 2, radiological), ("sagittal", 0, 1, 2, True))
    return {
        view: [
            Plane(view, normal, across, up, float(centre[normal] + sign * OFFSETS[view] * box.size[normal]), reverse)
            for sign in (-1, 0, 1)
        ]
        for view, normal, across, up, reverse in views
    }


def sample(volume: HasGrid, plane: Plane, box: Box, linear: bool) -> np.ndarray:
    """Values on a plane inside a box: float32 [rows, columns], the first row at the bottom; 0 outside the volume."""
    across = np.arange(box.lower[plane.across], box.upper[plane.across], PIXEL_MM)
    up = np.arange(box.lower[plane.up], box.upper[plane.up], PIXEL_MM)
    if plane.reversed_across:
        across = across[::-1]
    world = np.empty((3, len(up), len(across)))
    world[plane.normal] = plane.position
    world[plane.across] = across
    world[plane.up] = up[:, None]
    to_voxel = np.linalg.inv(volume.affine)
    voxel = np.tensordot(to_voxel[:3, :3], world, 1) + to_voxel[:3, 3, None, None]
    # Voxels reach half a voxel beyond their centres; without this a volume one slice thick would not be seen.
    shape = np.array(volume.data.shape[:3])[:, None, None]
    inside = ((voxel >= -0.5) & (voxel <= shape - 0.5)).all(0)
    values = map_coordinates(volume.data, np.clip(voxel, 0, shape - 1), output=np.float32, order=int(linear))
    return np.where(inside, values, np.float32(0))


def _world(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return voxels @ affine[:3, :3].T + affine[:3, 3]
