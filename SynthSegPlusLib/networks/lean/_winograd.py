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

# Points by number of inputs. Rounding grows with the spread of their powers; of the sets that were tried, these
# gave the least error with 16-bit products (for 6 inputs, two thirds of what 0, 1, -1, 2, -2 give).
_POINTS = {
    2: "0", 3: "0 -1", 4: "0 1 -1", 5: "0 1 -1 1/2", 6: "0 2/3 -2/3 4/3 -4/3", 7: "0 1 -1 2 -2 1/2",
    8: "0 1 -1 2 -2 1/2 -1/2",
}  # fmt: skip


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
    if count not in _POINTS:
        raise ValueError(f"outputs + taps - 1 is {count}; it must be 2 to 8")
    points = [Fraction(point) for point in _POINTS[count].split()]
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


def best_outputs(planes: int, taps: int, limit: int) -> int:
    """Tile length m for chunks of ``planes`` planes: 4 or 2, up to ``limit``, else 1 (no saving)."""
    possible = (m for m in (4, 2) if m <= limit and planes % m == 0 and m + taps - 1 <= max(_POINTS))
    return next(possible, 1)
