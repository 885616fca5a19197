"""How far a precision's labels are from float32's.

With random weights the robust chain is chaotic (the reference differs from itself by 7 % of the voxels when its
summation order changes), so the Dice that counts is that of trained networks: the bundled set on a real head. The
single stand-in network, which is not chaotic, is compared as well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from SynthSegPlusLib import ModelSet, Volume
from SynthSegPlusLib.commands.demo import nilearn_files
from SynthSegPlusLib.labels import structures
from Testing.benchmarks.inference.whole import Bench, run, say, store

BASE = "float32"

LEFT_CORTEX, RIGHT_CORTEX = (structures("2.0").cortex[side] for side in ("left", "right"))


def measure(bench: Bench, precision: str, scan: Path | None, again: bool) -> None:
    """Store the Dice of a precision against float32; nothing for float32 itself."""
    path = bench.file_of(f"dice_{precision}")
    if precision == BASE or (path.exists() and not again):
        return
    say(f"Dice of {precision} against {BASE}")
    bundled = _bundled(bench, scan or nilearn_files()["scan"], precision, [] if again else ["--resume"])
    report = {"chain": "dice", "precision": precision, "shape": list(bench.shape), "bundled set": bundled}
    fast = [bench.labels_of("fast", kind) for kind in (BASE, precision)]
    if all(file.exists() for file in fast):
        report["stand-in, fast"] = compare(*(np.asarray(Volume.read(file).data) for file in fast))
    store(path, report)


def _bundled(bench: Bench, scan: Path, precision: str, resume: list[str]) -> dict[str, object]:
    model_set = ModelSet.find()
    parcels = ["--parc"] if model_set.has("parcellation") else []
    maps = []
    for kind in (BASE, precision):
        out = bench.work / f"bundled_{kind}.nii.gz"
        run("command", "segment", "--i", scan, "--o", out, "--mode", model_set.best_mode, "--models", model_set.folder,
            "--precision", kind, "--quiet", *resume, *parcels, *bench.machine.words())  # fmt: skip
        maps.append(np.asarray(Volume.read(out).data))
    whole = [np.where(found >= 1000, np.where(found < 2000, LEFT_CORTEX, RIGHT_CORTEX), found) for found in maps]
    return {"name": model_set.name, "mode": model_set.best_mode, "scan": scan.name, **compare(*maps),
            "structures": compare(*whole)}  # fmt: skip


def compare(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Mean and smallest Dice over the labels of either map, and the share of brain voxels that differ."""
    found = []
    for label in np.union1d(ours, theirs):
        if label:
            a, b = ours == label, theirs == label
            found.append(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
    brain = np.count_nonzero((ours != 0) | (theirs != 0))
    return {
        "mean_dice": round(float(np.mean(found)), 5), "smallest_dice": round(float(np.min(found)), 5),
        "voxels_that_differ": round(np.count_nonzero(ours != theirs) / max(brain, 1), 6),
    }  # fmt: skip
