"""Volumes as a compact table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from SynthSegPlusLib.contract import MeasuresTable, Verdict
from SynthSegPlusLib.contract.measures import StructureMeasure, score_text
from SynthSegPlusLib.labels import LabelTable, parcels, structures

MARKS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.NOT_SCORED: ""}


@dataclass(frozen=True)
class Pair:
    """One structure on both sides, or a single one in the middle (`left` only)."""

    title: str
    left: StructureMeasure
    right: StructureMeasure | None = None


def pairs(measures: MeasuresTable, table: LabelTable) -> list[Pair]:
    """Rows of a label table that were measured, left and right together, in the table's order."""
    rows = {row.label: row for row in measures}
    found = []
    for label in table:
        if label.value == 0 or label.value not in rows or label.hemisphere == "right":
            continue
        title = label.title.removeprefix("Left ")
        other = rows.get(label.partner) if label.hemisphere == "left" else None
        found.append(Pair(title[:1].upper() + title[1:], rows[label.value], other))
    return found


def volumes_table(measures: MeasuresTable, icv_mm3: float | None, with_parcels: bool = False) -> str:
    """Aligned text: structure, left and right volume in millilitres, share of ICV, QC score and verdict."""
    scored = any(row.qc_score is not None for row in measures)
    header = ["structure", "left ml", "right ml", "% of ICV"] + (["QC", ""] if scored else [])
    rows = [_row(pair, icv_mm3, scored) for pair in pairs(measures, structures("2.0"))]
    if with_parcels:
        rows += [_row(pair, icv_mm3, scored) for pair in pairs(measures, parcels())]
    return align([header, *rows], right={1, 2, 3, 4})


def _row(pair: Pair, icv_mm3: float | None, scored: bool) -> list[str]:
    sides = [pair.left] + ([pair.right] if pair.right is not None else [])
    total = sum(side.volume_mm3 for side in sides)
    share = f"{100 * total / icv_mm3:.2f}" if icv_mm3 else ""
    cells = [pair.title, _ml(pair.left), _ml(pair.right) if pair.right is not None else "", share]
    if scored:
        cells += [score_text(pair.left.qc_score, pair.left.verdict), MARKS[pair.left.verdict]]
    return cells


def _ml(row: StructureMeasure) -> str:
    return f"{row.volume_mm3 / 1000:.2f}"


def align(rows: Iterable[list[str]], right: Iterable[int] = (), gap: str = "  ") -> str:
    """Columns of text, each as wide as its widest cell; those in `right` are aligned to the right."""
    table = list(rows)
    flush = set(right)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = (
        gap.join(cell.rjust(width) if column in flush else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


