"""Section Options: what the model set cannot do is greyed, with the reason."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from SynthSegPlusLib.panel._words import muted


class OptionsPart:
    """Follows the model set; the widgets themselves belong to the parameter node."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        ui.modeCombo.toolTip = _("Robust: tissues, denoiser, structures. Default: one network, averaged over "
                                 "left-right flips, with topology correction. Fast: one network alone.")

    def show(self, modes: tuple[str, ...], roles: frozenset[str], mode: str, wantsQuality: bool) -> None:
        """Grey what a set of these modes and roles cannot do."""
        ui = self._ui
        lack = _("The model set has no network for this.")
        parcels = _("Divide the cortex into the 34 areas a side of Desikan and Killiany.")
        quality = _("Predict for each region how well it is segmented, and give a verdict.")
        for box, role, tip in (
            (ui.parcellationCheck, "parcellation", parcels),
            (ui.qualityCheck, "quality", quality),
        ):
            box.enabled = role in roles
            box.toolTip = tip if role in roles else lack
        ui.thresholdSpin.enabled = wantsQuality and "quality" in roles
        hint = modeProblem(modes, mode)
        ui.modeHint.visible = bool(hint)
        ui.modeHint.text = muted(hint)

    def setRunning(self, running: bool) -> None:
        """Options cannot change what is under way, so they wait."""
        self._ui.optionsSection.enabled = not running


def modeProblem(modes: tuple[str, ...], mode: str) -> str:
    """Why a mode cannot run with a set that has these modes; empty when it can."""
    if not modes or mode in modes:
        return ""
    return _("The model set cannot run mode {mode}; it runs {modes}.").format(mode=mode, modes=", ".join(modes))
