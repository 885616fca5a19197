"""How much of hippocampus and horn together is horn, where a scan does not show the border between them.

Networks that cannot see a border give each structure its usual size, and where a hippocampus is shrunken they call the
horn that took its place hippocampus. But a horn does not widen alone: the lateral ventricles, whose other borders the
same scan may show well, tell how much of both is fluid. What the networks say of it has no part in that: of an anatomy
that they have not seen it is little more than the mean of all.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from SynthSegPlusLib.inference._appearance import HORNS, VENTRICLES
from SynthSegPlusLib.labels import LabelTable

HIPPOCAMPI = (17, 53)
DEEP_GREY = (10, 49, 11, 50, 12, 51, 13, 52)
"""Thalami, caudates, putamina, pallida: what the ventricles are measured by, for they lie beside them. A scan that cuts
the head off seldom cuts these."""
CONSTANT, SLOPE = -1.283, 1.233
"""log(horns / hippocampi) = CONSTANT + SLOPE log(lateral ventricles / deep grey matter), of volumes: least squares of
the training label maps 1 to 14 (correlation 0.88, standard deviation of the rest 0.63)."""
WIDE = -1.0
"""Logarithm of the ratio from which on horns are expected to be wide. Narrower ones take little from a hippocampus, and
anatomies scatter so much that twice as much of a narrow horn would often be wrong."""
WIDEST = 0.4
"""The largest logarithm to be expected: the largest of the label maps is 0.2, and ventricles of any size must leave a
hippocampus."""

_PLAIN = 0.02  # share of both in a voxel, from which on it takes part
_TRACE = 1e-6  # of a voxel that one of both does not have
_FARTHEST = 12.0  # logarithm of the factor of the odds


def expected_ratio(posteriors: np.ndarray, table: LabelTable) -> float | None:
    """Logarithm of horns over hippocampi that the lateral ventricles let expect; None where there are none.

    posteriors: float32 [X, Y, Z, C] of the channels of ``table``.
    """
    ventricles, beside = (
        float(posteriors[..., table.channels(labels)].sum(dtype=np.float64)) for labels in (VENTRICLES, DEEP_GREY)
    )
    if min(ventricles, beside) <= 0:
        return None
    return min(CONSTANT + SLOPE * float(np.log(ventricles / beside)), WIDEST)


def is_wide(expected: float | None) -> bool:
    """Whether horns of this `expected_ratio` are wide."""
    return expected is not None and expected > WIDE


def widen_horns(posteriors: np.ndarray, table: LabelTable, expected: float | None) -> bool:
    """Move posteriors of hippocampi to their horns, in place, up to the ratio that is ``expected`` (`expected_ratio`);
    whether more than a voxel of one side moved.

    posteriors: float32 [X, Y, Z, C] of the channels of ``table``. On each side the odds of horn against hippocampus
    grow by one factor everywhere, so that what is most like horn moves first. Horns are never made smaller, and stay
    where they are not expected to be wide.
    """
    if expected is None or not is_wide(expected):
        return False
    moved = [
        _widen(posteriors, int(own), int(horn), expected)
        for own, horn in zip(table.channels(HIPPOCAMPI), table.channels(HORNS), strict=True)
    ]
    return max(moved) > 1


def _widen(posteriors: np.ndarray, own: int, horn: int, expected: float) -> float:
    """Shift the odds of ``horn`` against ``own`` until the logarithm of their ratio is ``expected``; what moved."""
    taking = posteriors[..., own] + posteriors[..., horn] > _PLAIN
    tissue, fluid = (posteriors[taking, channel].astype(np.float64) for channel in (own, horn))
    if min(tissue.sum(), fluid.sum()) <= 0:
        return 0.0
    both, odds = tissue + fluid, np.log((fluid + _TRACE) / (tissue + _TRACE))

    def missing(shift: float) -> float:
        return expected - float(np.log((both @ expit(odds + shift)) / (both @ expit(-odds - shift))))

    if missing(0.0) <= 0:
        return 0.0
    shift = brentq(missing, 0.0, _FARTHEST) if missing(_FARTHEST) < 0 else _FARTHEST
    now = both * expit(odds + shift)
    posteriors[taking, horn], posteriors[taking, own] = now, both - now
    return float((now - fluid).sum())
