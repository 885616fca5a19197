"""A scan that was made on a finer grid, brought to a working grid coarser than 1 mm as the engine brings a real one.

A voxel of the working grid then holds some of several structures, in the image and in the truth: its label is that of
a random place in it, so that the mean over scans of what a network is told are the shares of the labels in a voxel.
(Along thick slices the engine would interpolate alone; the Gaussian here is narrow against them.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from SynthSegPlusLib.synthesis.interpolation import apply_along_axes, blur_matrix

PREFILTER = 0.25
"""Width of the Gaussian before resampling to larger voxels, in target voxels, as the engine's."""


class Reduction(NamedTuple):
    """From a grid ``times`` as fine to the working grid of ``shape`` voxels.

    phase: how far, in fine voxels, -0.5 to 0.5 along each axis, the centres of the working voxels lie beyond those of
    the blocks of fine voxels. A scan's own voxels may lie either way, and are smoothed the more by interpolation the
    farther a centre is from one of theirs.
    """

    shape: tuple[int, int, int]
    times: int
    phase: tuple[float, float, float]

    def centres(self, axis: int) -> np.ndarray:
        """Centres of the working voxels along an axis, in fine voxels."""
        return np.arange(self.shape[axis]) * self.times + (self.times - 1) / 2 + self.phase[axis]

    def image(self, fine: Any) -> Any:
        """An image [x, y, z] of the fine grid on the working grid: Gaussian, then linear."""
        return apply_along_axes(fine, [self._matrix(axis) for axis in range(3)])

    def _matrix(self, axis: int) -> np.ndarray:
        size = self.shape[axis] * self.times
        places = np.clip(self.centres(axis), 0, size - 1)
        low = np.minimum(np.floor(places).astype(int), size - 2)
        rows = np.arange(self.shape[axis])
        linear = np.zeros((len(rows), size))
        linear[rows, low] = 1 - (places - low)
        linear[rows, low + 1] = places - low
        matrix = linear @ blur_matrix(size, PREFILTER * self.times)
        return matrix / matrix.sum(axis=1, keepdims=True)  # the blur alone would darken the grid's faces

    def places(self, uniform: Any) -> Any:
        """Numbers (int32 [x, y, z]) of one fine voxel in each working voxel, for a flattened fine volume.

        ``uniform``: random numbers in [0, 1), float32 [x, y, z, 3]; 0.5 is the middle of the voxel.
        """
        from keras import ops

        sides = np.array(self.shape) * self.times
        number: Any = 0
        for axis, side in enumerate(sides):
            along = [1, 1, 1]
            along[axis] = -1
            centre = ops.convert_to_tensor(self.centres(axis).astype(np.float32).reshape(along))
            place = ops.round(centre + (uniform[..., axis] - 0.5) * self.times)
            number = number * int(side) + ops.cast(ops.clip(place, 0.0, float(side - 1)), "int32")
        return number


def take(volumes: Sequence[Any], places: Any) -> list[Any]:
    """Volumes [x, y, z] (or None) at the numbers ``places`` of their flattened voxels."""
    from keras import ops

    return [None if one is None else ops.take(ops.reshape(one, (-1,)), places, axis=0) for one in volumes]
