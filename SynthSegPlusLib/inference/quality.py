"""Quality control: what R is shown, its scores, and the comparator that needs no R."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from SynthSegPlusLib.contract import QualityReport, RegionScore, Verdict
from SynthSegPlusLib.inference._rules import Calibration, QualityRule, SecondOpinion
from SynthSegPlusLib.labels import Grouping, LabelTable
from SynthSegPlusLib.networks import Inputs


def ignored_channels(rule: QualityRule, table: LabelTable) -> tuple[int, ...]:
    """Channels that do not count for R's bounding box."""
    by_value = (table.channel(value) for value in rule.ignored_labels if value in table)
    return tuple(sorted({0, *by_value, *rule.ignored_channels}))


def box_around(channels: np.ndarray, ignored: Sequence[int], size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The box that R sees: (low, high), whole voxels [3] each, high exclusive, possibly outside the grid.

    The bounding box of all voxels of ``channels`` (uint8 [X, Y, Z]) that are not ``ignored`` is widened or narrowed
    on both sides to ``size``; an odd rest goes before it. Without any such voxel the box starts at the corner.
    """
    counts = np.ones(256, bool)
    counts[list(ignored)] = False
    mask = counts[channels]
    low, high = np.zeros(3, int), np.zeros(3, int)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        low[axis] = occupied[0] if len(occupied) else 0
        high[axis] = occupied[-1] + 1 if len(occupied) else min(channels.shape[axis], size[axis])
    rest = np.asarray(size) - (high - low)
    return low - np.array([math.ceil(n / 2) for n in rest]), high + np.array([math.floor(n / 2) for n in rest])


def cut_box(channels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The part of ``channels`` in a box, with background (0) where the box leaves the grid."""
    out = np.zeros(tuple(high - low), channels.dtype)
    inside_low, inside_high = np.maximum(low, 0), np.minimum(high, channels.shape)
    source = tuple(slice(a, b) for a, b in zip(inside_low, inside_high, strict=True))
    target = tuple(slice(a, b) for a, b in zip(inside_low - low, inside_high - low, strict=True))
    if (inside_high > inside_low).all():
        out[target] = channels[source]
    return out


def regressor_input(
    channels: np.ndarray, table: LabelTable, regions: Grouping, rule: QualityRule
) -> np.ndarray:
    """Region of every voxel of the box that R sees, uint8 of the rule's grid, from a channel map uint8 [X, Y, Z]."""
    low, high = box_around(channels, ignored_channels(rule, table), rule.grid)
    return regions.channels(table).astype(np.uint8)[cut_box(channels, low, high)]


def region_shares(regions: np.ndarray, count: int, cell: int) -> np.ndarray:
    """Share of each region in every cell of ``cell`` voxels a side, float32 [X / cell, Y / cell, Z / cell, count].

    ``regions``: region numbers below ``count``, uint8 [X, Y, Z], sides multiples of ``cell``.
    """
    x, y, z = (side // cell for side in regions.shape)
    blocks = regions.reshape(x, cell, y, cell, z, cell)
    shares = [(blocks == number).mean(axis=(1, 3, 5), dtype=np.float32) for number in range(count)]
    return np.stack(shares, axis=-1)


def quality_inputs(channels: np.ndarray, table: LabelTable, regions: Grouping, rule: QualityRule) -> Inputs:
    """What R is given of a channel map uint8 [X, Y, Z]: regions of voxels, or their shares in cells."""
    seen = regressor_input(channels, table, regions, rule)
    if rule.cell == 1:
        return Inputs(groups=seen, n_groups=len(regions))
    return Inputs(image=region_shares(seen, len(regions), rule.cell))


def region_agreement(
    channels: np.ndarray, opinion: np.ndarray, table: LabelTable, regions: Grouping
) -> np.ndarray:
    """Dice (float64 [regions]) between the QC regions of two channel maps, uint8 [X, Y, Z] on one grid.

    A region that both lack scores 0: nothing says that it was found.
    """
    return region_dice(channels, opinion, regions.channels(table), len(regions))


def region_dice(found: np.ndarray, truth: np.ndarray, region_of: np.ndarray, count: int) -> np.ndarray:
    """Dice (float64 [count - 1]) of each region of two channel maps; 0 for a region that is in neither.

    A region that is not there cannot be trusted, so its score is the lowest (reference implementation).
    """
    pairs = np.bincount(region_of[found].ravel() * count + region_of[truth].ravel(), minlength=count**2)
    table = pairs.reshape(count, count)
    sizes = table.sum(0) + table.sum(1)
    return np.divide(2.0 * np.diag(table), sizes, out=np.zeros(count), where=sizes > 0)[1:]


class RegionConfidence:
    """The Dice of each QC region that posteriors expect of the labels made of them, gathered slab by slab.

    If the posteriors p were true probabilities, a region's labels L would share the sum of p over L with the truth,
    whose size is the sum of all p: Dice 2 sum_L(p) / (|L| + sum(p)).
    """

    def __init__(self, table: LabelTable, regions: Grouping) -> None:
        self._region_of = regions.channels(table)
        self._of_region = np.eye(len(regions), dtype=np.float32)[self._region_of]
        self._labels, self._soft, self._both = np.zeros((3, len(regions)))

    def add(self, posteriors: np.ndarray, channels: np.ndarray) -> None:
        """Count voxels: posteriors float [..., C], and the channels uint8 [...] that are their labels."""
        count = len(self._labels)
        regions, labels = posteriors.reshape(-1, posteriors.shape[-1]) @ self._of_region, self._region_of[channels]
        labels = labels.reshape(-1)
        self._labels += np.bincount(labels, minlength=count)
        self._soft += regions.sum(axis=0, dtype=np.float64)
        self._both += np.bincount(labels, np.take_along_axis(regions, labels[:, None], 1)[:, 0], minlength=count)

    def scores(self) -> np.ndarray:
        """Dice (float64 [regions]); 0 for a region that is nowhere."""
        sizes = self._labels + self._soft
        return np.divide(2 * self._both, sizes, out=np.zeros(len(sizes)), where=sizes > 0)[1:]


def calibrated_scores(
    rule: SecondOpinion | Calibration, raw: np.ndarray, confidence: np.ndarray | None = None,
    agreement: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Scores (float64 [regions]), not yet clipped to [0, 1], of the parts that the rule names.

    ``raw``: R's, float [regions] or [1 + regions]; ``confidence`` (`RegionConfidence`) and ``agreement``
    (`region_agreement`): float [regions].
    """
    regressor = np.clip(np.asarray(raw, np.float64)[-len(rule.intercept) :], 0.0, 1.0)
    scores = np.asarray(rule.intercept) + np.asarray(rule.regressor) * regressor
    if rule.confidence and confidence is not None:
        scores = scores + np.asarray(rule.confidence) * confidence
    if isinstance(rule, SecondOpinion) and agreement is not None:
        scores = scores + np.asarray(rule.agreement) * agreement
    return scores


def report_of(raw: np.ndarray, regions: Grouping, threshold: float) -> QualityReport:
    """Scores of R, float [regions] or [1 + regions] with the background first, as a report.

    Scores are clipped to [0, 1]; a score that is no number is "not scored".
    """
    names = regions.names[1:]
    scores = np.clip(np.asarray(raw, np.float64)[-len(names) :], 0.0, 1.0)
    return _report(dict(zip(names, scores.tolist(), strict=True)), threshold)


def denoiser_agreement(
    corrected: np.ndarray, channels: np.ndarray, table: LabelTable, tissues: Grouping, threshold: float
) -> QualityReport:
    """Dice between D's tissues and those of the final structures: the paper's comparator for R (PNAS 2023).

    ``corrected``: tissue groups of D, uint8 [X, Y, Z]; ``channels``: channel map of the structures on the same grid.
    A tissue that both lack scores 1.
    """
    groups = tissues.channels(table).astype(np.uint8)[channels]
    pairs = np.bincount(corrected.reshape(-1).astype(np.intp) * len(tissues) + groups.reshape(-1),
                        minlength=len(tissues) ** 2).reshape(len(tissues), len(tissues))  # fmt: skip
    both, sizes = np.diag(pairs), pairs.sum(axis=0) + pairs.sum(axis=1)
    dice = np.divide(2.0 * both, sizes, out=np.ones(len(tissues)), where=sizes > 0)
    return _report(dict(zip(tissues.names[1:], dice[1:].tolist(), strict=True)), threshold)


def _report(scores: dict[str, float], threshold: float) -> QualityReport:
    regions = tuple(RegionScore(name, score, Verdict.of(score, threshold)) for name, score in scores.items())
    return QualityReport(regions, threshold)
