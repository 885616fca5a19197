"""Accuracy of a model set: Dice on synthetic test scans and on real scans with references, QC, and ICV.

    python3 dev.py bench accuracy --labels DIR --scans DIR --out DIR            (24 synthetic scans, for a CPU)
    python3 dev.py bench accuracy --labels DIR --scans DIR --out DIR --full     (all 240, for a GPU)

Writes dice.csv (one row per scan, mode and structure), scans.csv (one per scan and mode), summary.csv.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.evaluation import agreement, area_under_curve, bootstrap_interval, classify
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.networks import choose_backend
from SynthSegPlusLib.volume import Volume
from Testing.benchmarks.accuracy.measure import compare, compare_real
from Testing.benchmarks.accuracy.references import real_scans
from Testing.benchmarks.accuracy.synthetic import scans

DICE_COLUMNS = ("part", "scan", "mode", "map", "contrast", "spacing", "orientation", "kind", "name", "dice", "score")
SCAN_COLUMNS = ("part", "scan", "mode", "icv_mm3", "true_icv_mm3", "hippocampus_mm3", "verdict", "lowest", "seconds")
REJECT_BELOW = 0.65


def main() -> int:
    parser = argparse.ArgumentParser(prog="accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, help="folder of the label maps; without it no synthetic scans")
    parser.add_argument("--scans", type=Path, help="folder of real scans; without it none")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", help="model set (default: the one that is found)")
    parser.add_argument("--modes", nargs="+", default=["robust", "fast"])
    parser.add_argument("--full", action="store_true", help="all 240 synthetic scans")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backend")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    choose_backend(args.backend, args.device, args.threads)
    bench = Bench(args)
    if args.scans:
        bench.real(args.scans)
    if args.labels:
        bench.synthetic(args.labels, not args.full)
    write(args.out / "summary.csv", ("part", "mode", "what", "value"), summary(bench.dice, bench.scans))
    return 0


class Bench:
    """Segments and keeps the rows; the files are rewritten after every scan, so that a stopped run leaves its part."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.dice, self.scans = args, [], []
        model_set = ModelSet.find(args.models)
        extra = {"backend": args.backend, "device": args.device, "threads": args.threads, "keep_networks": True}
        self.segmenters = {
            mode: Segmenter(model_set, mode=mode, quality=model_set.has("quality"),
                            parcellation=model_set.has("parcellation"), **extra)
            for mode in args.modes if mode in model_set.modes
        }  # fmt: skip

    def real(self, folder: Path) -> None:
        """Scans with a reference, then scans that must be rejected and the others, for their verdicts alone."""
        with_reference = {scan.scan: scan for scan in real_scans(folder)}
        for path in sorted(folder.iterdir()):
            if "_REF_" in path.name or not path.name.endswith((".nii.gz", ".nii", ".mgz")):
                continue
            name = path.name.split(".nii")[0].split(".mgz")[0]
            part = "fail" if name.startswith("FAIL_") else "real"
            for mode, result, seconds in self._segment(Volume.read(path), "CT_" in name):
                about = {"part": part, "scan": name, "mode": mode}
                if path in with_reference:
                    self.dice += compare_real(about, result, with_reference[path])
                self._note(about, result, seconds)

    def synthetic(self, labels: Path, subset: bool) -> None:
        for scan in scans(labels, subset):
            for mode, result, seconds in self._segment(scan.image):
                about = {"part": "synthetic", "scan": scan.name, "mode": mode, "map": scan.map_id}
                about |= {"contrast": scan.contrast, "spacing": scan.spacing, "orientation": scan.orientation}
                self.dice += compare(about, result, scan.truth, result.labels.data)
                self._note(about, result, seconds, float((scan.truth > 0).sum()))

    def _segment(self, volume: Volume, ct: bool = False) -> Iterable[tuple[str, Any, float]]:
        for mode, segmenter in self.segmenters.items():
            began = time.monotonic()
            yield mode, segmenter.segment(volume), time.monotonic() - began

    def _note(self, about: dict[str, Any], result: Any, seconds: float, true_icv: float | None = None) -> None:
        volumes = {row.label: row.volume_mm3 for row in result.volumes}
        lowest = min((region.score for region in result.quality.regions), default=None) if result.quality else None
        self.scans.append({
            **{key: about[key] for key in ("part", "scan", "mode")}, "icv_mm3": f"{result.icv_mm3:.0f}",
            "true_icv_mm3": "" if true_icv is None else f"{true_icv:.0f}",
            "hippocampus_mm3": f"{volumes.get(17, 0) + volumes.get(53, 0):.0f}", "verdict": result.verdict.value,
            "lowest": "" if lowest is None else f"{lowest:.4f}", "seconds": f"{seconds:.1f}",
        })  # fmt: skip
        print(f"{about['scan']} {about['mode']}: {seconds:.1f} s, {result.verdict.value}", flush=True)
        write(self.args.out / "dice.csv", DICE_COLUMNS, self.dice)
        write(self.args.out / "scans.csv", SCAN_COLUMNS, self.scans)


