"""The loop over scans: each is done, kept or failed with a reason, and none stops the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from SynthSegPlusLib.cohort.files import need_writable, write_text
from SynthSegPlusLib.cohort.naming import Job, Plan
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.cohort.records import finished, write_record
from SynthSegPlusLib.cohort.tables import PublishedTables, failures, tidy
from SynthSegPlusLib.contract import BackendError, ModelError, OptionsError, SynthSegPlusError

# Tables are rewritten whole; they may cost this share of the time at most while a run goes on.
TABLES_SHARE = 0.05


class Done(Protocol):
    """A finished scan before its files are written."""

    @property
    def outcome(self) -> Outcome: ...

    @property
    def record(self) -> Mapping[str, Any]: ...

    def write(self, job: Job) -> Mapping[str, Any]:
        """Write the files of the scan; name -> path, None where there was nothing to write."""
        ...


Segment = Callable[[Job], Done]
"""Does one scan without writing anything yet; a `SynthSegPlusError` makes it a failed one."""


class Reporter(Protocol):
    """Is told what happens; a door shows it."""

    def started(self, number: int, count: int, job: Job) -> None: ...

    def ended(self, outcome: Outcome) -> None: ...


def run(
    plan: Plan,
    segment: Segment,
    request: Mapping[str, Any],
    published: PublishedTables,
    reporter: Reporter,
    resume: bool = False,
    in_words: Callable[[Exception], str] | None = str,
) -> list[Outcome]:
    """Do all scans of a plan and keep its tables up to date, also when the run is interrupted.

    Parameters
    ----------
    segment
        Its `BackendError`, `ModelError` and `OptionsError` end the run, because every scan would meet them.
    resume
        Keep scans whose record proves that an earlier run with the same request finished them.
    in_words
        Puts an error that nobody foresaw into words, so that the other scans go on. None, for debugging: the first
        error of any kind ends the run.
    """
    for path in dict.fromkeys(path for path, _ in plan.outputs()):
        need_writable(path)
    tables = _Tables(plan, published)
    outcomes: list[Outcome] = []
    try:
        for number, job in enumerate(plan.jobs, start=1):
            reporter.started(number, len(plan.jobs), job)
            outcome = finished(job, request) if resume else None
            if outcome is None:
                outcome = _one(job, segment, request, in_words)
            outcomes.append(outcome)
            reporter.ended(outcome)
            tables.write_when_cheap(outcomes)
    finally:
        if outcomes:
            tables.write(outcomes)
    return outcomes


def _one(
    job: Job, segment: Segment, request: Mapping[str, Any], in_words: Callable[[Exception], str] | None
) -> Outcome:
    try:
        done = segment(job)
        # From here until the new record is written, the old results cannot be trusted.
        job.record.unlink(missing_ok=True)
        written = done.write(job)
        write_record(job, done.outcome, request, done.record, written)
        return done.outcome
    except (BackendError, ModelError, OptionsError):
        raise  # it would be the same with every scan
    except Exception as error:
        if in_words is None:
            raise
        reason = str(error) if isinstance(error, SynthSegPlusError) else in_words(error)
        return Outcome(job.scan, job.subject, "failed", reason)


class _Tables:
    """The CSV files of a run, rewritten whole so that they are never damaged."""

    def __init__(self, plan: Plan, published: PublishedTables) -> None:
        self._plan = plan
        self._published = published
        self._last = 0.0
        self._cost = 0.0

    def write_when_cheap(self, outcomes: list[Outcome]) -> None:
        if time.monotonic() - self._last > self._cost / TABLES_SHARE:
            self.write(outcomes)

    def write(self, outcomes: list[Outcome]) -> None:
        began = time.monotonic()
        if self._plan.shared:
            self._shared(outcomes)
        else:
            self._one_per_scan(outcomes)
        if self._plan.table is not None:
            write_text(self._plan.table, tidy(outcomes))
        self._failures(outcomes)
        self._last = time.monotonic()
        self._cost = self._last - began

    def _shared(self, outcomes: list[Outcome]) -> None:
        first = self._plan.jobs[0]
        if first.volumes is not None:
            write_text(first.volumes, self._published.volumes(outcomes))
        if first.quality is not None:
            write_text(first.quality, self._published.quality(outcomes))

    def _one_per_scan(self, outcomes: list[Outcome]) -> None:
        for job, outcome in zip(self._plan.jobs, outcomes, strict=False):
            if job.volumes is not None:
                write_text(job.volumes, self._published.volumes([outcome], first_cell=""))
            if job.quality is not None:
                write_text(job.quality, self._published.quality([outcome], first_cell=""))

    def _failures(self, outcomes: list[Outcome]) -> None:
        path = self._plan.failures
        if path is None:
            return
        if any(outcome.status == "failed" for outcome in outcomes):
            write_text(path, failures(outcomes))
        else:
            path.unlink(missing_ok=True)

