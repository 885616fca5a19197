"""Section Input: the scan, and what was found out about it before any run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from SynthSegPlusLib.contract.errors import SynthSegPlusError
from SynthSegPlusLib.panel._words import findingText, lines, muted, safe
from SynthSegPlusLib.scene import Session

CHECK_DELAY_MS = 400
"""Wait for the user to stop paging through scans before one is handed to the worker."""


class InputPart:
    """Describes the chosen scan at once, and has the worker check it when it can.

    `onAdvice` is called with a mode when the user follows the advice; `modelFolder` says which set judges.
    """

    def __init__(self, ui: Any, session: Session, modelFolder: Callable[[], Path | None],
                 onAdvice: Callable[[str], None], onSample: Callable[[], None]) -> None:
        self._ui, self._session, self._modelFolder, self._onAdvice = ui, session, modelFolder, onAdvice
        self._node: Any = None
        self._ct = False
        self.findings: list[dict[str, Any]] = []
        self.advice: dict[str, Any] = {}
        self.active = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_DELAY_MS)
        self._timer.connect("timeout()", self.check)
        ui.foundLabel.connect("linkActivated(QString)", self._follow)
        ui.sampleButton.connect("clicked()", onSample)
        self.show()

    def setNode(self, node: Any, ct: bool = False) -> None:
        """Show another scan, or the same one taken for a CT or not; None for no scan."""
        if node is self._node and ct == self._ct:
            return
        self._node, self._ct = node, ct
        self.findings, self.advice = [], {}
        self.show()
        self.checkSoon()

    def checkSoon(self) -> None:
        """Check the scan when the panel is open, the worker can run, and nothing else is under way."""
        if self._node is not None and self.active:
            self._timer.start()

    def check(self) -> None:
        """Hand the scan to the worker for a look."""
        session = self._session
        if self._node is None or session.busy or not session.packagesKnown or session.readiness():
            return
        node = self._node
        try:
            session.check(node, self._modelFolder(), self._ct, lambda said: self._checked(node, said), self._failed)
        except (OSError, SynthSegPlusError) as error:
            self._failed(error)

    def _checked(self, node: Any, said: dict[str, Any]) -> None:
        if node is not self._node:
            return
        self.findings = list(said.get("findings") or [])
        self.advice = dict(said.get("advice") or {})
        self.show()

    def _failed(self, error: Exception) -> None:
        self._session.say(f"The scan was not checked: {error}")

    def show(self) -> None:
        """Write what is known about the scan."""
        if self._node is None:
            self._ui.foundLabel.text = muted(_("Load a brain scan of any contrast, or a head CT."))
            return
        texts = [muted(safe(geometry(self._node)))]
        texts += [findingText(finding) for finding in self.findings]
        if self.advice:
            mode, reason = safe(self.advice["mode"]), safe(self.advice.get("reason", ""))
            texts.append(_("Advised mode: {mode}. {reason}").format(mode=f'<a href="{mode}">{mode}</a>', reason=reason))
        self._ui.foundLabel.text = lines(texts)

    def _follow(self, mode: str) -> None:
        self._onAdvice(mode)

    def close(self) -> None:
        self._timer.stop()


def geometry(node: Any) -> str:
    """Size and spacing of a volume in words."""
    image = node.GetImageData()
    if image is None:
        return _("This volume holds no image.")
    size = " x ".join(str(count) for count in image.GetDimensions())
    spacing = np.array(node.GetSpacing())
    if np.ptp(spacing) < 0.005:
        each = f"{spacing[0]:.2f} mm"
    else:
        each = " x ".join(f"{value:.2f}" for value in spacing) + " mm"
    moved = _(", under a transform") if node.GetParentTransformNode() is not None else ""
    return _("{size} voxels of {each}").format(size=size, each=each) + moved


def sampleScan() -> Any:
    """Download and load Slicer's example head; None when that failed."""
    import SampleData

    with slicer.util.tryWithErrorDisplay(_("The sample scan could not be loaded."), waitCursor=True):
        return SampleData.SampleDataLogic().downloadMRHead()
    return None
