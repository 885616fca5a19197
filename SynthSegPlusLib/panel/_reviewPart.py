"""The reviewer's decisions on a structure and on the whole scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SynthSegPlusLib.scene import (
    Decision,
    ResultNodes,
    comment,
    commentOn,
    decide,
    decisionOf,
    labelOf,
)

_ORDER = (Decision.NONE, Decision.ACCEPT, Decision.REJECT)


class ReviewPart:
    """`onReviewed` is called with the label whose decision or comment changed."""

    def __init__(self, ui: Any, onReviewed: Callable[[int], None]) -> None:
        self._ui, self._onReviewed = ui, onReviewed
        self._result: ResultNodes | None = None
        self.label: int | None = None
        for text in (_("Not reviewed"), _("Accepted"), _("Rejected")):
            ui.scanDecisionCombo.addItem(text)
        ui.scanDecisionCombo.connect("activated(int)", self._decideScan)
        ui.scanCommentEdit.connect("editingFinished()", self._commentScan)
        ui.acceptButton.connect("clicked()", lambda: self._decide(Decision.ACCEPT))
        ui.rejectButton.connect("clicked()", lambda: self._decide(Decision.REJECT))
        ui.commentEdit.connect("editingFinished()", self._comment)

    def show(self, result: ResultNodes) -> None:
        """Show what was decided on a scan; no structure is chosen yet."""
        self._result = result
        self._ui.scanDecisionCombo.currentIndex = _ORDER.index(decisionOf(result))
        self._ui.scanCommentEdit.text = commentOn(result)
        self.choose(None)

    def clear(self) -> None:
        """There is no result any more."""
        self._result = None
        self.choose(None)

    def choose(self, label: int | None) -> None:
        """Show what was decided on a structure."""
        ui, result = self._ui, self._result
        self.label = label if result is not None else None
        there = self.label is not None
        for widget in (ui.acceptButton, ui.rejectButton, ui.commentEdit):
            widget.enabled = there
        decision = Decision.NONE
        text = ""
        if result is not None and self.label is not None:
            decision, text = decisionOf(result, self.label), commentOn(result, self.label)
        ui.acceptButton.checked = decision is Decision.ACCEPT
        ui.rejectButton.checked = decision is Decision.REJECT
        ui.commentEdit.text = text
        named = labelOf(self.label) if self.label is not None else None
        ui.commentEdit.placeholderText = (
            _("Comment on the selected structure") if named is None
            else _("Comment on {structure}").format(structure=named.title))

    def _decide(self, decision: Decision) -> None:
        if self._result is None or self.label is None:
            return
        # A second press on the same button takes the decision back.
        taken = Decision.NONE if decisionOf(self._result, self.label) is decision else decision
        decide(self._result, taken, self.label)
        self._ui.acceptButton.checked = taken is Decision.ACCEPT
        self._ui.rejectButton.checked = taken is Decision.REJECT
        self._onReviewed(self.label)

    def _comment(self) -> None:
        if self._result is not None and self.label is not None:
            comment(self._result, self._ui.commentEdit.text, self.label)
            self._onReviewed(self.label)

    def _decideScan(self, index: int) -> None:
        if self._result is not None:
            decide(self._result, _ORDER[index])

    def _commentScan(self) -> None:
        if self._result is not None:
            comment(self._result, self._ui.scanCommentEdit.text)