def write(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV, complete or not at all."""
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def summary(dice: list[dict[str, Any]], scans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The numbers that a model card quotes."""
    found: list[dict[str, Any]] = []

    def add(part: str, mode: str, what: str, value: float) -> None:
        found.append({"part": part, "mode": mode, "what": what, "value": f"{value:.4f}"})

    for part, mode in dict.fromkeys((row["part"], row["mode"]) for row in scans):
        own = [row for row in dice if (row["part"], row["mode"]) == (part, mode)]
        for kind in ("structure", "tissue", "region", "parcel"):
            values = [float(row["dice"]) for row in own if row["kind"] == kind]
            if values:
                add(part, mode, f"mean Dice of {kind}s", np.nanmean(values))
        for scan in dict.fromkeys(row["scan"] for row in own if part == "real"):
            for kind in ("structure", "parcel"):
                values = [float(row["dice"]) for row in own if row["scan"] == scan and row["kind"] == kind]
                if values:
                    add(part, mode, f"{scan}: mean Dice of {kind}s", np.nanmean(values))
        for spacing in sorted({row["spacing"] for row in own if row.get("spacing", "") != ""}):
            values = [float(row["dice"]) for row in own if row["spacing"] == spacing and row["kind"] == "structure"]
            add(part, mode, f"mean Dice of structures at {spacing} mm", np.nanmean(values))
        _quality(own, lambda what, value, part=part, mode=mode: add(part, mode, what, value))
        listed = [row for row in scans if (row["part"], row["mode"]) == (part, mode)]
        add(part, mode, "share of scans rejected", np.mean([row["verdict"] == "fail" for row in listed]))
        known = [row for row in listed if row["true_icv_mm3"]]
        if known:
            icv = agreement(*([float(row[key]) for row in known] for key in ("icv_mm3", "true_icv_mm3")))
            add(part, mode, "ICV: Pearson r", icv.pearson)
            add(part, mode, "ICV: mean relative bias", icv.bias)
    _paired(dice, found)
    return found


def _quality(own: list[dict[str, Any]], add: Any) -> None:
    pairs = [(float(row["score"]), float(row["dice"])) for row in own if row["kind"] == "region" and row.get("score")]
    pairs = [pair for pair in pairs if np.isfinite(pair).all()]
    if not pairs:
        return
    score, true = np.array(pairs).T
    add("R: AUC for true Dice below 0.65", area_under_curve(score, true < REJECT_BELOW))
    add("R: mean absolute error", float(np.abs(score - true).mean()))
    clear = (true > 0.70) | (true < 0.60)
    found = classify(score[clear] < REJECT_BELOW, true[clear] < 0.60)
    add("R: regions above 0.70 accepted", found.specificity)
    add("R: regions below 0.60 rejected", found.sensitivity)


def _paired(dice: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """Robust minus single network per scan, with its bootstrap interval."""
    for part in ("synthetic", "real"):
        means: dict[str, dict[str, float]] = {}
        for mode in ("robust", "fast"):
            own = [row for row in dice if (row["part"], row["mode"], row["kind"]) == (part, mode, "structure")]
            names = dict.fromkeys(row["scan"] for row in own)
            means[mode] = {n: np.nanmean([float(r["dice"]) for r in own if r["scan"] == n]) for n in names}
        both = [name for name in means["robust"] if name in means["fast"]]
        gain = np.array([means["robust"][name] - means["fast"][name] for name in both])
        if len(gain):
            low, high = bootstrap_interval(gain)
            for what, value in (("mean", gain.mean()), ("95 % interval, low", low), ("95 % interval, high", high)):
                found.append({"part": part, "mode": "robust - fast", "what": what, "value": f"{value:.4f}"})


if __name__ == "__main__":
    raise SystemExit(main())
