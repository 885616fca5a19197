"""Words and colours of the panel that several parts share."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from slicer.i18n import tr as _

from SynthSegPlusLib.contract.measures import Verdict
from SynthSegPlusLib.scene import Decision, shade

# Verdicts are told by word and sign as well as by colour.
SIGNS = {Verdict.PASS: "\u2713", Verdict.FAIL: "\u2715", Verdict.NOT_SCORED: "\u2013"}
BANNERS = {
    Verdict.PASS: ("#005a9e", "#ffffff"),
    Verdict.FAIL: ("#b53c00", "#ffffff"),
    Verdict.NOT_SCORED: ("#6e6e6e", "#ffffff"),
}
FINDING_SIGNS = {"error": "\u2715", "warning": "\u26a0", "info": "\u2139"}
MUTED = "#808080"
"""Readable on the light and on the dark theme."""


def verdictWord(verdict: Verdict) -> str:
    return {Verdict.PASS: _("pass"), Verdict.FAIL: _("fail"), Verdict.NOT_SCORED: _("not scored")}[verdict]


def decisionWord(decision: Decision) -> str:
    return {Decision.ACCEPT: _("accepted"), Decision.REJECT: _("rejected")}.get(decision, "")


def hemisphereWord(hemisphere: str) -> str:
    return {"left": _("left"), "right": _("right")}.get(hemisphere, "")


def stageWord(stage: str) -> str:
    """A stage of the engine in the user's language; one that is not known here is shown as the engine calls it."""
    known = {
        "Preparing the scan": _("Preparing the scan"),
        "Segmentation (S)": _("Segmentation (S)"),
        "Tissues (S1)": _("Tissues (S1)"),
        "Denoising (D)": _("Denoising (D)"),
        "Structures (S2)": _("Structures (S2)"),
        "Parcellation (S3)": _("Parcellation (S3)"),
        "Second opinion (S)": _("Second opinion (S)"),
        "Quality control (R)": _("Quality control (R)"),
        "Postprocessing": _("Postprocessing"),
        "Finishing": _("Finishing"),
    }
    return known.get(stage, stage)


def duration(seconds: float) -> str:
    """Elapsed time, such as 0:07 or 12:30."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def safe(text: object) -> str:
    """Text that a rich-text label shows as it is."""
    return html.escape(str(text))


def findingText(finding: Mapping[str, Any]) -> str:
    """What was found and what to do about it, in rich text; a finding as a run record has it."""
    words = " ".join(filter(None, (finding["message"], finding.get("advice", ""))))
    return f"{FINDING_SIGNS.get(finding['severity'], '')} {safe(words)}"


def muted(text: str) -> str:
    return f'<span style="color:{MUTED}">{text}</span>'


def hexColour(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def swatch(colour: tuple[int, int, int]) -> str:
    """A patch of a colour in rich text."""
    return f'<span style="background-color:{hexColour(colour)}">&nbsp;&nbsp;&nbsp;&nbsp;</span>'


def scale(threshold: float) -> str:
    """The quality colours from 0 to 1 as one strip, broken at the threshold."""
    # Cells of whole per cents, whose borders meet every threshold that the arrows of the spin boxes reach.
    steps = 20
    scores = [(index + 0.5) / steps for index in range(steps)]
    cells = "".join(
        f'<td width="{100 // steps}%" bgcolor="{hexColour(shade(score, threshold))}">&nbsp;</td>' for score in scores
    )
    return f'<table width="100%" cellspacing="0" cellpadding="0" style="font-size:6pt"><tr>{cells}</tr></table>'


def lines(texts: Iterable[str]) -> str:
    return "<br>".join(text for text in texts if text)
