"""Scans of things that are not heads, so that the quality network learns to reject what has no brain in it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def not_a_brain(seed: int | list[int], shape: tuple[int, int, int]) -> np.ndarray:
    """An image (float32 [x, y, z] in [0, 1]) of a few textured ellipsoids, some hollow, on a dark or bright ground."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"), -1)
    grid = grid + 0.15 * _smooth(rng, (*shape, 3), 8)
    image: np.ndarray = np.full(shape, rng.uniform(0, 0.3), np.float32)
    for _ in range(int(rng.integers(1, 7))):
        centre, radii = rng.uniform(-0.5, 0.5, 3), rng.uniform(0.1, 0.9, 3)
        distance = np.sqrt((((grid - centre) / radii) ** 2).sum(-1))
        inside = (distance < 1) & (distance > rng.choice([0.0, 0.0, 0.6, 0.85]))
        texture = rng.uniform(0, 1) + rng.uniform(0, 0.3) * _smooth(rng, shape, rng.uniform(1, 6))
        image = np.where(inside, texture, image)
    image = image * np.exp(rng.uniform(0, 0.5) * _smooth(rng, shape, 20)) + rng.normal(0, rng.uniform(0, 0.08), shape)
    image = ndimage.gaussian_filter(image, rng.uniform(0, 1.5, 3))
    low, high = np.percentile(image, (0.5, 99.5))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """A smooth random field of unit variance."""
    sigmas = (sigma,) * 3 + (0,) * (len(shape) - 3)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), sigmas)
    return field / max(field.std(), 1e-6)
