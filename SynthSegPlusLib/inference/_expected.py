"""How much of hippocampus and horn together is horn, where a scan does not show the border between them.

Networks that cannot see a border give each structure its usual size, and where a hippocampus is shrunken they call the
horn that took its place hippocampus. But a horn does not widen alone: the lateral ventricles, whose other borders the
same scan may show well, tell how much of both is fluid.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from SynthSegPlusLib.inference._appearance import CSF, HORNS, VENTRICLES
from SynthSegPlusLib.labels import LabelTable

HIPPOCAMPI = (17, 53)
CONSTANT, SLOPE = 3.125, 1.260
"""log(horns / hippocampi) = CONSTANT + SLOPE log(lateral ventricles / brain), of volumes: least squares of the training
label maps 1 to 14 (correlation 0.88, standard deviation of the rest 0.63). The brain is all structures, ventricles
among them, but the CSF about it."""
TRUST = 0.8
"""Of the ventricles; the rest is the networks' own ratio. Of anatomies that they have not seen they know little more
than the mean: their ratio errs by about 1.2, twice as much as what ventricles tell."""
WIDEST = 0.4
"""Logarithm of the largest ratio to be expected: beyond the largest ventricles of the label maps nothing is known."""

_PLAIN = 0.02  # share of both in a voxel, from which on it takes part
_TRACE = 1e-6  # odds of a voxel that one of both does not have
_FARTHEST = 12.0  # logarithm of the factor of the odds


def expect_horns(posteriors: np.ndarray, table: LabelTable) -> bool:
    """Move posteriors of hippocampi to their horns, in place, up to the ratio that the lateral ventricles let expect;
    whether more than a voxel of one side moved.

    posteriors: float32 [X, Y, Z, C] of the channels of ``table``. On each side the odds of horn against hippocampus
    grow by one factor everywhere, so that what is most like horn moves first. Horns are never made smaller.
    """
    volumes = posteriors.reshape(-1, len(table)).sum(axis=0, dtype=np.float64)
    expected = _expected(volumes, table)
    moved = False
    for own, horn in zip(table.channels(HIPPOCAMPI), table.channels(HORNS), strict=True):
        if min(volumes[own], volumes[horn]) <= 0 or expected is None:
            continue
        said = float(np.log(volumes[horn] / volumes[own]))
        wanted = TRUST * expected + (1 - TRUST) * said
        if wanted > said:
            moved = _widen(posteriors, int(own), int(horn), wanted) > 1 or moved
    return moved


def _expected(volumes: np.ndarray, table: LabelTable) -> float | None:
    """Logarithm of horns over hippocampi; None without ventricles. ``volumes`` [C], background first."""
    ventricles = float(volumes[table.channels(VENTRICLES)].sum())
    brain = float(volumes[1:].sum()) - (float(volumes[table.channel(CSF)]) if CSF in table else 0.0)
    if ventricles <= 0:
        return None
    return min(CONSTANT + SLOPE * float(np.log(ventricles / brain)), WIDEST)


def _widen(posteriors: np.ndarray, own: int, horn: int, wanted: float) -> float:
    """Shift the odds of ``horn`` against ``own`` until the logarithm of the ratio of both is ``wanted``; what moved."""
    taking = np.flatnonzero((posteriors[..., own] + posteriors[..., horn]).reshape(-1) > _PLAIN)
    flat = posteriors.reshape(-1, posteriors.shape[-1])
    tissue, fluid = flat[taking, own].astype(np.float64), flat[taking, horn].astype(np.float64)
    both, odds = tissue + fluid, np.log((fluid + _TRACE) / (tissue + _TRACE))

    def missing(shift: float) -> float:
        return float(np.log((both @ expit(odds + shift)) / (both @ expit(-odds - shift))) - wanted)

    if not len(taking) or missing(0.0) >= 0:
        return 0.0
    shift = brentq(missing, 0.0, _FARTHEST) if missing(_FARTHEST) > 0 else _FARTHEST
    now = np.minimum(both * expit(odds + shift), both)
    flat[taking, horn], flat[taking, own] = now, both - now
    return float((now - fluid).sum())
