"""The numbers that a model card quotes, from the tables of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from SynthSegPlusLib.contract.options import QC_THRESHOLD
from SynthSegPlusLib.evaluation import (
    agreement,
    area_under_curve,
    bootstrap_interval,
    classify,
    coefficient_of_variation,
)
from Testing.benchmarks.accuracy.plans import STRONGLY_DEGRADED
from Testing.benchmarks.accuracy.tables import Rows
from Testing.benchmarks.accuracy.variants import CASCADE

SUMMARY_COLUMNS = ("part", "mode", "what", "value", "n")
STRUCTURE_COLUMNS = ("part", "mode", "kind", "name", "mean", "std", "n")
GOOD, BAD = 0.70, 0.60
"""True Dice above which a region should be accepted, and below which it should be rejected."""
KINDS = ("structure", "tissue", "region", "parcel")
REJECTED = ("fail", "refused")
"""Verdicts of a scan that is rejected: by R, or because the engine would not segment it at all."""
ALL = "all"
"""Part under which quality control is judged on the scans of every part together, but for `UNUSUAL`."""
UNUSUAL = "degraded"
"""Part whose results are not averaged with the mirror image, so that robust and single network are a fair pair: scores,
which are calibrated for the set as it is, are judged on the same scans in the part "quality"."""
Add = Callable[[str, float, int], None]


def summary(dice: Rows, scans: Rows) -> Rows:
    """Rows part, mode, what, value, and n, the number of values behind it."""
    found: Rows = []
    for part, mode in dict.fromkeys((row["part"], row["mode"]) for row in scans):
        add = _adder(found, part, mode)
        own = [row for row in dice if (row["part"], row["mode"]) == (part, mode)]
        listed = [row for row in scans if (row["part"], row["mode"]) == (part, mode)]
        _overlap(own, add)
        if part == "real":
            _overlap_per_scan(own, add)
        if part != UNUSUAL:
            _quality(own, add)
        _verdicts(listed, add)
        _volumes(listed, add)
        if part == "contrast":
            _series(listed, add)
    for mode in dict.fromkeys(row["mode"] for row in scans):
        usual = [row for row in dice if row["mode"] == mode and row["part"] != UNUSUAL]
        _quality(usual, _adder(found, ALL, mode))
    for part in dict.fromkeys(row["part"] for row in dice):
        _gains([row for row in dice if row["part"] == part and row["kind"] == "structure"], part, found)
    return found


def _adder(found: Rows, part: str, mode: str) -> Add:
    def add(what: str, value: float, n: int) -> None:
        found.append({"part": part, "mode": mode, "what": what, "value": f"{value:.4f}", "n": str(n)})

    return add


def values_of(rows: Iterable[dict[str, str]], column: str = "dice") -> np.ndarray:
    """The numbers of a column, float64 [n]; rows without one are left out."""
    found = np.array([float(row[column]) for row in rows if row.get(column, "") != ""])
    return found[np.isfinite(found)]


def _overlap(own: Rows, add: Add) -> None:
    for kind in KINDS:
        values = values_of(row for row in own if row["kind"] == kind)
        if len(values):
            add(f"mean Dice of {kind}s", values.mean(), len(values))
    structures = [row for row in own if row["kind"] == "structure"]
    for column, unit in (("spacing", " mm"), ("contrast", "")):
        levels = sorted({row.get(column, "") for row in structures} - {""}, key=_natural)
        if column == "spacing" and structures and structures[0]["part"] in STRONGLY_DEGRADED:
            continue  # drawn at random: no groups
        for level in levels:
            values = values_of(row for row in structures if row[column] == level)
            add(f"mean Dice of structures, {column} {level}{unit}", values.mean(), len(values))


def _natural(text: str) -> tuple[float, str]:
    return (float(text), "") if text.replace(".", "", 1).isdigit() else (0.0, text)


def _overlap_per_scan(own: Rows, add: Add) -> None:
    for scan in dict.fromkeys(row["scan"] for row in own):
        for kind in ("structure", "parcel"):
            values = values_of(row for row in own if (row["scan"], row["kind"]) == (scan, kind))
            if len(values):
                add(f"{scan}: mean Dice of {kind}s", values.mean(), len(values))


def quality_pairs(rows: Rows, kind: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """(predicted, true) Dice, float64 [n], of the rows of a kind that have both."""
    chosen = [(row.get(column, ""), row["dice"]) for row in rows if row["kind"] == kind]
    pairs = np.array([(float(a), float(b)) for a, b in chosen if a != ""]).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    return pairs[:, 0], pairs[:, 1]


def _quality(own: Rows, add: Add) -> None:
    """Scores (R's, joined with the other parts that the set's rule names), the parts, and the estimate from D, against
    the truth.
    """
    for name, kind, column in (
        ("R", "region", "score"), ("R alone", "region", "regressor"),
        ("posteriors' confidence", "region", "confidence"), ("S-S2 agreement", "region", "agreement"),
        ("D-S2 estimate", "region", "estimate"), ("D-S2 estimate", "tissue", "estimate"),
    ):  # fmt: skip
        predicted, true = quality_pairs(own, kind, column)
        if not len(true):
            continue
        bad = true < QC_THRESHOLD
        add(f"{name}, {kind}s: AUC for true Dice below {QC_THRESHOLD}", area_under_curve(predicted, bad), len(true))
        add(f"{name}, {kind}s: mean absolute error", float(np.abs(predicted - true).mean()), len(true))
        good, worst = true > GOOD, true < BAD
        rejected = predicted < QC_THRESHOLD
        if good.any():
            accepted = classify(rejected[good], worst[good]).specificity
            add(f"{name}, {kind}s: above {GOOD:.2f} accepted", accepted, int(good.sum()))
        if worst.any():
            add(f"{name}, {kind}s: below {BAD:.2f} rejected",
                classify(rejected[worst], worst[worst]).sensitivity, int(worst.sum()))  # fmt: skip


def _verdicts(listed: Rows, add: Add) -> None:
    judged = [row["verdict"] in REJECTED for row in listed if row["verdict"] in ("pass", *REJECTED)]
    if judged:
        add("share of scans rejected", float(np.mean(judged)), len(judged))


def _volumes(listed: Rows, add: Add) -> None:
    for name, title in (("icv", "ICV"), ("hippocampus", "hippocampi"), ("ventricles", "lateral ventricles")):
        pairs = [(float(row[f"{name}_mm3"]), float(row[f"true_{name}_mm3"])) for row in listed
                 if row.get(f"true_{name}_mm3", "") != "" and row.get(f"{name}_mm3", "") != ""]  # fmt: skip
        pairs = [pair for pair in pairs if pair[1] > 0]
        if not pairs:
            continue
        found = agreement(*np.array(pairs).T)
        add(f"{title}: Pearson r", found.pearson, len(pairs))
        add(f"{title}: mean relative bias", found.bias, len(pairs))
        add(f"{title}: mean absolute relative error", found.error, len(pairs))


def _series(listed: Rows, add: Add) -> None:
    """Variation of volumes over the contrasts of one anatomy, averaged over the anatomies."""
    for name, title in (("hippocampus", "hippocampal volume"), ("icv", "ICV")):
        spread = []
        for series in dict.fromkeys(series_of(row) for row in listed):
            values = values_of((row for row in listed if series_of(row) == series), f"{name}_mm3")
            spread.append(coefficient_of_variation(values))
        known = np.array(spread)[np.isfinite(spread)]
        if len(known):
            add(f"{title}: coefficient of variation over contrasts", known.mean(), len(known))


def series_of(row: dict[str, str]) -> str:
    """Name of the anatomy that a scan of the contrast series shows."""
    return row["scan"].removesuffix(f"_{row['contrast']}")


def scan_means(rows: Rows) -> dict[str, float]:
    """Mean Dice of each scan that has any."""
    groups: dict[str, Rows] = {}
    for row in rows:
        groups.setdefault(row["scan"], []).append(row)
    values = {name: values_of(group) for name, group in groups.items()}
    return {name: float(found.mean()) for name, found in values.items() if len(found)}


def paired_gain(rows: Rows, one: str, two: str) -> np.ndarray:
    """Mean Dice of mode ``one`` minus that of ``two`` on the scans that both have, float64 [n]."""
    first, second = (scan_means([row for row in rows if row["mode"] == mode]) for mode in (one, two))
    return np.array([first[name] - second[name] for name in first if name in second])


def _gains(rows: Rows, part: str, found: Rows) -> None:
    """Robust minus every other mode per scan, and the cascade minus S, with the bootstrap interval of the mean."""
    others = dict.fromkeys(row["mode"] for row in rows if row["mode"] != "robust")
    for one, other in [*(("robust", other) for other in others), (CASCADE, "fast")]:
        gain = paired_gain(rows, one, other)
        if not len(gain):
            continue
        add = _adder(found, part, f"{one} - {other}")
        low, high = bootstrap_interval(gain)
        add("Dice of structures per scan: mean", gain.mean(), len(gain))
        add("Dice of structures per scan: 95 % interval, low", low, len(gain))
        add("Dice of structures per scan: 95 % interval, high", high, len(gain))
        add(f"share of scans where {one} is better", float((gain > 0).mean()), len(gain))


def per_structure(dice: Rows) -> Rows:
    """Mean and standard deviation of the Dice of every structure, tissue, region and parcel, per part and mode."""
    groups: dict[tuple[str, ...], Rows] = {}
    for row in dice:
        groups.setdefault((row["part"], row["mode"], row["kind"], row["name"]), []).append(row)
    found = []
    for key, rows in groups.items():
        values = values_of(rows)
        if len(values):
            about = dict(zip(STRUCTURE_COLUMNS, key, strict=False))
            found.append({**about, "mean": f"{values.mean():.4f}", "std": f"{values.std():.4f}", "n": str(len(values))})
    return found
