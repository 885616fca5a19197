"""Rows of numbers from segmented scans."""

from __future__ import annotations

from typing import Any

import numpy as np

from SynthSegPlusLib.evaluation import dice_of_labels, grouped
from SynthSegPlusLib.labels import parcels, qc_regions, structures, tissues
from Testing.benchmarks.accuracy.references import IGNORED, RealScan, on_grid_of

NOT_COMPARED = (0, 24)
"""Background and CSF are no structures to compare (31 remain)."""
VOLUMES = {"hippocampus": (17, 53), "ventricles": (4, 5, 43, 44)}
"""Structures whose volumes the tables hold, both sides together; ventricles: the lateral ones, as R's region."""
BRAIN = [int(value) for value in structures("2.0").values if value not in NOT_COMPARED]


def _tissue_of_region() -> dict[str, str]:
    """Tissue class of every QC region; every region lies in one."""
    regions, classes = qc_regions("paper"), tissues("published")
    return {
        regions.names[region]: classes.names[classes.group_of[value]]
        for value, region in regions.group_of.items() if region
    }  # fmt: skip


TISSUE_OF_REGION = _tissue_of_region()


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
    return [{**about, "kind": kind, "name": name, "dice": number(value)} for name, value in values.items()]


def number(value: float | None, digits: int = 4) -> str:
    """A number as the tables hold it; nothing for None."""
    return "" if value is None else f"{value:.{digits}f}"


def compare(about: dict[str, Any], result: Any, truth: np.ndarray, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Rows of a segmentation beside its truth on the same grid: structures, tissues, and regions.

    Regions carry their ``score``, and the parts that it was made of; tissues, and regions by the
    tissue that they belong to, the ``estimate`` from D.
    """
    found = rows(about, "structure", structure_dice(predicted, truth))
    for kind in ("tissue", "region"):
        for row in rows(about, kind, group_dice(predicted, truth, kind)):
            tissue = row["name"] if kind == "tissue" else TISSUE_OF_REGION[row["name"]]
            row["estimate"] = _score(result.denoiser_quality, tissue)
            if kind == "region":
                row |= {"score": _score(result.quality, row["name"]), **_parts(result, row["name"])}
            found.append(row)
    return found


def _score(report: Any, name: str) -> str:
    return "" if report is None else number(report.score_of(name))


def _parts(result: Any, region: str) -> dict[str, str]:
    parts = result.record.get("quality_parts") or {}
    return {name: number(values.get(region)) for name, values in parts.items() if len(parts) > 1}


def compare_real(about: dict[str, Any], result: Any, scan: RealScan) -> list[dict[str, Any]]:
    """The same for a real scan, on its reference's grid, with parcels when both have them."""
    found = compare(about, result, scan.structures, on_grid_of(result.labels, scan.reference))
    if scan.parcels is not None and result.parcellation is not None:
        predicted = on_grid_of(result.parcellation, scan.reference)
        found += rows(about, "parcel", parcel_dice(predicted, scan.parcels))
    return found


def scan_row(about: dict[str, Any], result: Any, truth: dict[str, float] | None) -> dict[str, Any]:
    """The row of one scan in one mode: volumes beside the true ones (`true_volumes`) where known, and the verdict."""
    by_label = {row.label: row.volume_mm3 for row in result.volumes}
    lowest = min((region.score for region in result.quality.regions), default=None) if result.quality else None
    found = {**about, "icv_mm3": number(result.icv_mm3, 0), "verdict": result.verdict.value, "lowest": number(lowest)}
    for name, labels in VOLUMES.items():
        found[f"{name}_mm3"] = number(sum(by_label.get(label, 0.0) for label in labels), 0)
    return found | {f"true_{name}_mm3": number(value, 0) for name, value in (truth or {}).items()}


def true_volumes(truth: np.ndarray, voxel_mm3: float, whole: bool) -> dict[str, float]:
    """Volumes (mm3) in a label map, by their names in the tables; with the ICV where the map has all of it."""
    counts = np.bincount(np.clip(truth, 0, None).ravel().astype(np.intp), minlength=max(map(max, VOLUMES.values())) + 1)
    found = {name: float(counts[list(labels)].sum()) * voxel_mm3 for name, labels in VOLUMES.items()}
    return {**found, "icv": float(counts[1:].sum()) * voxel_mm3} if whole else found
