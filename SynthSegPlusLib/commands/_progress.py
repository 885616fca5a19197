"""What is said while scans are segmented: one updating line a stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

from SynthSegPlusLib.cohort.naming import Job
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.contract import Finding, Verdict

PROGRAM = "synthsegplus"
REDRAW_SECONDS = 0.1


def reporter_for(stream: TextIO, quiet: bool = False) -> Reporter:
    """The way of talking that suits where the words go."""
    if quiet:
        return Reporter(stream)
    return TerminalReporter(stream) if stream.isatty() else LineReporter(stream)


class Reporter:
    """Says nothing but why a scan failed."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def note(self, text: str) -> None:
        pass

    def started(self, number: int, count: int, job: Job) -> None:
        pass

    def stage(self, name: str, fraction: float, overall: float) -> None:
        pass

    def finding(self, finding: Finding) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        if outcome.status == "failed":
            name = outcome.scan.name
            self.say(f"{PROGRAM}: {outcome.reason if name in outcome.reason else f'{name}: {outcome.reason}'}")

    def say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class LineReporter(Reporter):
    """A line when a scan or a stage begins and when a scan ends."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._where = ""
        self._stage = ""
        self._began = 0.0

    def note(self, text: str) -> None:
        self.say(text)

    def started(self, number: int, count: int, job: Job) -> None:
        self._where = f"[{number}/{count}] {job.scan.name}"
        self._stage, self._began = "", time.monotonic()

    def stage(self, name: str, fraction: float, overall: float) -> None:
        if name != self._stage:
            self._stage = name
            self.say(f"{self._where}: {name}")

    def finding(self, finding: Finding) -> None:
        if finding.severity == "warning":
            self.say(f"{self._where}: warning: {finding.message} {finding.advice}".rstrip())

    def ended(self, outcome: Outcome) -> None:
        super().ended(outcome)
        if outcome.status != "failed":
            self.say(f"{self._where}: {_in_short(outcome, time.monotonic() - self._began)}")


class TerminalReporter(LineReporter):
    """One line a stage, redrawn as it advances and left behind with its time."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._open = False
        self._stage_began = 0.0
        self._drawn = 0.0

    def started(self, number: int, count: int, job: Job) -> None:
        super().started(number, count, job)
        self.say(self._where)

    def stage(self, name: str, fraction: float, overall: float) -> None:
        now = time.monotonic()
        if name != self._stage:
            self._close()
            self._stage, self._stage_began, self._drawn = name, now, 0.0
        if now - self._drawn < REDRAW_SECONDS and fraction < 1:
            return
        self._drawn, self._open = now, True
        text = f"  {name:<16} {fraction:4.0%} {now - self._stage_began:6.1f} s   all {overall:4.0%}"
        self.stream.write(f"\r\x1b[2K{text}")
        self.stream.flush()

    def say(self, text: str) -> None:
        self._close()
        super().say(text)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self.stream.write("\n")


def _in_short(outcome: Outcome, seconds: float) -> str:
    if outcome.status == "kept":
        return "kept from an earlier run"
    words = [f"done in {seconds:.0f} s"]
    if outcome.icv_mm3 is not None:
        words.append(f"ICV {outcome.icv_mm3 / 1e6:.3f} l")
    if outcome.quality is not None:
        failed = ", ".join(f"{region.name} {region.text}" for region in outcome.quality.failed)
        words.append(f"quality {outcome.quality.verdict}" + (f" ({failed})" if failed else ""))
        if outcome.quality.verdict is Verdict.FAIL:
            words.append("look at it before you use its volumes")
    return ", ".join(words)
