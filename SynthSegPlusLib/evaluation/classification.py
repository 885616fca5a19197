"""How well quality scores tell bad segmentations from good ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Classification:
    """Counts and rates of a decision "bad"; a rate without any case is NaN.

    sensitivity: share of the bad that are rejected; specificity: share of the good that are accepted.
    """

    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int

    @property
    def sensitivity(self) -> float:
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float:
        return _ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def accuracy(self) -> float:
        right = self.true_positive + self.true_negative
        return _ratio(right, right + self.false_negative + self.false_positive)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def classify(rejected: np.ndarray, bad: np.ndarray) -> Classification:
    """Compare decisions (boolean [n]) with the truth (boolean [n])."""
    rejected, bad = np.asarray(rejected, bool), np.asarray(bad, bool)
    if rejected.shape != bad.shape:
        raise ValueError(f"decisions and truth must have one shape, not {rejected.shape} and {bad.shape}")
    return Classification(
        int((rejected & bad).sum()), int((~rejected & bad).sum()),
        int((~rejected & ~bad).sum()), int((rejected & ~bad).sum()),
    )  # fmt: skip


def area_under_curve(scores: np.ndarray, bad: np.ndarray) -> float:
    """Area under the ROC curve for finding the bad by a low score: the chance that a bad case scores below a good one.

    Ties count one half (Mann-Whitney). NaN when all cases are bad or all are good.
    """
    scores, bad = np.asarray(scores, float), np.asarray(bad, bool)
    n_bad, n_good = int(bad.sum()), int((~bad).sum())
    if not n_bad or not n_good:
        return float("nan")
    ranks = stats.rankdata(-scores)
    return float((ranks[bad].sum() - n_bad * (n_bad + 1) / 2) / (n_bad * n_good))
