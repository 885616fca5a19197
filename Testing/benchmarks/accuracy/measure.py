"""Rows of numbers from segmented scans."""

from __future__ import annotations

from typing import Any

import numpy as np

from SynthSegPlusLib.evaluation import dice_of_labels, grouped
from SynthSegPlusLib.labels import parcels, qc_regions, structures, tissues
from Testing.benchmarks.accuracy.references import IGNORED, RealScan, on_grid_of

NOT_COMPARED = (0, 24)
"""Background and CSF are no structures to compare (31 remain)."""
BRAIN = [int(value) for value in structures("2.0").values if value not in NOT_COMPARED]


def structure_dice(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Dice of every structure that the truth has, by published name; where it makes no statement, nothing counts."""
    known = truth != IGNORED
    found = dice_of_labels(predicted[known], truth[known], BRAIN)
    present = set(np.unique(truth).tolist())
    return {structures("2.0")[value].name: dice for value, dice in found.items() if value in present}


def group_dice(predicted: np.ndarray, truth: np.ndarray, what: str) -> dict[str, float]:
    """Dice of tissue classes or QC regions ("tissue", "region")."""
    grouping = tissues("published") if what == "tissue" else qc_regions("paper")
    known = truth != IGNORED
    one, two = (grouped(labels[known], grouping.group_of) for labels in (predicted, truth))
    found = dice_of_labels(one, two, range(1, len(grouping.names)))
    return {grouping.names[group]: dice for group, dice in found.items()}


def parcel_dice(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Dice of every parcel that the truth has, by published name."""
    present = [int(value) for value in np.unique(truth) if value]
    return {parcels()[value].name: dice for value, dice in dice_of_labels(predicted, truth, present).items()}


def rows(about: dict[str, Any], kind: str, values: dict[str, float]) -> list[dict[str, Any]]:
    """One row per value, with what the scan is."""
    return [{**about, "kind": kind, "name": name, "dice": f"{value:.4f}"} for name, value in values.items()]


def compare(about: dict[str, Any], result: Any, truth: np.ndarray, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Rows of a segmentation beside its truth on the same grid: structures, tissues, and regions with R's scores."""
    found = rows(about, "structure", structure_dice(predicted, truth))
    found += rows(about, "tissue", group_dice(predicted, truth, "tissue"))
    regions = rows(about, "region", group_dice(predicted, truth, "region"))
    for row in regions:
        score = None if result.quality is None else result.quality.score_of(row["name"])
        row["score"] = "" if score is None else f"{score:.4f}"
    return found + regions


def compare_real(about: dict[str, Any], result: Any, scan: RealScan) -> list[dict[str, Any]]:
    """The same for a real scan, on its reference's grid, with parcels when both have them."""
    found = compare(about, result, scan.structures, on_grid_of(result.labels, scan.reference))
    if scan.parcels is not None and result.parcellation is not None:
        predicted = on_grid_of(result.parcellation, scan.reference)
        found += rows(about, "parcel", parcel_dice(predicted, scan.parcels))
    return found
