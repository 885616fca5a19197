"""CPU seconds, wall time, memory and share of the matrix rate of every network on a full 1 mm head.

    python3 dev.py bench inference networks [--precision float32 bfloat16] [--backend tensorflow] [--plain] [--out FILE]

Each precision runs in a process of its own with the stand-in weights: S1, D, S2, S3 and R as in a robust
run with parcels and quality. Compilation is part of the first stage that needs it, and ``S2 again`` shows a
warm process. The share of the matrix rate counts the plain model's arithmetic, so that saved work shows as
a share above what the convolutions themselves reach. Ratios to the reference are to its CPU seconds on a
machine of two Zen 4 cores; ``--plain`` times the plain Keras model
in the same run, which is the comparison to trust on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE_CPU_S = {"S1": 46.48, "D": 50.79, "S2": 38.81, "S3": 39.49, "R": 57.91}
"""The reference implementation's CPU seconds on a grid of 192 x 224 x 224 (R: 224 cubed), float32."""


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="inference networks", description=__doc__.splitlines()[0])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--shape", nargs=3, type=int, default=[192, 224, 224])
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plain", action="store_true", help="time the plain Keras models too")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    parser.add_argument("--scan", type=Path, help="also segment this scan with the bundled model set, for Dice")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--maps", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.child:
        return _child(options)
    with tempfile.TemporaryDirectory() as folder:
        report = _measure_all(options, Path(folder), sys.argv[1:] if words is None else words)
    _print(report)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _measure_all(options: argparse.Namespace, folder: Path, words: list[str]) -> dict[str, Any]:
    from Testing.standin import write_standin

    weights = write_standin(folder / "weights")
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {options.threads} threads", "shape": options.shape, "runs": {},
    }  # fmt: skip
    maps: dict[str, Any] = {}
    given: list[str] = []
    for precision in options.precision:
        out = folder / f"{precision}.npz"
        arguments = [*words, "--precision", precision, "--child", str(weights), str(out), *given]
        subprocess.run([sys.executable, "-m", "Testing.benchmarks.inference.networks", *arguments], check=True)
        with np.load(out) as stored:
            run = json.loads(str(stored["report"]))
            maps[precision] = {name: stored[name] for name in stored.files if name != "report"}
        given = given or ["--maps", str(out)]  # later precisions get the first one's label maps between networks
        first = options.precision[0]
        if precision != first:
            run[f"dice_with_{first}"] = _dice(maps[first], maps[precision])
        report["runs"][precision] = run
    return report


def _child(options: argparse.Namespace) -> int:
    from SynthSegPlusLib.networks import choose_backend
    from Testing.benchmarks.inference.measure import measure_chain

    weights, out = options.child
    precision, shape = options.precision[-1], tuple(options.shape)
    chosen = choose_backend(options.backend, options.device, options.threads)
    forced = dict(np.load(options.maps)) if options.maps else {}
    run = measure_chain(weights, precision, shape, options.plain, forced)
    maps = run.pop("maps")
    if options.scan:
        maps["bundled set"] = _segmented(options.scan, precision, options.threads)
    for name, row in run["stages"].items():
        if shape == (192, 224, 224):
            row["cpu_over_reference"] = round(row["cpu_s"] / REFERENCE_CPU_S[name.split()[0]], 3)
    run["total_cpu_s"] = round(sum(row["cpu_s"] for name, row in run["stages"].items() if name != "S2 again"), 1)
    run["peak_gb"] = max(row["peak_gb"] for row in run["stages"].values())
    run["backend"] = chosen.description
    np.savez(out, report=json.dumps(run), **maps)
    return 0


def _segmented(scan: Path, precision: Any, threads: int) -> np.ndarray:
    """Labels of a scan by the single network of the bundled set: trained weights, unlike the stand-in ones."""
    from SynthSegPlusLib import ModelSet, Segmenter, Volume

    segmenter = Segmenter(ModelSet.find(), mode="fast", precision=precision, device="cpu", threads=threads)
    return np.asarray(segmenter.segment(Volume.read(scan)).labels.data)


def _dice(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean Dice over labels; random weights decide every voxel narrowly, trained ones do not."""
    found = {}
    for name, labels in ours.items():
        counts = [(np.sum((labels == v) & (theirs[name] == v)), np.sum(labels == v), np.sum(theirs[name] == v))
                  for v in np.unique(labels)]  # fmt: skip
        found[name] = round(float(np.mean([2 * both / (a + b) for both, a, b in counts])), 4)
    return found


def _print(report: dict[str, Any]) -> None:
    for precision, run in report["runs"].items():
        print(f"{precision} on {run['backend']}: {run['matrix_gflop_per_cpu_s']} GFLOP per CPU second in a product")
        for name, row in run["stages"].items():
            print(f"  {name:9}" + "  ".join(f"{key} {value:g}" for key, value in row.items()))
        print(f"  total {run['total_cpu_s']} CPU s, at most {run['peak_gb']} GB")
        for key in run:
            if key.startswith("dice"):
                print(f"  {key}: {run[key]}")


if __name__ == "__main__":
    sys.exit(main())
