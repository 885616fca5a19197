"""What became of a scan: the numbers that the tables show, from a fresh result or from the record of an earlier run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from SynthSegPlusLib.contract import MeasuresTable, QualityReport, Verdict

Status = Literal["done", "kept", "failed"]


@dataclass(frozen=True)
class Outcome:
    """One scan of a run.

    status
        "done" in this run, "kept" from an earlier one, or "failed" with a `reason`.
    measures, icv_mm3, quality
        None when the scan failed; ICV also where the label table has none, quality when it was not asked for.
    findings
        Codes of the warnings about the scan and its result.
    """

    scan: Path
    subject: str
    status: Status
    reason: str = ""
    measures: MeasuresTable | None = None
    icv_mm3: float | None = None
    quality: QualityReport | None = None
    findings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        return Verdict.NOT_SCORED if self.quality is None else self.quality.verdict

    def numbers(self) -> dict[str, Any]:
        """JSON-ready numbers; values that are not defined are null, since JSON has no NaN."""
        rows = [] if self.measures is None else self.measures.to_rows()
        return {
            "icv_mm3": self.icv_mm3,
            "quality": None if self.quality is None else self.quality.to_dict(),
            "findings": list(self.findings),
            "measures": [{name: _null(value) for name, value in row.items()} for row in rows],
        }

    @classmethod
    def kept(cls, scan: Path, subject: str, numbers: Mapping[str, Any]) -> Outcome:
        """Inverse of `numbers`, for a scan that an earlier run finished. KeyError, TypeError or ValueError if unfit."""
        rows = [{**row, "fraction_of_icv": _nan(row["fraction_of_icv"])} for row in numbers["measures"]]
        quality = numbers["quality"]
        return cls(
            scan, subject, "kept", "", MeasuresTable.from_rows(rows), numbers["icv_mm3"],
            None if quality is None else QualityReport.from_dict(quality), tuple(numbers.get("findings", ())),
        )  # fmt: skip


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
