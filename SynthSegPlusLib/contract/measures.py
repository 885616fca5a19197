"""Volumes, scores and verdicts: the numbers that every door shows."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

COLUMNS = ("label", "name", "hemisphere", "volume_mm3", "fraction_of_icv", "qc_region", "qc_score", "verdict")


class Verdict(StrEnum):
    """Outcome of quality control. Not scored is never passed."""

    PASS = "pass"
    FAIL = "fail"
    NOT_SCORED = "not scored"

    @classmethod
    def of(cls, score: float | None, threshold: float) -> Verdict:
        """Verdict of one predicted Dice score; None and NaN are not scored."""
        if score is None or score != score:
            return cls.NOT_SCORED
        return cls.FAIL if score < threshold else cls.PASS


def score_text(score: float | None, verdict: Verdict) -> str:
    """A score with two decimals; one that failed is rounded down, so that 0.648 does not read as a failed 0.65."""
    if score is None or score != score:
        return ""
    return f"{math.floor(100 * score + 1e-9) / 100 if verdict is Verdict.FAIL else score:.2f}"


@dataclass(frozen=True)
class RegionScore:
    """Predicted Dice of one QC region, in [0, 1]."""

    name: str
    score: float
    verdict: Verdict

    @property
    def text(self) -> str:
        """The score as people read it (`score_text`)."""
        return score_text(self.score, self.verdict)


@dataclass(frozen=True)
class QualityReport:
    """Scores of all regions of a scan and what they add up to.

    A scan is rejected when any region fails (PNAS 2023, automated QC).
    """

    regions: tuple[RegionScore, ...]
    threshold: float

    @property
    def verdict(self) -> Verdict:
        if not self.regions:
            return Verdict.NOT_SCORED
        kinds = {region.verdict for region in self.regions}
        if Verdict.FAIL in kinds:
            return Verdict.FAIL
        return Verdict.NOT_SCORED if Verdict.NOT_SCORED in kinds else Verdict.PASS

    @property
    def failed(self) -> tuple[RegionScore, ...]:
        return tuple(region for region in self.regions if region.verdict is Verdict.FAIL)

    def score_of(self, region: str) -> float | None:
        """Score of a region by name; None when the region was not scored."""
        return next((entry.score for entry in self.regions if entry.name == region), None)

    def at_threshold(self, threshold: float) -> QualityReport:
        """The same scores judged at another threshold."""
        regions = tuple(RegionScore(r.name, r.score, Verdict.of(r.score, threshold)) for r in self.regions)
        return QualityReport(regions, threshold)

    def to_dict(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "verdict": self.verdict.value,
            "regions": [{"name": r.name, "score": r.score, "verdict": r.verdict.value} for r in self.regions],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QualityReport:
        regions = tuple(RegionScore(r["name"], float(r["score"]), Verdict(r["verdict"])) for r in values["regions"])
        return cls(regions, float(values["threshold"]))


@dataclass(frozen=True)
class StructureMeasure:
    """One structure or parcel of one scan.

    Attributes
    ----------
    label
        FreeSurfer label value.
    name
        Published name, for example "left hippocampus" or "ctx-lh-cuneus".
    hemisphere
        "left", "right" or "none".
    volume_mm3
        Sum of the soft posterior times the voxel volume, float64.
    fraction_of_icv
        Volume over intracranial volume; NaN where the label table has no ICV.
    qc_region
        Region whose score judges this structure; empty when none does.
    qc_score
        Predicted Dice of that region; None when not scored.
    verdict
        Of the region at the report's threshold.
    """

    label: int
    name: str
    hemisphere: str
    volume_mm3: float
    fraction_of_icv: float
    qc_region: str = ""
    qc_score: float | None = None
    verdict: Verdict = Verdict.NOT_SCORED

    def row(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["verdict"] = self.verdict.value
        return values

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> StructureMeasure:
        values = dict(row)
        values["verdict"] = Verdict(values["verdict"])
        return cls(**values)


@dataclass(frozen=True)
class MeasuresTable:
    """All structures and parcels of one scan, ascending by label."""

    rows: tuple[StructureMeasure, ...]

    def __iter__(self) -> Iterator[StructureMeasure]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, label: int) -> StructureMeasure:
        """The row of a label value; KeyError when the scan has no such label."""
        for row in self.rows:
            if row.label == label:
                return row
        raise KeyError(label)

    def volumes(self) -> dict[int, float]:
        """Label value to volume in mm3."""
        return {row.label: row.volume_mm3 for row in self.rows}

    def to_rows(self) -> list[dict[str, Any]]:
        return [row.row() for row in self.rows]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> MeasuresTable:
        return cls(tuple(StructureMeasure.from_row(row) for row in rows))

    def to_csv(self) -> str:
        """Tidy CSV, one row a structure, columns `COLUMNS`; missing values are empty."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in self.to_rows():
            writer.writerow({key: _cell(value) for key, value in row.items()})
        return stream.getvalue()


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return ""
    return repr(float(value)) if isinstance(value, float) else value
