"""The CSV files of a run: volumes and quality with the published columns, and the tidy table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.contract.measures import COLUMNS

TIDY_COLUMNS = ("subject", "status", "reason", "scan", "icv_mm3", "scan_verdict", "findings", *COLUMNS)
FAILURE_COLUMNS = ("subject", "reason", "scan")
PUBLISHED_LINE_END = "\r\n"


@dataclass(frozen=True)
class PublishedTables:
    """Columns and number format of the published `--vol` and `--qc` files.

    labels
        (value, name) of every structure and, with parcels, every parcel, in column order.
    regions
        Names of the QC regions in column order.
    total
        Whether the volume table begins with the intracranial volume (not with the 1.0 labels).
    single_precision
        Print volumes as 32-bit floats, as the reference implementation does.
    keep_failed
        Give a failed scan a row of empty cells, so that it is missed by nobody.
    """

    labels: tuple[tuple[int, str], ...]
    regions: tuple[str, ...] = ()
    total: bool = True
    single_precision: bool = False
    keep_failed: bool = True

    def volumes(self, outcomes: Iterable[Outcome], first_cell: str = "subject") -> str:
        """Volumes in mm3, one row a scan; `first_cell` is empty in the file of a single scan of a list."""
        total = ["total intracranial"] if self.total else []
        return _csv([first_cell, *total, *(name for _, name in self.labels)], self._rows(outcomes, self._volumes))

    def quality(self, outcomes: Iterable[Outcome], first_cell: str = "subject") -> str:
        """Predicted Dice of the regions, one row a scan."""
        return _csv([first_cell, *self.regions], self._rows(outcomes, self._scores))

    def _rows(self, outcomes: Iterable[Outcome], cells: Any) -> Iterable[list[str]]:
        for outcome in outcomes:
            if outcome.status != "failed" or self.keep_failed:
                yield [outcome.subject, *cells(outcome)]

    def _volumes(self, outcome: Outcome) -> list[str]:
        values = {} if outcome.measures is None else outcome.measures.volumes()
        numbers = [values.get(label) for label, _ in self.labels]
        return [self._number(number) for number in ([outcome.icv_mm3] if self.total else []) + numbers]

    def _number(self, value: float | None) -> str:
        if value is None:
            return ""
        kind = np.float32 if self.single_precision else np.float64
        # The shortest digits that give the number back, never with an exponent.
        return np.format_float_positional(np.around(kind(value), 3), unique=True, trim="0")

    def _scores(self, outcome: Outcome) -> list[str]:
        scores = [None if outcome.quality is None else outcome.quality.score_of(name) for name in self.regions]
        return ["" if score is None else f"{np.clip(score, 0, 1):.4f}" for score in scores]


def tidy(outcomes: Iterable[Outcome]) -> str:
    """One row a structure of a scan; a failed scan is one row with its reason."""
    return _csv(TIDY_COLUMNS, (row for outcome in outcomes for row in tidy_rows(outcome)), "\n")


def tidy_rows(outcome: Outcome) -> list[list[Any]]:
    failed = outcome.status == "failed"
    start = [outcome.subject, "failed" if failed else "done", outcome.reason, str(outcome.scan),
             _cell(outcome.icv_mm3), "" if failed else outcome.verdict.value, " ".join(outcome.findings)]
    if outcome.measures is None:
        return [start + [""] * len(COLUMNS)]
    return [start + [_cell(row[name]) for name in COLUMNS] for row in outcome.measures.to_rows()]


def failures(outcomes: Sequence[Outcome], earlier: str = "") -> str:
    """The scans that failed and why; "" where none did. An earlier list keeps its rows of other scans."""
    tried = {str(outcome.scan) for outcome in outcomes}
    known = csv.DictReader(io.StringIO(earlier, newline=None))
    rows = [[row[name] for name in FAILURE_COLUMNS] for row in known
            if set(FAILURE_COLUMNS) <= set(row) and row["scan"] and row["scan"] not in tried]
    rows += [[entry.subject, entry.reason, str(entry.scan)] for entry in outcomes if entry.status == "failed"]
    return _csv(FAILURE_COLUMNS, rows, "\n") if rows else ""


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return ""
    return repr(float(value)) if isinstance(value, float) else value


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]], line_end: str = PUBLISHED_LINE_END) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator=line_end)
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()
