import csv
import io
import math

import pytest

from SynthSegPlusLib.contract import MeasuresTable, QualityReport, RegionScore, StructureMeasure, Verdict
from SynthSegPlusLib.contract.measures import COLUMNS, score_text


def report(*scores: float, threshold: float = 0.65) -> QualityReport:
    regions = tuple(RegionScore(f"region {i}", s, Verdict.of(s, threshold)) for i, s in enumerate(scores))
    return QualityReport(regions, threshold)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(0.65, Verdict.PASS), (0.6499, Verdict.FAIL), (None, Verdict.NOT_SCORED), (math.nan, Verdict.NOT_SCORED)],
)
def test_a_region_fails_below_the_threshold_and_passes_on_it(score, verdict):
    assert Verdict.of(score, 0.65) is verdict


def test_one_failed_region_rejects_the_scan():
    assert report(0.9, 0.9).verdict is Verdict.PASS
    assert report(0.9, 0.1).verdict is Verdict.FAIL
    assert [region.name for region in report(0.9, 0.1).failed] == ["region 1"]


def test_a_scan_without_scores_never_passes():
    assert report().verdict is Verdict.NOT_SCORED
    assert report(0.9, math.nan).verdict is Verdict.NOT_SCORED


def test_another_threshold_changes_verdicts_but_not_scores():
    strict = report(0.7, 0.9).at_threshold(0.8)
    assert [region.verdict for region in strict.regions] == [Verdict.FAIL, Verdict.PASS]
    assert [region.score for region in strict.regions] == [0.7, 0.9]


def test_a_report_survives_a_trip_through_plain_values():
    assert QualityReport.from_dict(report(0.7, 0.1).to_dict()) == report(0.7, 0.1)


def table() -> MeasuresTable:
    return MeasuresTable((
        StructureMeasure(17, "left hippocampus", "left", 3200.125, 0.002, "hippocampus", 0.5, Verdict.FAIL),
        StructureMeasure(24, "csf", "none", 1.0, math.nan),
    ))


def test_the_tidy_csv_has_one_row_a_structure_and_empty_cells_for_missing_values():
    rows = list(csv.DictReader(io.StringIO(table().to_csv())))
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[0]["volume_mm3"]) == 3200.125
    assert rows[1]["qc_score"] == rows[1]["fraction_of_icv"] == ""
    assert [row["verdict"] for row in rows] == ["fail", "not scored"]


def test_rows_survive_a_trip_through_plain_values_and_are_found_by_label():
    again = MeasuresTable.from_rows(table().to_rows())
    assert again[17] == table()[17]
    with pytest.raises(KeyError):
        again[99]


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.6499, "0.64"), (0.6501, "0.65"), (0.65, "0.65"), (0.3, "0.30"), (0.0, "0.00"), (0.996, "1.00")],
)
def test_a_score_never_reads_as_the_other_verdict(score, text):
    assert score_text(score, Verdict.of(score, 0.65)) == text


def test_no_score_reads_as_nothing():
    assert score_text(None, Verdict.NOT_SCORED) == score_text(float("nan"), Verdict.NOT_SCORED) == ""
