"""Distances between the surfaces of two structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class SurfaceDistances:
    """Pooled surface distances in mm: Hausdorff (100th percentile), its 99th and 95th percentile, and the mean of the
    two directed means."""

    hausdorff: float
    hausdorff_99: float
    hausdorff_95: float
    mean: float


def surface_distances(
    one: np.ndarray, two: np.ndarray, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> SurfaceDistances:
    """Distances between the surfaces of two masks [x, y, z]; ``spacing`` in mm.

    The surface of a mask is its voxels with a face on the outside; beyond the volume is outside. Two empty masks give
    NaN, one empty mask gives infinity.
    """
    if one.shape != two.shape:
        raise ValueError(f"masks to compare must have one shape, not {one.shape} and {two.shape}")
    a, b = np.asarray(one, bool), np.asarray(two, bool)
    if not a.any() or not b.any():
        value = float("nan") if a.any() == b.any() else float("inf")
        return SurfaceDistances(value, value, value, value)
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    edge_a, edge_b = (_edge(np.pad(mask[box], 1)) for mask in (a, b))
    to_b = ndimage.distance_transform_edt(~edge_b, sampling=spacing)[edge_a]
    to_a = ndimage.distance_transform_edt(~edge_a, sampling=spacing)[edge_b]
    pooled = np.concatenate([to_a, to_b])
    return SurfaceDistances(
        float(pooled.max()), float(np.percentile(pooled, 99)), float(np.percentile(pooled, 95)),
        float((to_a.mean() + to_b.mean()) / 2),
    )  # fmt: skip


def _edge(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)
