"""Minimal filtering along one axis (Toom-Cook; Winograd, Arithmetic Complexity of Computations, 1980).

F(m, k) computes m outputs of a correlation with k taps from ``n = m + k - 1`` inputs with n products:
``y = A [(G g) * (B d)]``. The matrices come from evaluating polynomials at n - 1 small points and at
infinity; they are built in rational arithmetic, so the identity is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

# Small magnitudes first: rounding grows with the spread of the points.
_POINTS = [Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), Fraction(1, 2), Fraction(-1, 2)]


class Filtering(NamedTuple):
    """The three matrices of F(m, k), float64."""

    output: np.ndarray
    """A, [m, n]"""
    kernel: np.ndarray
    """G, [n, k]"""
    input: np.ndarray
    """B, [n, n]"""


@lru_cache
def filtering(outputs: int, taps: int) -> Filtering:
    """Matrices of F(outputs, taps); at most 8 inputs per tile."""
    count = outputs + taps - 1
    if not 2 <= count <= len(_POINTS) + 1:
        raise ValueError(f"outputs + taps - 1 is {count}, beyond the {len(_POINTS) + 1} points that are known")
    points = _POINTS[: count - 1]
    at_infinity = [Fraction(power == outputs - 1) for power in range(outputs)]
    output = [[point**power for point in points] + [at_infinity[power]] for power in range(outputs)]
    kernel: list[list[Fraction]] = []
    inputs: list[list[Fraction]] = []
    for point in points:
        others = [other for other in points if other != point]
        scale = _product(point - other for other in others)
        kernel.append([point**power / scale for power in range(taps)])
        inputs.append([*_polynomial(others), Fraction(0)])
    kernel.append([Fraction(tap == taps - 1) for tap in range(taps)])
    inputs.append(_polynomial(points))
    return Filtering(*(np.array(matrix, dtype=object).astype(np.float64) for matrix in (output, kernel, inputs)))


def _product(factors: Iterable[Fraction]) -> Fraction:
    result = Fraction(1)
    for factor in factors:
        result *= factor
    return result


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients, lowest power first, of the monic polynomial with these roots."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [-root * coefficient for coefficient in coefficients] + [Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def best_outputs(planes: int, taps: int) -> int:
    """Tile length m for chunks of ``planes`` planes: 4, else 2, else 1 (no saving)."""
    return next((outputs for outputs in (4, 2) if planes % outputs == 0 and outputs + taps - 1 <= 8), 1)
