"""Phantoms with posteriors that know no borders, and tiny model sets, for the tests of what intensities say."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference._appearance import fit_appearance
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.volume import Volume
from Testing.inference.tiny import scan, write_tiny_set

TABLE = structures("2.0")
WHITE, CORTEX, FLUID = TABLE.channel(2), TABLE.channel(3), TABLE.channel(24)
SIDE = 32


def folded() -> np.ndarray:
    """Channels (int [32, 32, 32]) of a ball whose surface is folded: white matter, cortex, fluid, nothing."""
    x, y, z = np.indices((SIDE,) * 3) - (SIDE - 1) / 2
    radius = np.sqrt(x**2 + y**2 + z**2) + 1.2 * np.sin(x) * np.sin(y) * np.sin(z)
    return np.select([radius < 8, radius < 11, radius < 13], [WHITE, CORTEX, FLUID], 0)


def blurred(channels: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """Posteriors (float32 [..., C]) that know where structures lie, but not their borders."""
    posteriors = np.zeros((*channels.shape, len(TABLE)), np.float32)
    for channel in np.unique(channels):
        posteriors[..., channel] = ndimage.gaussian_filter((channels == channel).astype(np.float32), sigma)
    return posteriors / posteriors.sum(-1, keepdims=True)


def painted(channels: np.ndarray, intensities: dict[int, float], noise: float = 0.03, seed: int = 0) -> np.ndarray:
    values = np.zeros(TABLE.values.shape)
    for channel, intensity in intensities.items():
        values[channel] = intensity
    return (values[channels] + np.random.default_rng(seed).normal(0, noise, channels.shape)).astype(np.float32)


CONTRASTS = [
    {WHITE: 0.9, CORTEX: 0.6, FLUID: 0.2}, {WHITE: 0.4, CORTEX: 0.6, FLUID: 1.0, 0: 0.05},
    {WHITE: 300.0, CORTEX: 260.0, FLUID: 100.0, 0: 10.0},
]  # fmt: skip


def right(posteriors: np.ndarray, channels: np.ndarray) -> float:
    """Share of the ball's voxels that get the right label."""
    ball = channels > 0
    return float((posteriors.argmax(-1) == channels)[ball].mean())


def applied(image, posteriors, strength=1.0):
    found = fit_appearance(image[None], posteriors, TABLE, strength, 1.0)
    return found, found.update(posteriors, image, found.bias)


def a_set(folder, strength, resolution=2.0):
    rules = {"foreground_threshold": 0.0, "posterior_threshold": 0.0, "segmenter_sigma": 0, "appearance": strength}
    return ModelSet.load(write_tiny_set(folder, postprocessing=rules, working_resolution_mm=resolution))


def run(models, mode="fast", **options):
    return Segmenter(models, mode=mode, device="cpu", posteriors=True, **options).segment(scan())


def interpolated(volume: Volume, thickness: int) -> Volume:
    """The scan as if its slices of so many voxels had been interpolated to one."""
    if thickness == 1:
        return volume
    whole = ndimage.uniform_filter1d(volume.data.astype(np.float32), thickness, axis=2)
    data = whole[..., thickness // 2 :: thickness]
    stored = ndimage.zoom(data, (1, 1, volume.data.shape[2] / data.shape[2]), order=1)
    return dataclasses.replace(volume, data=stored)
