"""Judging a result's scores at another threshold: the scores are known, so no network runs again."""

from __future__ import annotations

import dataclasses
import json

import slicer

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.contract.measures import MeasuresTable, QualityReport, StructureMeasure, Verdict
from SynthSegPlusLib.scene._colours import fillQualityTable
from SynthSegPlusLib.scene._result import QUALITY, ResultNodes
from SynthSegPlusLib.scene._tables import (
    QUALITY_THRESHOLD,
    RUN_THRESHOLD,
    readSummary,
    removeFromSummary,
    setColumn,
    writeSummary,
)


def judge(result: ResultNodes, threshold: float) -> Verdict:
    """Judge a result at a predicted Dice (0..1): its verdict, tables and quality colours follow; the new verdict.

    The run record still says at what the run was judged, and so does the summary while it differs. Judging at that
    threshold again brings everything back. `OptionsError` for a result without scores or a threshold out of range.
    """
    threshold = float(threshold)  # numpy's numbers write themselves otherwise
    quality = result.quality
    if quality is None:
        raise OptionsError(f"{result.segmentation.GetName()!r} has no scores to judge; run it with quality control.")
    if not 0.0 <= threshold <= 1.0:
        raise OptionsError(f"A threshold of {threshold} is no Dice score; choose one from 0 to 1.")
    if threshold == quality.threshold:
        return quality.verdict
    ofRun = runThreshold(result)
    judged = quality.at_threshold(threshold)
    measures = _judged(result.measures, judged)
    setColumn(result.volumes, "verdict", [row.verdict.value for row in measures])
    with slicer.util.NodeModify(result.summary):
        result.summary.SetAttribute(QUALITY, json.dumps(judged.to_dict()))
        writeSummary(result.summary, "verdict", judged.verdict.value)
        writeSummary(result.summary, QUALITY_THRESHOLD, repr(threshold))
        if threshold == ofRun:
            removeFromSummary(result.summary, RUN_THRESHOLD)
        else:
            writeSummary(result.summary, RUN_THRESHOLD, repr(ofRun), "Dice")
    if result.qualityColours is not None:
        fillQualityTable(result.qualityColours, measures, threshold)
    return judged.verdict


def runThreshold(result: ResultNodes) -> float | None:
    """The threshold at which the run itself judged; None for a result without scores."""
    quality = result.quality
    if quality is None:
        return None
    text = readSummary(result.summary, RUN_THRESHOLD)
    return float(text) if text else quality.threshold


def _judged(measures: MeasuresTable, quality: QualityReport) -> MeasuresTable:
    return MeasuresTable(tuple(_of(row, quality) for row in measures))


def _of(row: StructureMeasure, quality: QualityReport) -> StructureMeasure:
    # The report's score and not the table's, which has six digits after a scene was loaded.
    score = quality.score_of(row.qc_region) if row.qc_region else None
    return dataclasses.replace(row, qc_score=score, verdict=Verdict.of(score, quality.threshold))
