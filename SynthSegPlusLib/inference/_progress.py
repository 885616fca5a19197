"""Progress in stages, their times, and the cancel flag."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from SynthSegPlusLib.contract.errors import Cancelled

Report = Callable[[str, float, float], object]
"""Called with the stage's name, its fraction and the overall fraction, both 0 to 1."""

CancelFlag = Callable[[], bool]


class Stages:
    """The stages of a run with their expected shares of the time."""

    def __init__(self, plan: Sequence[tuple[str, float]], report: Report | None, cancelled: CancelFlag | None):
        self._weights = dict(plan)
        self._report = report
        self._cancelled = cancelled
        self._done = 0.0
        self._current = ""
        self.timings: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Run one stage; yields a function that takes the stage's fraction. Raises `Cancelled` when asked to stop."""
        wall, cpu = time.perf_counter(), time.process_time()
        self._current = name
        self.update(0.0)
        yield self.update
        self.update(1.0)
        self._done += self._weights.get(name, 0.0)
        self.timings[name] = {
            "wall_s": round(time.perf_counter() - wall, 4), "cpu_s": round(time.process_time() - cpu, 4)
        }  # fmt: skip

    def update(self, fraction: float) -> None:
        """Report the running stage's fraction."""
        self.check()
        if self._report is not None:
            total = sum(self._weights.values()) or 1.0
            fraction = min(max(fraction, 0.0), 1.0)
            overall = (self._done + self._weights.get(self._current, 0.0) * fraction) / total
            self._report(self._current, fraction, min(overall, 1.0))

    def check(self) -> None:
        """Raise `Cancelled` when the user asked to stop."""
        if self.is_cancelled():
            raise Cancelled()

    def is_cancelled(self) -> bool:
        return self._cancelled is not None and self._cancelled()
