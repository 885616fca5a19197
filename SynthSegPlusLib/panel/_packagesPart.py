"""Section Model and packages, lower half: what the worker needs, installed with consent into a folder apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from SynthSegPlusLib.panel._words import muted, safe
from SynthSegPlusLib.scene import BACKENDS, Installation, Session, totalMegabytes

POLL_MS = 200
TITLES = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}


class PackagesPart:
    """Says what is there, installs and uninstalls. `onChange` is called when what is there has changed."""

    def __init__(self, ui: Any, session: Session, onChange: Callable[[], None]) -> None:
        self._ui, self._session, self._onChange = ui, session, onChange
        self.installation: Installation | None = None
        self._then: Callable[[str], None] | None = None
        self._shown = 0
        ui.wheelsEdit.filters = ctk.ctkPathLineEdit.Dirs
        for name in BACKENDS:
            ui.backendCombo.addItem(TITLES[name])
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)
        ui.uninstallButton.connect("clicked()", self.uninstall)
        session.lookAtPackages()
        if not session.packagesKnown:
            self._timer.start()
        else:
            self._known()

    @property
    def backend(self) -> str:
        """The backend that is chosen for an installation."""
        return BACKENDS[max(self._ui.backendCombo.currentIndex, 0)]

    @property
    def backendOfRun(self) -> str | None:
        """The chosen backend where it is installed; None leaves the choice to the session."""
        return self.backend if self.backend in self._session.packages.installed() else None

    @property
    def installing(self) -> bool:
        return self.installation is not None

    def show(self) -> None:
        """Write the state of the packages."""
        ui, packages = self._ui, self._session.packages
        if self.installing:
            ui.packagesLabel.text = _("Installing...")
        elif not self._session.packagesKnown:
            ui.packagesLabel.text = muted(_("Looking for what is installed..."))
        elif self._session.readiness():
            needed = packages.missing(self.backend)
            ui.packagesLabel.text = _("\u2715 Not installed. Needed: {names}, about {size}.").format(
                names=safe(", ".join(r.text for r in needed)), size=sizeWords(totalMegabytes(needed)))
        elif packages.installed():
            names = ", ".join(TITLES[name] for name in packages.installed())
            ui.packagesLabel.text = _("\u2713 Installed for the worker alone ({names})").format(names=names)
        else:
            ui.packagesLabel.text = _("\u2713 Found in the worker's Python")
        idle = not self.installing and not self._session.busy
        ui.installButton.enabled = idle and self._session.packagesKnown
        ui.uninstallButton.enabled = idle and self._session.packagesKnown and bool(packages.folders())
        ui.backendCombo.enabled = idle

    def askAndInstall(self, then: Callable[[str], None]) -> None:
        """Name what would be installed, ask, and begin. `then` gets the reason of a failure, or an empty text."""
        if self.installing:
            return
        packages = self._session.packages
        needed = packages.missing(self.backend) or packages.requirements(self.backend)
        question = consentText(needed, packages.folder(self.backend), self._wheels())
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("SynthSegPlus: install packages")):
            self._session.say("The installation of packages was declined")
            then(_("Nothing was installed, because you declined. Press Apply to be asked again."))
            return
        try:
            self.installation = packages.install(self.backend, self._wheels())
        except OSError as error:
            then(_("The installation could not begin: {reason}.").format(reason=error))
            return
        self._then, self._shown = then, 0
        self._timer.start()
        self._changed()

    def cancel(self) -> None:
        """Stop the installation; nothing of it is left."""
        if self.installation is not None:
            self.installation.cancel()
            self._poll()

    def uninstall(self) -> None:
        """End the worker and delete every package folder."""
        self._session.restart()
        try:
            with slicer.util.tryWithErrorDisplay(_("The packages could not be deleted.")):
                gone = self._session.packages.uninstall()
                self._session.say(f"Uninstalled {len(gone)} package folder(s)")
        finally:
            self._session.lookAtPackages()
            self._timer.start()
            self._changed()

    def lastLine(self) -> str:
        """What pip said last, for the progress line."""
        return self.installation.lines[-1] if self.installation is not None and self.installation.lines else ""

    def close(self) -> None:
        self.cancel()
        self._timer.stop()

    def _wheels(self) -> Path | None:
        path = self._ui.wheelsEdit.currentPath
        return Path(path) if path else None

    def _poll(self) -> None:
        if self.installation is not None:
            self._pollInstallation()
        elif self._session.packagesKnown:
            self._timer.stop()
            self._known()

    def _known(self) -> None:
        packages = self._session.packages
        # What is installed is read from the disk; only without it does the worker's Python matter.
        chosen = packages.newest() or packages.suggested()
        self._ui.backendCombo.currentIndex = BACKENDS.index(chosen)
        self._changed()

    def _pollInstallation(self) -> None:
        assert self.installation is not None
        said = self.installation.lines
        for line in said[self._shown:]:
            self._session.say(line)
        self._shown = len(said)
        succeeded = None
        if self.installation.ended:
            # A worker, also one that began meanwhile, holds the files of the folder that is replaced now.
            self._session.restart()
            succeeded = self.installation.poll()
        if succeeded is None:
            self._changed()
            return
        reason, then = self.installation.reason, self._then
        self.installation = self._then = None
        self._session.lookAtPackages()
        self._changed()
        if then is not None:
            then("" if succeeded else _("The packages could not be installed: {reason}.").format(reason=reason))

    def _changed(self) -> None:
        self.show()
        self._onChange()


def sizeWords(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"


def consentText(requirements: Any, folder: Path, wheels: Path | None) -> str:
    """The question that names packages, size and place."""
    listed = "\n".join(f"  {r.text}   {sizeWords(r.megabytes)}" for r in requirements)
    source = _("From the folder {wheels}.").format(wheels=wheels) if wheels else _("They are downloaded.")
    return _(
        "SynthSegPlus needs these Python packages:\n\n{listed}\n\nTogether about {total} on disk, in\n{folder}\n"
        "{source}\n\nOnly its own worker process uses them; Slicer's Python stays as it is. Install now?"
    ).format(listed=listed, total=sizeWords(totalMegabytes(requirements)), folder=folder, source=source)
