"""Intensities: what is not a number, CT range, robust scaling to [0, 1]."""

from __future__ import annotations

import numpy as np

PERCENTILES = (0.5, 99.5)
"""Intensities that become 0 and 1 (reference implementation)."""

CT_RANGE_HU = (0.0, 80.0)
"""Range that holds all soft tissue of the head, in Hounsfield units."""

# Far above any scanner's numbers and far below the overflow of float32, so that sums of a filter stay finite.
_LARGEST = 1e30


def finite(data: np.ndarray, dtype: type[np.floating] = np.float64) -> np.ndarray:
    """Copy or view as dtype with NaN and infinities replaced by 0; beyond 1e30 numbers are clipped for float32."""
    with np.errstate(over="ignore"):
        result: np.ndarray = data.astype(dtype, copy=False)
    if not np.issubdtype(data.dtype, np.floating):
        return result
    good = np.isfinite(data)
    if not good.all():
        result = np.where(good, result, result.dtype.type(0))
    if dtype == np.float32 and data.dtype != np.float16:
        result = np.clip(result, -_LARGEST, _LARGEST)
    return result


def rescale(data: np.ndarray) -> np.ndarray:
    """Clip to the 0.5th and 99.5th percentile of all voxels and scale to [0, 1]; a constant becomes 0."""
    low, high = np.percentile(data, PERCENTILES)
    low, high = data.dtype.type(low), data.dtype.type(high)
    result = np.clip(data, low, high)
    if low == high:
        return np.zeros_like(data)
    return (result - low) / (high - low)
