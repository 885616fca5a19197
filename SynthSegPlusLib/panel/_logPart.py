"""Section Log: what happened, and what to send when asking for help."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from typing import Any

import slicer

from SynthSegPlusLib import __version__
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.scene import Session, workerPython

SHOWN_LINES = 500


class LogPart:
    """Follows the session's log. `facts` gives what the panel knows besides."""

    def __init__(self, ui: Any, session: Session, facts: Callable[[], dict[str, Any]]) -> None:
        self._ui, self._session, self._facts = ui, session, facts
        self._last: tuple[int, str] | None = None
        ui.copyButton.connect("clicked()", self.copy)

    def show(self) -> None:
        """Write new lines, when there are any and the section is open."""
        log = self._session.log
        state = (len(log), log[-1] if log else "")
        if state == self._last or self._ui.logSection.collapsed:
            return
        self._last = state
        self._ui.logText.setPlainText("\n".join(log[-SHOWN_LINES:]))
        bar = self._ui.logText.verticalScrollBar()
        bar.value = bar.maximum

    def copy(self) -> str:
        """Put the diagnostics on the clipboard."""
        text = diagnostics(self._session, self._facts())
        slicer.app.clipboard().setText(text)
        return text


def diagnostics(session: Session, facts: dict[str, Any]) -> str:
    """What helps to find a fault: versions, packages, model set, options, log. Nothing of the scan's content."""
    worker = session.engine.worker
    modelSet = facts.get("modelSet")
    about = {
        "SynthSegPlus": __version__,
        "Slicer": slicer.app.applicationVersion,
        "system": platform.platform(),
        "python": platform.python_version(),
        "worker python": workerPython(),
        "packages": session.packages.installed() or session.readiness() or "found in the worker's Python",
        "model set": describeSet(modelSet) if modelSet is not None else facts.get("modelProblem", ""),
        "options": facts.get("options", {}),
        "worker": "none" if worker is None else ("running" if worker.alive else "ended"),
    }
    parts = [f"{key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in about.items()]
    return "\n".join([*parts, "", "Log", *session.log])


def describeSet(modelSet: ModelSet) -> str:
    return f"{modelSet.name} {modelSet.version} ({', '.join(sorted(modelSet.roles))}), {modelSet.found_in}"
