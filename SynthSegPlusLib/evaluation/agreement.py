"""Agreement of measured with true volumes, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """Pearson's r (NaN where one side is constant), mean relative bias, and mean absolute relative error."""

    pearson: float
    bias: float
    error: float


def agreement(measured: np.ndarray, truth: np.ndarray) -> Agreement:
    """Agreement of measured with true volumes (both [n], one unit, truth above 0)."""
    measured, truth = np.asarray(measured, float), np.asarray(truth, float)
    if measured.shape != truth.shape or not len(truth):
        raise ValueError(f"need as many measured as true volumes, not {measured.shape} and {truth.shape}")
    relative = (measured - truth) / truth
    constant = len(truth) < 2 or np.ptp(measured) == 0 or np.ptp(truth) == 0
    pearson = float("nan") if constant else float(np.corrcoef(measured, truth)[0, 1])
    return Agreement(pearson, float(relative.mean()), float(np.abs(relative).mean()))


def coefficient_of_variation(values: np.ndarray) -> float:
    """Sample standard deviation (n - 1) over the mean of ``values`` [n]; NaN for fewer than two or a mean of 0."""
    values = np.asarray(values, float)
    mean = values.mean() if len(values) else 0.0
    return float(values.std(ddof=1) / mean) if len(values) > 1 and mean else float("nan")


def bootstrap_interval(
    values: np.ndarray, statistic: Callable[..., Any] = np.mean, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of ``statistic`` over ``values`` [n]; NaN values are left out."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    found = [statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(draws)]
    low, high = np.percentile(found, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
