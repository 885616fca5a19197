"""Volumes and summary as table nodes, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import vtk

from SynthSegPlusLib.contract.measures import MeasuresTable, StructureMeasure, Verdict
from SynthSegPlusLib.contract.protocol import SegmentReply

DECISION, COMMENT = "decision", "comment"
QUALITY_THRESHOLD, RUN_THRESHOLD = "quality threshold", "quality threshold of the run"

# Column, type, title, unit, description. The first eight are those of the CSV (contract.measures.COLUMNS).
VOLUME_COLUMNS = (
    ("label", vtk.VTK_INT, "Label", "", "FreeSurfer label value"),
    ("name", vtk.VTK_STRING, "Name", "", "Published name of the structure or parcel"),
    ("hemisphere", vtk.VTK_STRING, "Hemisphere", "", "left, right or none"),
    ("volume_mm3", vtk.VTK_DOUBLE, "Volume", "mm3", "Sum of the soft segmentation times the voxel volume"),
    ("fraction_of_icv", vtk.VTK_DOUBLE, "Fraction of ICV", "1", "Volume over intracranial volume"),
    ("qc_region", vtk.VTK_STRING, "QC region", "", "Region whose score judges this structure"),
    ("qc_score", vtk.VTK_DOUBLE, "QC score", "1", "Predicted Dice of the region; nan where it was not scored"),
    ("verdict", vtk.VTK_STRING, "Verdict", "", "pass, fail or not scored"),
    (DECISION, vtk.VTK_STRING, "Decision", "", "The reviewer's: accept, reject or empty"),
    (COMMENT, vtk.VTK_STRING, "Comment", "", "The reviewer's words"),
)
SUMMARY_COLUMNS = (
    ("measure", vtk.VTK_STRING, "Measure", "", "What was measured or set"),
    ("value", vtk.VTK_STRING, "Value", "", "Its value"),
    ("unit", vtk.VTK_STRING, "Unit", "", "Its unit"),
)
_ARRAYS = {vtk.VTK_INT: vtk.vtkIntArray, vtk.VTK_DOUBLE: vtk.vtkDoubleArray, vtk.VTK_STRING: vtk.vtkStringArray}


def fillVolumesTable(node: Any, measures: MeasuresTable) -> None:
    """Rows of all structures and parcels, ascending by label, with empty decisions."""
    rows = []
    for measure in measures:
        row = measure.row()
        row["qc_score"] = math.nan if measure.qc_score is None else measure.qc_score
        rows.append({**row, DECISION: "", COMMENT: ""})
    _fill(node, VOLUME_COLUMNS, [[row[column[0]] for column in VOLUME_COLUMNS] for row in rows])


def readVolumesTable(node: Any) -> MeasuresTable:
    """The measures that a volumes table holds."""
    columns = {name: node.GetTable().GetColumnByName(name) for name, *_ in VOLUME_COLUMNS[:8]}
    missing = [name for name, column in columns.items() if column is None]
    if missing:
        raise ValueError(f"Table {node.GetName()!r} has no column {', '.join(missing)}; it is not of SynthSegPlus.")
    return MeasuresTable(tuple(_measure(columns, row) for row in range(node.GetNumberOfRows())))


def _measure(columns: dict[str, Any], row: int) -> StructureMeasure:
    score = float(columns["qc_score"].GetValue(row))
    return StructureMeasure(
        label=int(columns["label"].GetValue(row)),
        name=columns["name"].GetValue(row),
        hemisphere=columns["hemisphere"].GetValue(row),
        volume_mm3=float(columns["volume_mm3"].GetValue(row)),
        fraction_of_icv=float(columns["fraction_of_icv"].GetValue(row)),
        qc_region=columns["qc_region"].GetValue(row),
        qc_score=None if math.isnan(score) else score,
        verdict=Verdict(columns["verdict"].GetValue(row)),
    )


def fillSummaryTable(node: Any, reply: SegmentReply, inputName: str) -> None:
    """What a reader needs of one scan: verdict, intracranial volume, scores, findings, how it was made."""
    _fill(node, SUMMARY_COLUMNS, [list(row) for row in summaryRows(reply, inputName)])
    node.SetUseFirstColumnAsRowHeader(True)


def summaryRows(reply: SegmentReply, inputName: str) -> list[tuple[str, str, str]]:
    """(measure, value, unit) of a summary table."""
    verdict = Verdict.NOT_SCORED if reply.quality is None else reply.quality.verdict
    rows = [("scan", inputName, ""), ("verdict", verdict.value, "")]
    if reply.icv_mm3 is not None:
        rows.append(("intracranial volume", repr(float(reply.icv_mm3)), "mm3"))
    if reply.quality is not None:
        rows.append((QUALITY_THRESHOLD, repr(reply.quality.threshold), "Dice"))
        rows += [(f"quality of {region.name}", repr(region.score), "Dice") for region in reply.quality.regions]
    rows += [(f"finding {finding.code}", finding.message, "") for finding in reply.findings]
    rows += [(measure, value, "") for measure, value in _provenance(reply.record) if value]
    rows += [(DECISION, "", ""), (COMMENT, "", "")]
    return rows


def _provenance(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a reader wants of the run record; empty where the record has none."""
    places = {
        "mode": ("options", "mode"), "model set": ("model_set", "name"), "model version": ("model_set", "version"),
        "backend": ("backend",), "device": ("device",), "SynthSegPlus version": ("versions", "SynthSegPlus"),
        "finished": ("finished",),
    }
    return [(measure, str(_nested(record, keys))) for measure, keys in places.items()]


