"""Colours of labels: by anatomy, and by the verdict of quality control."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from SynthSegPlusLib.contract import MeasuresTable, Verdict
from SynthSegPlusLib.labels import parcels, structures

# Two hues that the colour-blind tell apart (Okabe and Ito): light at the threshold, full at the far end of the scale.
PASS_SHADES = ((0.55, 0.78, 0.93), (0.00, 0.38, 0.68))
FAIL_SHADES = ((0.98, 0.69, 0.47), (0.80, 0.29, 0.00))
NOT_SCORED = (0.55, 0.55, 0.55)

Colours = Mapping[int, tuple[float, float, float]]


def anatomy() -> dict[int, tuple[float, float, float]]:
    """Label value to red, green, blue in 0..1, structures and parcels."""
    labels = [*structures("2.0"), *parcels()]
    return {label.value: _unit(label.colour) for label in labels if label.value != 0}


def quality(measures: MeasuresTable, threshold: float) -> dict[int, tuple[float, float, float]]:
    """Label value to the colour of its region's score."""
    return {row.label: of_score(row.qc_score, row.verdict, threshold) for row in measures}


def of_score(score: float | None, verdict: Verdict, threshold: float) -> tuple[float, float, float]:
    """Blue for pass, vermilion for fail, deeper the further from the threshold; grey when not scored."""
    if verdict is Verdict.NOT_SCORED or score is None:
        return NOT_SCORED
    if verdict is Verdict.PASS:
        return _between(PASS_SHADES, (score - threshold) / max(1.0 - threshold, 1e-6))
    return _between(FAIL_SHADES, (threshold - score) / max(threshold, 1e-6))


def paint(labels: np.ndarray, colours: Colours) -> np.ndarray:
    """Red, green, blue in 0..1, float32 [..., 3], of an array of label values; unknown labels are grey."""
    values, places = np.unique(labels, return_inverse=True)
    shades = np.array([(0, 0, 0) if value == 0 else colours.get(int(value), NOT_SCORED) for value in values])
    return shades.astype(np.float32)[places.reshape(labels.shape)]


def outline(labels: np.ndarray) -> np.ndarray:
    """Pixels of a label map [rows, columns] that touch another label: bool."""
    edge = np.zeros(labels.shape, bool)
    across, up = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= up
    edge[:-1] |= up
    return edge & (labels != 0)


def _between(shades: tuple[tuple[float, ...], tuple[float, ...]], share: float) -> tuple[float, float, float]:
    light, full = np.array(shades)
    return tuple(light + (full - light) * min(max(share, 0.0), 1.0))


def _unit(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255
