"""From labels to intensities: Gaussian mixture, bias field, clipping, rescaling, gamma. Arrays are [x, y, z]."""

from __future__ import annotations

from typing import Any

import numpy as np

from SynthSegPlusLib.synthesis.interpolation import resize

RESCALE_EPSILON = 1e-7
PERCENTILES = (0.5, 99.5)
"""Percentiles to which a scan is clipped before a network sees it (reference implementation)."""
_QUANTILE_SAMPLES = 200_000  # percentiles of a scan are estimated on at most about this many voxels


def gaussian_mixture(labels: Any, means: np.ndarray, stds: np.ndarray, noise: Any) -> Any:
    """mean[label] + std[label] * noise: labels int [x, y, z], means and stds float [n], noise of unit variance."""
    from keras import ops

    mean = ops.take(ops.convert_to_tensor(means.astype(np.float32)), labels, axis=0)
    if not np.any(stds):
        return mean
    return mean + ops.take(ops.convert_to_tensor(stds.astype(np.float32)), labels, axis=0) * noise


def multiply_bias(image: Any, control: np.ndarray) -> Any:
    """Multiply by exp of a smooth field, given by its logarithm ``control`` [i, j, k] on a coarse grid."""
    from keras import ops

    return image * ops.exp(resize(ops.convert_to_tensor(control.astype(np.float32)), image.shape))


def rescale(image: Any, clip: float | None = None) -> Any:
    """Clip to [0, clip] when given, then (x - min) / (max - min + 1e-7)."""
    from keras import ops

    if clip is not None:
        image = ops.clip(image, 0.0, clip)
    low = ops.min(image)
    return (image - low) / (ops.max(image) - low + RESCALE_EPSILON)


def apply_gamma(image: Any, log_gamma: float) -> Any:
    """image ** exp(log_gamma) of an image in [0, 1]."""
    from keras import ops

    return ops.power(ops.maximum(image, 0.0), float(np.exp(log_gamma)))


def rescale_percentiles(image: Any) -> Any:
    """Clip to the percentiles 0.5 and 99.5 and scale to [0, 1], as a scan is prepared for the networks.

    The percentiles are taken over an evenly spaced subset of at most about 200,000 voxels.
    """
    from keras import ops

    flat = ops.reshape(image, (-1,))
    step = max(1, flat.shape[0] // _QUANTILE_SAMPLES)
    ordered = ops.sort(flat[::step])
    last = ordered.shape[0] - 1
    low, high = (ordered[round(last * percentile / 100)] for percentile in PERCENTILES)
    return ops.clip((image - low) / (high - low + RESCALE_EPSILON), 0.0, 1.0)