def _nested(record: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = record
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else ""
    return value


def readSummary(node: Any, measure: str) -> str:
    """Value of one row of a summary table; empty when there is none."""
    row = _rowOf(node, "measure", measure)
    return "" if row is None else node.GetTable().GetColumnByName("value").GetValue(row)


def writeSummary(node: Any, measure: str, value: str, unit: str = "") -> None:
    """Set one row of a summary table, which is added with its unit when it is not there."""
    row = _rowOf(node, "measure", measure)
    if row is None:
        row = node.AddEmptyRow()
        setCell(node, row, "measure", measure)
        setCell(node, row, "unit", unit)
    setCell(node, row, "value", value)


def removeFromSummary(node: Any, measure: str) -> None:
    """Take a row out of a summary table; nothing when it is not there."""
    row = _rowOf(node, "measure", measure)
    if row is not None:
        node.RemoveRow(row)
        _changed(node)


def rowOfLabel(node: Any, label: int) -> int:
    """Row of a label in a volumes table; KeyError when it has none."""
    row = _rowOf(node, "label", label)
    if row is None:
        raise KeyError(label)
    return row


def cell(node: Any, row: int, column: str) -> Any:
    return node.GetTable().GetColumnByName(column).GetValue(row)


def setCell(node: Any, row: int, column: str, value: Any) -> None:
    node.GetTable().GetColumnByName(column).SetValue(row, value)
    _changed(node)


def setColumn(node: Any, column: str, values: Sequence[Any]) -> None:
    """Set every cell of a column."""
    array = node.GetTable().GetColumnByName(column)
    for row, value in enumerate(values):
        array.SetValue(row, value)
    _changed(node)


def _changed(node: Any) -> None:
    node.GetTable().Modified()
    node.Modified()
    if node.GetStorageNode() is not None:
        # A changed cell is a change to save, which the table itself does not report.
        node.StorableModified()


def _rowOf(node: Any, column: str, value: Any) -> int | None:
    array = node.GetTable().GetColumnByName(column)
    return next((row for row in range(node.GetNumberOfRows()) if array.GetValue(row) == value), None)


def _fill(node: Any, columns: Sequence[tuple[str, int, str, str, str]], rows: list[list[Any]]) -> None:
    node.RemoveAllColumns()
    for index, (name, kind, title, unit, description) in enumerate(columns):
        array = _ARRAYS[kind]()
        array.SetName(name)
        array.SetNumberOfValues(len(rows))
        for row, values in enumerate(rows):
            array.SetValue(row, values[index])
        node.AddColumn(array)
        node.SetColumnTitle(name, title)
        node.SetColumnDescription(name, description)
        if unit:
            node.SetColumnUnitLabel(name, unit)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    node.Modified()
