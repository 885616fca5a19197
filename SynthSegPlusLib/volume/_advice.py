"""Which mode suits a scan, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from SynthSegPlusLib.contract.findings import Advice, Finding
from SynthSegPlusLib.volume._volume import Volume

GOOD_SPACING_MM = 1.6
"""Largest spacing of a scan that counts as a research scan."""

CASCADE = ("tissue", "denoiser", "structure")

# Findings that speak of an unusual scan.
_DIFFICULT = {"thin", "coarse", "field-of-view-cut", "looks-like-ct", "not-finite", "shear", "uneven-slices"}


def advise(volume: Volume, findings: Iterable[Finding], roles: Collection[str]) -> Advice:
    """Mode for a scan, from its spacing and findings, among those whose networks (roles) the model set has."""
    cascade = all(role in roles for role in CASCADE)
    single = "segmenter" in roles
    reason = _difficulty(volume, findings)
    if cascade and (reason or not single):
        return Advice("robust", reason or "The model set has only the robust chain of networks.")
    if not single:
        return Advice("robust", "The model set has neither the robust chain nor the single network.")
    if reason:
        return Advice("default", f"{reason} The robust mode would suit it better; the model set lacks its networks.")
    return Advice("default", f"The scan is near-isotropic (at most {volume.spacing.max():.2g} mm) and looks complete.")


def _difficulty(volume: Volume, findings: Iterable[Finding]) -> str:
    spacing = float(np.max(volume.spacing))
    if spacing > GOOD_SPACING_MM:
        return f"The spacing reaches {spacing:.2g} mm."
    for finding in findings:
        if finding.code in _DIFFICULT:
            return finding.message
    return ""
