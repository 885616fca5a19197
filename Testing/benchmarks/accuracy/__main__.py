"""Accuracy of a model set: Dice on synthetic and real scans in every mode, quality control, volumes.

    python3 dev.py bench accuracy --labels DIR --scans DIR --out OUT              (subset for a CPU)
    python3 dev.py bench accuracy --labels DIR --scans DIR --out OUT --full       (everything, for a GPU)
    python3 dev.py bench accuracy --labels DIR --out OUT --degraded               (strongly degraded scans alone)
    python3 dev.py bench accuracy --out OUT                                       (summary and figures again)

A scan that OUT already has is not measured again, so a run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from SynthSegPlusLib.contract.errors import SynthSegPlusError
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.networks import choose_backend
from Testing.benchmarks.accuracy.bench import Bench
from Testing.benchmarks.accuracy.figures import draw_figures
from Testing.benchmarks.accuracy.plans import PLANS, STRONGLY_DEGRADED
from Testing.benchmarks.accuracy.summary import STRUCTURE_COLUMNS, SUMMARY_COLUMNS, per_structure, summary
from Testing.benchmarks.accuracy.tables import claim, read_all, write_table
from Testing.benchmarks.accuracy.variants import CASCADE, TITLES

STUDY_MODES = ("robust", CASCADE, "s1-s2", "fast", "s-d", "s1-s2-d")
PAIR = ("robust", CASCADE, "fast")
SCORED = ("robust", "fast")
PARTS = ("real", *PLANS)


def main() -> int:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.labels or args.scans:
        try:
            measure(args)
        except SynthSegPlusError as error:
            raise SystemExit(f"accuracy: {error}") from error
        except KeyboardInterrupt:
            print("Stopped; the same command goes on from here.", flush=True)
    dice, scans = read_all(args.out)
    write_table(args.out / "summary.csv", SUMMARY_COLUMNS, summary(dice, scans))
    write_table(args.out / "structures.csv", STRUCTURE_COLUMNS, per_structure(dice))
    draw_figures(args.out, dice, scans)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, help="folder of the label maps; without it no synthetic scans")
    parser.add_argument("--parcels", type=Path, help="folder of the label maps' parcels, to measure parcels on them")
    parser.add_argument("--scans", type=Path, help="folder of real scans; without it none")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", help="model set (default: the one that is found)")
    parser.add_argument("--modes", nargs="+", choices=tuple(TITLES), help="default: all variants that the set "
                        "has; on strongly degraded scans and contrast series robust, cascade, fast")  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=PARTS,
                        default=[part for part in PARTS if part not in STRONGLY_DEGRADED])
    parser.add_argument("--degraded", action="store_const", dest="parts", const=list(STRONGLY_DEGRADED),
                        help="the same as --parts degraded quality")  # fmt: skip
    parser.add_argument("--limit", type=int, help="at most so many scans of each synthetic part")
    parser.add_argument("--full", action="store_true", help="all synthetic scans instead of the subset for a CPU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backend")
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def measure(args: argparse.Namespace) -> None:
    model_set = ModelSet.find(args.models)
    claim(args.out, model_set)
    choose_backend(args.backend, args.device, args.threads)
    machine = {"backend": args.backend, "device": args.device, "threads": args.threads}
    modes = args.modes or STUDY_MODES
    bench = Bench(model_set, modes, args.out, **machine)
    benches = {"degraded": Bench(without_flips(model_set), modes, args.out, **machine)}
    if args.labels:
        for part in (part for part in PLANS if part in args.parts):
            modes = None if part == "synthetic" or args.modes else SCORED if part == "quality" else PAIR
            limit = args.limit if args.limit or not args.full else len(PLANS[part]())
            benches.get(part, bench).synthetic(part, args.labels, args.parcels, limit, modes)
    if args.scans and "real" in args.parts:
        bench.real(args.scans)


def without_flips(model_set: ModelSet) -> ModelSet:
    """The set whose cascade is not averaged with the mirror image, as its mode fast is not: a fair pair."""
    rules = dataclasses.replace(model_set.postprocessing, flip_cascade=False)
    return dataclasses.replace(model_set, postprocessing=rules)


if __name__ == "__main__":
    raise SystemExit(main())
