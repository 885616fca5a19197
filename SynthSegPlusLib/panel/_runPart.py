"""Apply, Cancel, progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SynthSegPlusLib.panel._words import duration, muted, safe, stageWord


class RunPart:
    """The buttons and the progress line. It decides nothing; `setIdle` and its sisters say what to show."""

    def __init__(self, ui: Any, onApply: Callable[[], None], onCancel: Callable[[], None]) -> None:
        self._ui = ui
        self._started = 0.0
        self._stage = ""
        ui.applyButton.connect("clicked()", onApply)
        ui.cancelButton.connect("clicked()", onCancel)
        ui.progressBar.visible = False
        ui.stageLabel.visible = False

    def setIdle(self, reason: str) -> None:
        """Ready for Apply, or not, for a reason."""
        self._ui.applyButton.enabled = not reason
        self._ui.applyButton.toolTip = reason or _("Segment the scan in a process of its own.")
        self._ui.cancelButton.enabled = False

    def begin(self, stage: str) -> None:
        """A run or an installation begins."""
        self._started, self._stage = time.monotonic(), stage
        self._ui.applyButton.enabled = False
        self._ui.applyButton.toolTip = _("Already running.")
        self._ui.cancelButton.enabled = True
        self._ui.progressBar.visible = True
        self.progress(stage, None)

    def progress(self, stage: str, overall: float | None) -> None:
        """Show a stage, and how much of the whole is done; None when that is not known."""
        self._stage = stageWord(stage)
        self._ui.progressBar.maximum = 0 if overall is None else 100
        if overall is not None:
            self._ui.progressBar.value = round(100 * min(max(overall, 0.0), 1.0))
        self.tick()

    def cancelling(self) -> None:
        self._ui.cancelButton.enabled = False
        self._stage = _("Cancelling")
        self.tick()

    def tick(self) -> None:
        """Show the elapsed time."""
        elapsed = duration(time.monotonic() - self._started)
        self._say(f"{safe(self._stage)} &nbsp;{muted(elapsed)}")

    def end(self, message: str) -> None:
        """Over; a message stays."""
        self._ui.progressBar.visible = False
        self._ui.cancelButton.enabled = False
        self._say(message)

    def _say(self, text: str) -> None:
        self._ui.stageLabel.text = text
        self._ui.stageLabel.visible = bool(text)
