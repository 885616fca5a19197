"""Section Result: verdict, volume, failed structures, and how the views show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slicer.i18n import tr as _

from SynthSegPlusLib.contract.measures import QualityReport, Verdict
from SynthSegPlusLib.panel._parameters import ColourBy, Shown
from SynthSegPlusLib.panel._words import BANNERS, SIGNS, findingText, hexColour, lines, muted, safe, scale, verdictWord
from SynthSegPlusLib.scene import ResultNodes, runThreshold, shade


class ResultPart:
    """`onShown`, `onColour` and `onThreshold` are called with what the user chose."""

    def __init__(self, ui: Any, onShown: Callable[[Shown], None], onColour: Callable[[ColourBy], None],
                 onThreshold: Callable[[float], None]) -> None:
        self._ui, self._onThreshold = ui, onThreshold
        self._ofRun: float | None = None
        self._showing = False
        ui.segmentationButton.connect("clicked()", lambda: onShown(Shown.SEGMENTATION))
        ui.parcellationButton.connect("clicked()", lambda: onShown(Shown.PARCELLATION))
        ui.anatomyButton.connect("clicked()", lambda: onColour(ColourBy.ANATOMY))
        ui.qualityButton.connect("clicked()", lambda: onColour(ColourBy.QUALITY))
        ui.judgeSpin.connect("valueChanged(double)", self._judge)
        ui.judgedLabel.connect("linkActivated(QString)", lambda link: self._judgeAsTheRun())

    def show(self, result: ResultNodes) -> None:
        """Write a result's verdict and numbers."""
        background, foreground = BANNERS[result.verdict]
        self._ui.verdictLabel.text = f"<b>{SIGNS[result.verdict]}&nbsp; {safe(verdictText(result.quality))}</b>"
        self._ui.verdictLabel.styleSheet = (
            f"background-color: {background}; color: {foreground}; padding: 6px; border-radius: 3px;"
        )
        self._ui.summaryLabel.text = lines([self._icv(result), failedText(result.quality), *warningTexts(result.record),
                                            muted(_("Research use only. Not for diagnosis."))])
        self._showThreshold(result)
        self._ui.parcellationButton.enabled = result.parcellation is not None
        self._ui.qualityButton.enabled = result.qualityColours is not None
        self._ui.qualityButton.toolTip = (
            _("Colour each structure by the score of its region.") if result.qualityColours is not None
            else _("This result was made without quality control."))

    def showChoice(self, shown: Shown, colourBy: ColourBy, result: ResultNodes) -> None:
        """Press the buttons that hold, and write the legend."""
        self._ui.segmentationButton.checked = shown is Shown.SEGMENTATION
        self._ui.parcellationButton.checked = shown is Shown.PARCELLATION
        self._ui.anatomyButton.checked = colourBy is ColourBy.ANATOMY
        self._ui.qualityButton.checked = colourBy is ColourBy.QUALITY
        quality = result.quality
        if colourBy is ColourBy.QUALITY and quality is not None:
            self._ui.legendLabel.text = qualityLegend(quality)
        else:
            self._ui.legendLabel.text = muted(_("The table shows the colour of each structure."))

    def _showThreshold(self, result: ResultNodes) -> None:
        quality, self._ofRun = result.quality, runThreshold(result)
        self._ui.judgeSpin.enabled = quality is not None
        self._ui.judgedLabel.text = judgedText(quality, self._ofRun)
        if quality is not None:
            self._showing = True
            self._ui.judgeSpin.value = quality.threshold
            self._showing = False

    def _judge(self, threshold: float) -> None:
        if not self._showing:
            self._onThreshold(threshold)

    def _judgeAsTheRun(self) -> None:
        if self._ofRun is not None:
            self._onThreshold(self._ofRun)

    def _icv(self, result: ResultNodes) -> str:
        if result.icvMm3 is None:
            return _("Intracranial volume: not defined for this label table")
        return _("Intracranial volume: <b>{volume:.0f} mL</b>").format(volume=result.icvMm3 / 1000.0)


def verdictText(quality: QualityReport | None) -> str:
    """The verdict on a scan in a sentence."""
    if quality is None:
        return _("Not scored: made without quality control")
    if quality.verdict is Verdict.FAIL:
        return _("Failed: {failed} of {count} regions below {threshold:.2f}").format(
            failed=len(quality.failed), count=len(quality.regions), threshold=quality.threshold)
    if quality.verdict is Verdict.PASS:
        return _("Passed: all {count} regions at or above {threshold:.2f}").format(
            count=len(quality.regions), threshold=quality.threshold)
    return _("Not scored: the network gave no score for some regions")


def judgedText(quality: QualityReport | None, ofRun: float | None) -> str:
    """Whether the result is judged as the run judged it, and the way back if not."""
    if quality is None or ofRun is None:
        return ""
    if quality.threshold == ofRun:
        return muted(_("as in the run"))
    return _("changed; {link}").format(link=f'<a href="run">{_("back to {threshold:g}").format(threshold=ofRun)}</a>')


def failedText(quality: QualityReport | None) -> str:
    """The failed regions, the worst first; empty when none failed."""
    if quality is None or not quality.failed:
        return ""
    worst = sorted(quality.failed, key=lambda region: region.score)
    listed = ", ".join(f"{safe(region.name)} {region.text}" for region in worst)
    return _("Failed regions: {regions}").format(regions=listed)


def warningTexts(record: Mapping[str, Any]) -> list[str]:
    """What to beware of, in the scan and in what was made of it: a verdict tells nothing of it."""
    return [findingText(finding) for finding in record.get("findings", []) if finding["severity"] == "warning"]


def qualityLegend(quality: QualityReport) -> str:
    """Scale of the quality colours, and the score of every region."""
    grey = hexColour(shade(None, quality.threshold))
    ends = (f'<table width="100%" cellspacing="0" cellpadding="0"><tr><td>0</td><td align="center">'
            f'{SIGNS[Verdict.FAIL]} {verdictWord(Verdict.FAIL)} &lt; {quality.threshold:.2f} &le; '
            f'{SIGNS[Verdict.PASS]} {verdictWord(Verdict.PASS)}</td><td align="right">1</td></tr></table>')
    cells = [
        f'<td bgcolor="{hexColour(shade(region.score, quality.threshold))}" width="14">&nbsp;</td>'
        f"<td>&nbsp;{safe(region.name)}</td>"
        f'<td align="right">{region.text} {SIGNS[region.verdict]}&nbsp;&nbsp;</td>'
        for region in quality.regions
    ]
    cells.append(f'<td bgcolor="{grey}" width="14">&nbsp;</td><td>&nbsp;{_("not scored")}</td>'
                 f'<td align="right">{SIGNS[Verdict.NOT_SCORED]}&nbsp;&nbsp;</td>')
    half = (len(cells) + 1) // 2
    rows = "".join(f"<tr>{left}{right}</tr>" for left, right in zip(cells[:half], [*cells[half:], ""], strict=False))
    return f'{scale(quality.threshold)}{ends}<table width="100%" cellspacing="1" cellpadding="0">{rows}</table>'
