"""`synthsegplus segment`: scans in, label maps, tables and pictures out."""

from __future__ import annotations

import argparse
import os
import sys

from SynthSegPlusLib.cohort import Plan, plan
from SynthSegPlusLib.cohort import run as run_all
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.commands import _engine, _estimate
from SynthSegPlusLib.commands._progress import reporter_for
from SynthSegPlusLib.commands._segment_arguments import add_arguments, asked, options_of

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Segment what the arguments ask for: 0 when all went well, 1 when scans failed."""
    from SynthSegPlusLib.cli import in_words

    options = options_of(args)
    made = plan(asked(args))
    choice = _engine.choose(args.models, options)
    if args.dry_run:
        print(_estimate.describe(made, choice, args.device, args.resume))
        return 0
    if args.device.lower() == "cpu":
        # TensorFlow takes memory of every GPU that it sees, also when nothing is to run there.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    reporter = reporter_for(sys.stderr, args.quiet)
    for note in made.notes:
        reporter.note(note)
    reporter.note(f"model set {choice.model_set.name}, mode {options.mode}")
    outcomes = run_all(
        made,
        _engine.Engine(choice, reporter, args.backend, args.device, args.threads, keep=len(made.jobs) > 1),
        choice.request(),
        choice.tables(),
        reporter,
        resume=args.resume,
        in_words=None if args.debug else in_words,
    )
    return _summary(made, outcomes, reporter)


def _summary(made: Plan, outcomes: list[Outcome], reporter: _engine.Listener) -> int:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if len(outcomes) > 1:
        kept = sum(outcome.status == "kept" for outcome in outcomes)
        reporter.note(f"{len(outcomes)} scans: {len(outcomes) - len(failed) - kept} done, {kept} kept from an earlier "
                      f"run, {len(failed)} failed")
        for outcome in failed:
            reporter.note(f"failed: {outcome.scan}: {outcome.reason}")
    if failed and made.failures is not None:
        reporter.note(f"the failed scans are listed in {made.failures}; --resume tries only them again")
    return 1 if failed else 0
