"""Section Export: files, and further nodes on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _

from SynthSegPlusLib.panel._parameters import Shown
from SynthSegPlusLib.panel._words import lines, muted, safe
from SynthSegPlusLib.scene import ResultNodes, exportResult, makeSegmentation, ofEdits, segmentsOf, showSurfaces


class ExportPart:
    """Writes the shown result; makes its segmentation node and surfaces."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._result: ResultNodes | None = None
        self._shown = Shown.SEGMENTATION
        ui.exportFolderEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.exportButton.connect("clicked()", self.export)
        ui.segmentsButton.connect("clicked()", self.makeSegments)
        ui.surfacesButton.connect("clicked()", self.showSurfaces)
        for box in (ui.exportTablesCheck, ui.exportRecordCheck, ui.exportLabelmapsCheck):
            box.connect("toggled(bool)", lambda checked: self._enable())

    def show(self, result: ResultNodes, shown: Shown) -> None:
        """Work on another result, or on another of its labelmaps."""
        if self._result is None or self._result.summary is not result.summary:
            self._say("")
        self._result, self._shown = result, shown

    def clear(self) -> None:
        """There is no result any more."""
        self._result = None

    def export(self) -> list[Path]:
        """Write what is ticked; the paths."""
        folder = self._ui.exportFolderEdit.currentPath
        if self._result is None:
            return []
        if not folder:
            self._say(_("Choose a folder to write to."))
            return []
        written: list[Path] = []
        with slicer.util.tryWithErrorDisplay(_("The result could not be exported."), waitCursor=True):
            written = exportResult(
                self._result, Path(folder), tables=self._ui.exportTablesCheck.checked,
                record=self._ui.exportRecordCheck.checked, labelmaps=self._ui.exportLabelmapsCheck.checked)
            names = ", ".join(path.name for path in written)
            self._say(lines([_("Written: {names}").format(names=muted(safe(names))), editsText(written)]))
        return written

    def makeSegments(self) -> Any:
        """The segmentation node of the labelmap that is shown, made when there is none."""
        if self._result is None:
            return None
        if segmentsOf(self._result, self._shown.value) is None:
            with slicer.util.tryWithErrorDisplay(_("The segments could not be made."), waitCursor=True):
                makeSegmentation(self._result, self._shown.value)
        return segmentsOf(self._result, self._shown.value)

    def showSurfaces(self) -> None:
        """Surfaces of all segments of the labelmap that is shown in the 3D view."""
        node = self.makeSegments()
        if node is not None:
            with slicer.util.tryWithErrorDisplay(_("The surfaces could not be made."), waitCursor=True):
                showSurfaces(node)
                self._hideOthers(node)

    def _hideOthers(self, node: Any) -> None:
        """The surfaces of the other labelmap would lie in the same places."""
        assert self._result is not None
        for shown in Shown:
            other = segmentsOf(self._result, shown.value)
            if other is not None and other is not node:
                other.GetDisplayNode().SetVisibility3D(False)

    def _say(self, text: str) -> None:
        self._ui.exportedLabel.text = text
        self._ui.exportedLabel.visible = bool(text)

    def _enable(self) -> None:
        ui = self._ui
        boxes = (ui.exportTablesCheck, ui.exportRecordCheck, ui.exportLabelmapsCheck)
        ui.exportButton.enabled = any(box.checked for box in boxes)


def editsText(written: list[Path]) -> str:
    """What edited segments mean for the files written; empty when none were edited."""
    if not any(ofEdits(path) for path in written):
        return ""
    return "\u26a0 " + _("The segments were edited: they are in the files named edited. The others, with scores and "
                         "decisions, are of the untouched result.")
