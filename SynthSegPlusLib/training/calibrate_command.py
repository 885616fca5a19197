"""`synthsegplus calibrate`: let the posteriors and S's second opinion join R's scores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract import QC_THRESHOLD
from SynthSegPlusLib.contract.errors import OptionsError

TABLE = "observed.csv"
SHAPE = [192, 224, 192]
CHANGED = {"ventricles": 0.5, "cortex": 0.5, "hippocampi": 1.0, "hippocampi_volume": [0.35, 1.2], "amygdalae": 0.5,
           "horns": 0.25}  # fmt: skip
"""Morphology of a kind of scans of its own: networks find the anatomies that they trained on more easily than those of
new people, and a shrunken structure that they draw at its usual size looks like any other."""
KINDS: dict[str, dict[str, Any]] = {
    "fast": {"preset": "fast"}, "degraded": {"preset": "degraded"},
    "changed": {"preset": "fast", "anatomy": CHANGED},
}  # fmt: skip
"""Kinds of scans at 1 mm, taken in turn: settings of the generator."""
MAPS = [f"{number:02d}" for number in range(1, 17)]
"""Training and validation: two anatomies alone would give their own scores, not those of people."""
CAUTION = 0.75
"""A bad region that passes costs more than a good one that is looked at."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--models", required=True, metavar="SET", help="the model set, which is changed")
    parser.add_argument("--labels", required=True, type=Path, metavar="DIR", help="folder of label maps (*seg_<id>)")
    parser.add_argument("--maps", nargs="+", default=MAPS, metavar="ID", help="ids of label maps (default: 01 to 16)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help=f"folder for the table, {TABLE}")
    parser.add_argument("--scans", type=int, default=60, help="how many with each seed (default: 60)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one or more (default: 1)")
    parser.add_argument("--caution", type=float, default=CAUTION, metavar="SHARE",
                        help="share of the regions of observed heads that are to reach their score (default: "
                        f"{CAUTION:g}; 0.5: as many above it as below)")  # fmt: skip
    parser.add_argument("--accept", type=float, metavar="SHARE",
                        help="multiply what the scores of each mode lack of 1 as far as (at most by 2) at least this "
                        "share of the good regions is still accepted; scans of new people are accepted more readily "
                        "than those of the calibration")
    parser.add_argument("--backend", choices=("tensorflow", "torch", "jax"), help="default: the one that sees a GPU")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def run(args: argparse.Namespace) -> int:
    """Observe, fit, and write; returns the exit status. Raises the project's errors."""
    from SynthSegPlusLib.inference import ModelSet
    from SynthSegPlusLib.networks import choose_backend
    from SynthSegPlusLib.synthesis import Generator, find_label_maps, generator_config, read_label_map
    from SynthSegPlusLib.training.calibrate import (
        ALONE,
        ASKED,
        BAD,
        FEWEST_SCANS,
        GOOD,
        asking,
        check_writable,
        claim,
        collect,
        fit,
        fit_alone,
        stretch_for,
        tradeoffs,
        write_calibration,
    )

    model_set = ModelSet.find(args.models)
    # Says what is wrong before anything is made.
    asking(model_set)
    check_writable(model_set)
    if args.scans * len(args.seed) < FEWEST_SCANS:
        raise OptionsError(f"--scans is {args.scans}; calibrate with {FEWEST_SCANS} or more.")
    if not 0 < args.caution < 1:
        raise OptionsError(f"--caution is {args.caution:g}; it is a share between 0 and 1.")
    if args.accept is not None and not 0 < args.accept <= 1:
        raise OptionsError(f"--accept is {args.accept:g}; it is a share above 0 and up to 1.")
    maps = [read_label_map(path) for path in find_label_maps(args.labels, args.maps)]
    print(f"calibrating {model_set.name} on {choose_backend(args.backend, args.device, args.threads).description}")
    generators = {
        kind: Generator(maps, generator_config({**settings, "shape": SHAPE})) for kind, settings in KINDS.items()
    }
    args.out.mkdir(parents=True, exist_ok=True)
    table, machine = args.out / TABLE, {"backend": args.backend, "device": args.device, "threads": args.threads}
    claim(table, model_set, args.maps, KINDS)
    observed = [one for seed in args.seed for one in collect(model_set, generators, args.scans, seed, table, **machine)]
    regions = model_set.qc_regions.names[1:]
    stretches = {ASKED: 1.0, ALONE: 1.0}
    for mode in stretches if args.accept is not None else ():
        stretches[mode], does = stretch_for(observed, regions, mode, args.caution, args.accept)
        print(f"{mode}: what scores lack of 1 multiplied by {stretches[mode]:.2f}, which accepts {does.accepted:.1%} "
              f"of regions above {GOOD:.2f} and rejects {does.rejected:.1%} of those below {BAD:.2f}")  # fmt: skip
    opinion = fit(observed, regions, args.caution, stretches[ASKED])
    alone = fit_alone(observed, regions, args.caution, stretches[ALONE])
    write_calibration(model_set.folder, opinion, alone)
    for mode, rule in ((ASKED, opinion), (ALONE, alone)):
        parts = {"R": rule.regressor, "confidence": rule.confidence, "agreement": getattr(rule, "agreement", ())}
        weights = "".join(f" + {weight[0]:.2f} x {name}" for name, weight in parts.items() if weight)
        print(f"{mode}: {rule.intercept[0]:+.2f}{weights}")
    print("\nWhat other cautions would do without --accept, each scan scored by a fit to the others "
          f"(threshold {QC_THRESHOLD:g}; scans without a head count as bad):")  # fmt: skip
    for mode in (ASKED, ALONE):
        for one in tradeoffs(observed, regions, mode, QC_THRESHOLD):
            print(f"{mode}, caution {one.caution:.2f}: of regions above {GOOD:.2f} {one.accepted:.1%} accepted, "
                  f"of those below {BAD:.2f} {one.rejected:.1%} rejected")  # fmt: skip
    return 0
