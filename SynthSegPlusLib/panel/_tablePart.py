"""Section Table: every structure with its volume, score and verdict; a click shows it in the views."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from SynthSegPlusLib.contract.measures import StructureMeasure, Verdict, score_text
from SynthSegPlusLib.panel._parameters import ColourBy
from SynthSegPlusLib.panel._words import SIGNS, decisionWord, hemisphereWord, safe, verdictWord
from SynthSegPlusLib.scene import Decision, ResultNodes, commentOn, decisionOf, labelOf, shade

COLUMNS = 7
STRUCTURE, SIDE, VOLUME, PERCENT, REGION, SCORE, VERDICT = range(COLUMNS)
# The widest text that a column is to show whole; the structure takes what remains.
SAMPLES = {SIDE: "Side", VOLUME: "1227.84", PERCENT: "% ICV", REGION: "hippocampus", SCORE: "Score", VERDICT: "Verdict"}
CHARACTER_WIDTH = 0.78
"""Pixels of a character for each point of the type, on the generous side."""
CELL_PADDING = 10
_SIDES = {"left": "L", "right": "R"}
_MARKS = {Decision.NONE: "", Decision.ACCEPT: "\u2713 ", Decision.REJECT: "\u2715 "}


class TablePart:
    """`onChosen` is called with the label of a row that the user selects, by mouse or by key, or clicks again."""

    def __init__(self, ui: Any, onChosen: Callable[[int], None]) -> None:
        self._ui, self._onChosen = ui, onChosen
        self._rows: list[StructureMeasure] = []
        self._result: ResultNodes | None = None
        self.selected: int | None = None  # label of the highlighted row
        self._sorted: tuple[int, bool] | None = None
        self._arranging = False
        self._colourBy = ColourBy.ANATOMY
        self._setUp(ui.measuresTable)
        ui.failedCheck.connect("toggled(bool)", lambda checked: self.filter())
        ui.filterEdit.connect("textChanged(QString)", lambda text: self.filter())

    def _setUp(self, table: Any) -> None:
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels([_("Structure"), _("Side"), _("mL"), _("% ICV"), _("QC region"), _("Score"),
                                         _("Verdict")])
        # Seven columns in a narrow panel: a smaller type, and names may be cut (the tip has them whole).
        font = table.font
        font.setPointSizeF(max(0.85 * font.pointSizeF(), 7.0))
        table.font = font
        table.horizontalHeader().font = font
        table.wordWrap = False
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(20)
        header = table.horizontalHeader()
        for column in range(COLUMNS):
            # Fixed: a header that follows its contents would measure them at every cell that is set.
            header.setSectionResizeMode(column, qt.QHeaderView.Fixed)
            if column in SAMPLES:
                width = CHARACTER_WIDTH * font.pointSizeF() * len(SAMPLES[column])
                header.resizeSection(column, round(width) + CELL_PADDING)
        header.setSectionResizeMode(STRUCTURE, qt.QHeaderView.Stretch)
        header.setHighlightSections(False)
        header.setSectionsClickable(True)
        # Sorted here and not by the widget, which would sort numbers as text.
        header.connect("sectionClicked(int)", self.sort)
        # Keys and drags move the highlight as well, and what is highlighted is decided on.
        table.connect("currentCellChanged(int,int,int,int)", lambda row: self._choose(row))
        # A second click on a row brings the views back to it.
        table.connect("cellClicked(int,int)", lambda row: self._choose(row))

    def show(self, result: ResultNodes, colourBy: ColourBy) -> None:
        """Fill the table with a result's measures; the order that the user chose stays."""
        same = self._result is not None and self._result.summary is result.summary
        chosen = self.selected if same else None
        self._result, self._colourBy = result, colourBy
        self._rows = list(result.measures)
        self._arrange(chosen)

    def clear(self) -> None:
        """There is no result any more."""
        self._result, self._rows = None, []
        self._arrange(None)

    def labels(self) -> list[int]:
        """Labels of the rows in sight, in their order."""
        table = self._ui.measuresTable
        return [row.label for index, row in enumerate(self._rows) if not table.isRowHidden(index)]

    def sort(self, column: int) -> None:
        """Sort by a column; again to turn the order round."""
        descending = self._sorted == (column, False)
        self._sorted = (column, descending)
        header = self._ui.measuresTable.horizontalHeader()
        header.setSortIndicatorShown(True)
        header.setSortIndicator(column, qt.Qt.DescendingOrder if descending else qt.Qt.AscendingOrder)
        self._arrange(self.selected)

    def filter(self) -> None:
        """Hide what the filters leave out."""
        wanted = self._ui.filterEdit.text.strip().lower()
        failedOnly = self._ui.failedCheck.checked
        for index, row in enumerate(self._rows):
            hidden = (failedOnly and row.verdict is not Verdict.FAIL) or wanted not in searchable(row)
            self._ui.measuresTable.setRowHidden(index, hidden)

    def recolour(self, colourBy: ColourBy) -> None:
        """Show the colours that the views show."""
        self._colourBy = colourBy
        for index, row in enumerate(self._rows):
            self._ui.measuresTable.item(index, STRUCTURE).setIcon(self._icon(row))

    def mark(self, label: int) -> None:
        """Show a changed decision or comment."""
        table = self._ui.measuresTable
        for index, row in enumerate(self._rows):
            if row.label == label:
                table.item(index, STRUCTURE).setText(self._title(row))
                tip = self._toolTip(row)
                for column in range(COLUMNS):
                    table.item(index, column).setToolTip(tip)

    def _arrange(self, chosen: int | None) -> None:
        """Write the rows in their order. The selection follows its structure: the reviewer decides on that."""
        self._arranging = True
        try:
            self._order()
            self._write()
            rows = [index for index, row in enumerate(self._rows) if row.label == chosen]
            self.selected = chosen if rows else None
            self._ui.measuresTable.setCurrentCell(rows[0] if rows else -1, STRUCTURE if rows else -1)
        finally:
            self._arranging = False

    def _order(self) -> None:
        if self._sorted is not None:
            column, descending = self._sorted
            self._rows.sort(key=lambda row: sortKey(row, column), reverse=descending)

    def _write(self) -> None:
        table = self._ui.measuresTable
        table.setRowCount(len(self._rows))
        for index, row in enumerate(self._rows):
            tip = self._toolTip(row)
            for column, text in enumerate(self._texts(row)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(tip)
                if column in (VOLUME, PERCENT, SCORE):
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                table.setItem(index, column, item)
            table.item(index, STRUCTURE).setIcon(self._icon(row))
            if row.verdict is Verdict.FAIL:
                _bold(table.item(index, VERDICT))
        self.filter()

    def _texts(self, row: StructureMeasure) -> list[str]:
        percent = "" if math.isnan(row.fraction_of_icv) else f"{100 * row.fraction_of_icv:.2f}"
        return [self._title(row), _SIDES.get(row.hemisphere, ""), f"{row.volume_mm3 / 1000.0:.2f}", percent,
                row.qc_region, score_text(row.qc_score, row.verdict), _verdictText(row.verdict)]

    def _title(self, row: StructureMeasure) -> str:
        # The mark first: a long name is cut at its end.
        assert self._result is not None
        return _MARKS[decisionOf(self._result, row.label)] + plainTitle(row)

    def _toolTip(self, row: StructureMeasure) -> str:
        assert self._result is not None
        parts = [f"{row.name} ({row.label})", hemisphereWord(row.hemisphere),
                 _("{volume:.0f} mm3").format(volume=row.volume_mm3)]
        if row.qc_region:
            parts.append(_("judged by {region}").format(region=row.qc_region))
        parts.append(verdictWord(row.verdict))
        parts.append(decisionWord(decisionOf(self._result, row.label)))
        parts.append(commentOn(self._result, row.label))
        # Rich text, whose lines break: a comment may be long.
        return f"<qt>{safe(', '.join(filter(None, parts)))}</qt>"

    def _icon(self, row: StructureMeasure) -> Any:
        if self._colourBy is ColourBy.QUALITY:
            quality = self._result.quality if self._result is not None else None
            colour = shade(row.qc_score, quality.threshold if quality is not None else 0.0)
        else:
            label = labelOf(row.label)
            colour = label.colour if label is not None else (0, 0, 0)
        patch = qt.QPixmap(12, 12)
        patch.fill(qt.QColor(*colour))
        return qt.QIcon(patch)

    def _choose(self, row: int) -> None:
        if not self._arranging and 0 <= row < len(self._rows):
            self.selected = self._rows[row].label
            self._onChosen(self.selected)


def plainTitle(row: StructureMeasure) -> str:
    """A structure's title without its side, which has a column of its own."""
    label = labelOf(row.label)
    title = label.title if label is not None else row.name
    for side in ("Left ", "Right "):
        if title.startswith(side):
            title = title[len(side):]
    return title[:1].upper() + title[1:]


def searchable(row: StructureMeasure) -> str:
    """What a search looks through."""
    return f"{plainTitle(row)} {row.name} {row.hemisphere} {row.qc_region} {row.label}".lower()


def sortKey(row: StructureMeasure, column: int) -> tuple[Any, ...]:
    """Key of a row for a column; what is missing sorts first, ties by label."""
    nothing = -math.inf
    keys: dict[int, Any] = {
        STRUCTURE: plainTitle(row).lower(),
        SIDE: row.hemisphere,
        VOLUME: row.volume_mm3,
        PERCENT: nothing if math.isnan(row.fraction_of_icv) else row.fraction_of_icv,
        REGION: row.qc_region,
        SCORE: nothing if row.qc_score is None else row.qc_score,
        VERDICT: row.verdict.value,
    }
    return keys[column], row.label


def _verdictText(verdict: Verdict) -> str:
    """Sign and word; the sign alone for what was not scored, whose tip says so."""
    sign = SIGNS[verdict]
    return sign if verdict is Verdict.NOT_SCORED else f"{sign} {verdictWord(verdict)}"


def _bold(item: Any) -> None:
    font = item.font()
    font.setBold(True)
    item.setFont(font)
