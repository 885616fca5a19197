"""The loop over scans: each is done, kept or failed with a reason, and none stops the others."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from SynthSegPlusLib.cohort.files import need_writable, remove, sha256_of, text_of, write_text
from SynthSegPlusLib.cohort.naming import Job, Plan
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.cohort.records import finished, write_record
from SynthSegPlusLib.cohort.tables import PublishedTables, failures, tidy
from SynthSegPlusLib.contract import BackendError, ModelError, OptionsError, OutputError, SynthSegPlusError

# Tables are rewritten whole; they may cost this share of the time at most while a run goes on.
TABLES_SHARE = 0.05

# Before a run gives up a table in the end: a program that looks into it for a moment may be done by then.
PATIENCE_SECONDS = (0.5, 2.0)


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

    def note(self, text: str) -> None: ...

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
    tables = _Tables(plan, published, reporter)
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
            tables.write_patiently(outcomes)
    return outcomes


def _one(
    job: Job, segment: Segment, request: Mapping[str, Any], in_words: Callable[[Exception], str] | None
) -> Outcome:
    try:
        # Before the scan is read: what replaces it meanwhile is not what the result was made of.
        checksum = sha256_of(job.scan)
        done = segment(job)
        # From here until the new record is written, the old results cannot be trusted.
        job.record.unlink(missing_ok=True)
        written = done.write(job)
        write_record(job, checksum, done.outcome, request, done.record, written)
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

    def __init__(self, plan: Plan, published: PublishedTables, reporter: Reporter) -> None:
        self._plan = plan
        self._published = published
        self._reporter = reporter
        self._noted = False
        self._last = 0.0
        self._cost = 0.0

    def write_when_cheap(self, outcomes: list[Outcome]) -> None:
        """As `write`, while scans are waiting: a table that is open in another program must not cost them."""
        if time.monotonic() - self._last <= self._cost / TABLES_SHARE:
            return
        try:
            self.write(outcomes)
        except OutputError as error:
            if not self._noted:
                self._reporter.note(f"warning: {error} The run goes on, and tries again after the next scans.")
            self._noted = True

    def write_patiently(self, outcomes: list[Outcome]) -> None:
        """As `write`, for the last time."""
        for pause in PATIENCE_SECONDS:
            try:
                return self.write(outcomes)
            except OutputError:
                time.sleep(pause)
        self.write(outcomes)

    def write(self, outcomes: list[Outcome]) -> None:
        """Write every table that can be written; then the first `OutputError` of the others is raised."""
        began = time.monotonic()
        refused: list[OutputError] = []
        for path, text in self._texts(outcomes):
            with _collected(refused):
                write_text(path, text)
        with _collected(refused):
            self._failures(outcomes)
        self._last = time.monotonic()
        self._cost = self._last - began
        if refused:
            raise refused[0]

    def _texts(self, outcomes: list[Outcome]) -> Iterator[tuple[Path, str]]:
        yield from self._shared(outcomes) if self._plan.shared else self._one_per_scan(outcomes)
        if self._plan.table is not None:
            yield self._plan.table, tidy(outcomes)

    def _shared(self, outcomes: list[Outcome]) -> Iterator[tuple[Path, str]]:
        first = self._plan.jobs[0]
        if first.volumes is not None:
            yield first.volumes, self._published.volumes(outcomes)
        if first.quality is not None:
            yield first.quality, self._published.quality(outcomes)

    def _one_per_scan(self, outcomes: list[Outcome]) -> Iterator[tuple[Path, str]]:
        for job, outcome in zip(self._plan.jobs, outcomes, strict=False):
            if job.volumes is not None:
                yield job.volumes, self._published.volumes([outcome], first_cell="")
            if job.quality is not None:
                yield job.quality, self._published.quality([outcome], first_cell="")

    def _failures(self, outcomes: list[Outcome]) -> None:
        """The list of failed scans, which other runs into the same folder share."""
        path = self._plan.failures
        if path is None:
            return
        text = failures(outcomes, text_of(path))
        if text:
            write_text(path, text, self._mark())
        else:
            remove(path)

    def _mark(self) -> str:
        """Another one for every run, but the same when it is repeated, which replaces what a killed one left."""
        return hashlib.sha256(os.fsencode(self._plan.jobs[0].scan)).hexdigest()[:8] + "-"


@contextmanager
def _collected(refused: list[OutputError]) -> Iterator[None]:
    try:
        yield
    except OutputError as error:
        refused.append(error)

