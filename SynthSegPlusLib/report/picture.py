"""A picture of a result: nine slices with the labels over the scan, and a second one coloured by quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from SynthSegPlusLib.contract import MeasuresTable, QualityReport, Verdict
from SynthSegPlusLib.labels import parcels, structures
from SynthSegPlusLib.report import colours
from SynthSegPlusLib.report.slices import MARGIN_MM, HasGrid, Plane, box_of, planes, sample
from SynthSegPlusLib.report.text import Pair, pairs

INK, FAINT, GROUND = "#f2f2f2", "#9a9a9a", "black"
FILL, EDGE = 0.38, 0.85  # opacity inside a label and on its outline
GAP_MM, LEGEND_MM, TITLE_MM = 4.0, 190.0, 34.0
MM_PER_INCH, DPI = 55.0, 130
WINDOW_PIXELS, WINDOW_MARGIN = 500, 0.08
QC_SUFFIX = "_qc"

SHADE = {"facecolor": GROUND, "edgecolor": "none", "alpha": 0.6, "pad": 1.5}  # behind text on a bright scan

Cell = tuple[float, float, float, float]  # left, bottom, width, height


@dataclass(frozen=True)
class Subject:
    """What the pictures show of one scan.

    scan and labels may lie on different grids; both carry their affine. measures, icv_mm3 and quality as in a result.
    """

    name: str
    scan: HasGrid
    labels: HasGrid
    measures: MeasuresTable
    icv_mm3: float | None = None
    quality: QualityReport | None = None


def qc_path(path: Path) -> Path:
    """Where the picture coloured by quality goes."""
    return path.with_name(f"{path.stem}{QC_SUFFIX}{path.suffix}")


def draw_pictures(subject: Subject, radiological: bool = True) -> list[Figure]:
    """The anatomy and, when there is a quality report, a second figure coloured by it.

    Radiological: the patient's right is on the left of the picture.
    """
    look = _Look(subject, radiological)
    figures = [look.draw(colours.anatomy(), _anatomy_legend)]
    if subject.quality is not None:
        figures.append(look.draw(colours.quality(subject.measures, subject.quality.threshold), _quality_legend))
    return figures


def write_pictures(path: Path, subject: Subject, radiological: bool = True) -> list[Path]:
    """Store `draw_pictures`: the anatomy as `path`, the quality beside it (`_qc`). The name gives the format."""
    targets = [path, qc_path(path)]
    written = []
    for target, figure in zip(targets, draw_pictures(subject, radiological), strict=False):
        figure.savefig(target)
        written.append(target)
    return written


class _Look:
    """The slices of one subject, sampled once and painted as often as wanted."""

    def __init__(self, subject: Subject, radiological: bool) -> None:
        self.subject = subject
        self.radiological = radiological
        tight, centre = box_of(subject.labels)
        self.box = tight.grown(MARGIN_MM)
        self.views = planes(tight, centre, radiological)
        # What is no number outside a stripped head is black, and must not reach its neighbours or the window.
        finite = np.nan_to_num(subject.scan.data, nan=0.0, posinf=0.0, neginf=0.0)
        scan = SimpleNamespace(data=finite, affine=subject.scan.affine)
        grey = {plane: sample(scan, plane, self.box, linear=True) for plane in self._all()}
        self.labels = {
            plane: np.rint(sample(subject.labels, plane, self.box, linear=False)).astype(np.int32)
            for plane in self._all()
        }
        low, high = _window(grey, self.labels)
        self.grey = {plane: np.clip((image - low) / (high - low), 0, 1) for plane, image in grey.items()}

    def _all(self) -> list[Plane]:
        return [plane for row in self.views.values() for plane in row]

    def draw(self, shades: colours.Colours, legend: Any) -> Figure:
        """All panels at one scale, in millimetres of the head; the legend on the right."""
        width = 3 * (max(self.box.size[0], self.box.size[1]) + GAP_MM)
        rows = [self.box.size[plane_row[0].up] + GAP_MM for plane_row in self.views.values()]
        whole = (width + LEGEND_MM, sum(rows) + TITLE_MM)
        size = (whole[0] / MM_PER_INCH, whole[1] / MM_PER_INCH)
        figure = Figure(figsize=size, dpi=DPI, facecolor=GROUND)
        top = whole[1] - TITLE_MM
        for plane_row, height in zip(self.views.values(), rows, strict=True):
            top -= height
            for column, plane in enumerate(plane_row):
                cell = (column * width / 3, top, width / 3, height)
                self._panel(figure, _fraction(cell, whole), plane, shades)
        self._title(figure, whole)
        area = figure.add_axes(_fraction((width + 6, 0, LEGEND_MM - 12, whole[1] - TITLE_MM), whole))
        _bare(area)
        area.set_xlim(0, LEGEND_MM - 12)
        area.set_ylim(whole[1] - TITLE_MM, 0)
        legend(area, self.subject)
        return figure

    def _panel(self, figure: Figure, place: Cell, plane: Plane, shades: colours.Colours) -> None:
        axes = figure.add_axes(place)
        _bare(axes)
        axes.imshow(self._blend(plane, shades), origin="lower", interpolation="bilinear", aspect="equal")
        left, right = plane.marks
        style: dict[str, Any] = {"color": INK, "fontsize": 11, "fontweight": "bold", "va": "center"}
        style["transform"] = axes.transAxes
        style["bbox"] = SHADE
        axes.text(0.02, 0.5, left, ha="left", **style)
        axes.text(0.98, 0.5, right, ha="right", **style)
        letter = "RAS"[plane.normal]
        axes.text(0.5, 0.015, f"{plane.view}  {letter} {plane.position:+.0f} mm", color=FAINT, fontsize=8,
                  ha="center", va="bottom", transform=axes.transAxes,
                  bbox=SHADE)

    def _blend(self, plane: Plane, shades: colours.Colours) -> np.ndarray:
        labels = self.labels[plane]
        opacity = np.where(colours.outline(labels), EDGE, np.where(labels != 0, FILL, 0.0))[..., None]
        return self.grey[plane][..., None] * (1 - opacity) + colours.paint(labels, shades) * opacity

    def _title(self, figure: Figure, whole: tuple[float, float]) -> None:
        left, line = 8 / whole[0], 1 / whole[1]
        figure.text(left, 1 - 12 * line, self.subject.name, color=INK, fontsize=17, fontweight="bold", va="center")
        side = "radiological: the patient's right is on the left" if self.radiological else (
            "neurological: the patient's left is on the left")
        summary = f"{_icv(self.subject.icv_mm3)}     {_verdict(self.subject.quality)}     {side}"
        figure.text(left, 1 - 25 * line, summary, color=FAINT, fontsize=10.5, va="center")


def _window(images: dict[Plane, np.ndarray], labels: dict[Plane, np.ndarray]) -> tuple[float, float]:
    """Intensities shown as black and white: those of what is labelled, a little widened; bone and fat may saturate."""
    inside = np.concatenate([images[plane][labels[plane] != 0] for plane in images])
    if inside.size < WINDOW_PIXELS:
        inside = np.concatenate([image[image != 0] for image in images.values()])
    if inside.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(inside, (0.5, 99.5))
    margin = max(WINDOW_MARGIN * (high - low), 1e-6)
    return float(low - margin), float(high + margin)


def _fraction(cell: Cell, whole: tuple[float, float]) -> Cell:
    return cell[0] / whole[0], cell[1] / whole[1], cell[2] / whole[0], cell[3] / whole[1]


def _bare(axes: Any) -> None:
    axes.set_axis_off()
    axes.set_facecolor(GROUND)


def _icv(icv_mm3: float | None) -> str:
    return "no ICV (this label table has none)" if icv_mm3 is None else f"ICV {icv_mm3 / 1e6:.3f} l"


def _verdict(quality: QualityReport | None) -> str:
    if quality is None:
        return "quality not scored"
    worst = min(quality.regions, key=lambda region: region.score, default=None)
    lowest = "" if worst is None else f" (lowest: {worst.name} {worst.text}, threshold {quality.threshold:.2f})"
    return f"quality {str(quality.verdict).upper()}{lowest}"


def _anatomy_legend(axes: Any, subject: Subject) -> None:
    shades = colours.anatomy()
    drawn = set(np.unique(subject.labels.data).tolist())
    cells = _Lines(axes)
    cells.head("volume, ml", "left", "right")
    for pair in pairs(subject.measures, structures("2.0")):
        cells.line(shades[pair.left.label], pair.title, *_volumes(pair))
    count = sum(label.value in drawn for label in parcels() if label.value)
    if count:
        cells.note(f"The cortex is drawn as {count} parcels.")


def _volumes(pair: Pair) -> tuple[str, str]:
    left = f"{pair.left.volume_mm3 / 1000:.1f}"
    return (left, "") if pair.right is None else (left, f"{pair.right.volume_mm3 / 1000:.1f}")


def _quality_legend(axes: Any, subject: Subject) -> None:
    cells = _Lines(axes)
    cells.head("region", "score", "")
    report = subject.quality
    if report is None:
        return
    for region in report.regions:
        shade = colours.of_score(region.score, region.verdict, report.threshold)
        cells.line(shade, region.name.capitalize(), region.text, region.verdict.value)
    others = [pair.title for pair in pairs(subject.measures, structures("2.0"))
              if pair.left.verdict is Verdict.NOT_SCORED]
    if others:
        cells.line(colours.NOT_SCORED, "Not scored", "", "")
        for title in others:
            cells.note(title)
    cells.note("")
    cells.note("Score: predicted Dice; a region fails")
    cells.note(f"below {report.threshold:.2f}. Grey is not scored, which is not a pass.")


class _Lines:
    """Lines of a legend: a patch of colour, a name and two numbers; one unit is a millimetre of the figure."""

    STEP = 15.0

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.y = 12.0

    def head(self, *cells: str) -> None:
        self._texts(cells, FAINT)

    def line(self, shade: tuple[float, float, float], *cells: str) -> None:
        self.axes.add_patch(Rectangle((0, self.y - 4.5), 12, 9, facecolor=shade, edgecolor="none"))
        self._texts(cells, INK)

    def note(self, text: str) -> None:
        self.axes.text(18, self.y, text, color=FAINT, fontsize=8, va="center")
        self.y += self.STEP * 0.75

    def _texts(self, cells: tuple[str, ...], ink: str) -> None:
        name, first, second = cells
        self.axes.text(18, self.y, name, color=ink, fontsize=9.5, va="center")
        self.axes.text(142, self.y, first, color=ink, fontsize=9.5, va="center", ha="right")
        self.axes.text(176, self.y, second, color=ink, fontsize=9.5, va="center", ha="right")
        self.y += self.STEP

