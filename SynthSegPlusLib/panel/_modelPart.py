"""Section Model and packages, upper half: which model set, and what it can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _

from SynthSegPlusLib.contract.errors import SynthSegPlusError
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.panel._words import lines, muted, safe

SETTING = "SynthSegPlus/ModelFolder"
"""The user's own default, used where the scene names no folder."""


class ModelPart:
    """Finds the model set that a run would use. Reads its description only, so needs no packages."""

    def __init__(self, ui: Any, onFolder: Callable[[str], None]) -> None:
        self._ui = ui
        self._folder: str | None = None
        self.modelSet: ModelSet | None = None
        self.problem = ""
        self._onFolder = onFolder
        ui.modelFolderEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.modelFolderEdit.connect("currentPathChanged(QString)", self._edited)

    def setFolder(self, folder: str) -> None:
        """Show the set of a folder; empty for the setting's or the first that is found."""
        if folder == self._folder:
            return
        self._folder = folder
        shown = folder or self._default()
        if self._ui.modelFolderEdit.currentPath != shown:
            self._ui.modelFolderEdit.currentPath = shown
        self.find()

    @property
    def folder(self) -> Path | None:
        """The folder that the worker is told; None when it is to find the set itself."""
        named = self._folder or self._default()
        return Path(named) if named else None

    def _default(self) -> str:
        """What this user named last, in any scene."""
        return str(slicer.util.settingsValue(SETTING, "", settings=slicer.app.userSettings()) or "")

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(self.modelSet.roles) if self.modelSet is not None else frozenset()

    @property
    def modes(self) -> tuple[str, ...]:
        return self.modelSet.modes if self.modelSet is not None else ()

    def find(self) -> None:
        """Look for the set again and show it."""
        try:
            self.modelSet, self.problem = ModelSet.find(self.folder), ""
        except SynthSegPlusError as error:
            self.modelSet, self.problem = None, str(error)
        self._ui.modelLabel.text = self._text()

    def _text(self) -> str:
        found = self.modelSet
        if found is None:
            return f"\u2715 {safe(self.problem)}"
        about = _("{resolution:g} mm, licence {licence}").format(
            resolution=found.working_resolution_mm, licence=safe(found.licence))
        can = [
            _("modes {modes}").format(modes=", ".join(found.modes)),
            self._has("parcellation", _("parcels"), _("no parcels")),
            self._has("quality", _("quality control"), _("no quality control")),
        ]
        return lines([f"<b>{safe(found.title)}</b>", muted(about), "; ".join(can)])

    def _has(self, role: str, there: str, absent: str) -> str:
        return there if role in self.roles else muted(absent)

    def _edited(self, folder: str) -> None:
        if folder != (self._folder or self._default()):
            slicer.app.userSettings().setValue(SETTING, folder)
            self._folder = folder
            self.find()
            self._onFolder(folder)
