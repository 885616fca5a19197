"""Colours and pictures: sides, verdicts and text are where they should be."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest

from SynthSegPlusLib.contract import MeasuresTable, QualityReport, RegionScore, StructureMeasure, Verdict
from SynthSegPlusLib.labels import parcels, structures
from SynthSegPlusLib.report import Subject, draw_pictures, qc_path, volumes_table, write_pictures
from SynthSegPlusLib.report.colours import NOT_SCORED, anatomy, of_score, outline, paint, quality

SCORES = {2: 0.9, 41: 0.9, 17: 0.4, 53: 0.4, 11: None, 50: None}
REGIONS = {2: "white matter", 41: "white matter", 17: "hippocampus", 53: "hippocampus", 11: "", 50: ""}


def measures(scored: bool = True) -> MeasuresTable:
    rows = []
    for value in sorted(SCORES):
        label = structures()[value]
        score = SCORES[value] if scored else None
        rows.append(StructureMeasure(value, label.name, label.hemisphere, 1000.0 * value, value / 1600, REGIONS[value],
                                     score, Verdict.of(score, 0.65)))
    return MeasuresTable(tuple(rows))


def report() -> QualityReport:
    return QualityReport((RegionScore("white matter", 0.9, Verdict.PASS),
                          RegionScore("hippocampus", 0.4, Verdict.FAIL)), 0.65)


def subject(scored: bool = True, labels: np.ndarray | None = None) -> Subject:
    """White matter: label 41 (right) where x is large, 2 (left) where it is small; a hippocampus inside each."""
    if labels is None:
        labels = np.zeros((40, 40, 40), int)
        labels[5:20, 5:35, 5:35], labels[20:35, 5:35, 5:35] = 2, 41
        labels[8:14, 15:25, 15:25], labels[26:32, 15:25, 15:25] = 17, 53
    grid = SimpleNamespace(data=labels, affine=np.eye(4))
    scan = SimpleNamespace(data=labels * 1.0 + 5, affine=np.eye(4))
    return Subject("someone", scan, grid, measures(scored), 1.6e6, report() if scored else None)


def words(figure) -> str:
    texts = figure.texts + [text for axes in figure.axes for text in axes.texts]
    return "\n".join(text.get_text() for text in texts)


def test_the_pictures_name_scan_icv_verdict_and_sides():
    anatomy_figure, quality_figure = draw_pictures(subject())
    said = words(anatomy_figure)
    for word in ("someone", "ICV 1.600 l", "quality FAIL", "hippocampus 0.40", "radiological", "Hippocampus", "17.0"):
        assert word in said
    assert said.split("\n").count("R") == 6
    assert "Caudate nucleus" in words(quality_figure)  # among those not scored
    assert "0.40" in words(quality_figure)


def test_without_a_quality_report_there_is_one_picture_and_it_says_so():
    figures = draw_pictures(subject(scored=False))
    assert len(figures) == 1
    assert "quality not scored" in words(figures[0])


def test_the_patients_right_is_on_the_left_unless_asked_otherwise():
    """Only the right half is labelled, so the coloured half of an axial picture shows the side."""
    labels = np.zeros((40, 40, 40), int)
    labels[5:35, 5:35, 5:35] = 2
    labels[20:35, 5:35, 5:35] = 50
    for radiological in (True, False):
        shown = subject(scored=False, labels=labels)
        black = dataclasses.replace(shown, scan=SimpleNamespace(data=labels * 0 + 1, affine=np.eye(4)))
        image = np.asarray(draw_pictures(black, radiological)[0].axes[1].images[0].get_array())
        reddish = image[..., 0] / np.maximum(image.sum(-1), 1e-6)
        half = image.shape[1] // 2
        caudate_is_left = reddish[40:-40, half - 20].mean() < reddish[40:-40, half + 20].mean()
        assert caudate_is_left == radiological


def test_a_scan_without_any_label_still_gives_a_picture():
    figure = draw_pictures(subject(scored=False, labels=np.zeros((12, 12, 12), int)))[0]
    assert len(figure.axes) == 10


def test_what_is_no_number_is_black_and_hides_nothing_else():
    whole, holed = subject(), subject()
    holed.scan.data = holed.scan.data.astype(np.float32)
    holed.scan.data[holed.labels.data == 0] = np.nan
    holed.scan.data[0, 0, 0] = np.inf
    shown = [axes.images[0].get_array() for axes in draw_pictures(holed)[0].axes if axes.images]
    assert all(np.isfinite(image).all() for image in shown)
    usual = [axes.images[0].get_array() for axes in draw_pictures(whole)[0].axes if axes.images]
    assert np.mean([image.mean() for image in shown]) > 0.2 * np.mean([image.mean() for image in usual])


def test_pictures_are_files_of_the_asked_format(tmp_path):
    written = write_pictures(tmp_path / "p.png", subject())
    assert written == [tmp_path / "p.png", qc_path(tmp_path / "p.png")]
    image = matplotlib.image.imread(written[0])
    assert min(image.shape[:2]) > 250
    assert image[..., :3].std() > 0.05
    assert (write_pictures(tmp_path / "p.pdf", subject())[1]).read_bytes().startswith(b"%PDF")


def test_pass_is_blue_fail_is_vermilion_and_what_is_not_scored_is_grey():
    shades = quality(measures(), 0.65)
    red, _, blue = shades[2]
    assert blue > red
    red, _, blue = shades[17]
    assert red > blue
    assert shades[11] == shades[50] == NOT_SCORED


@pytest.mark.parametrize(("near", "far", "verdict"), [(0.65, 1.0, Verdict.PASS), (0.64, 0.0, Verdict.FAIL)])
def test_a_colour_is_deeper_the_further_its_score_is_from_the_threshold(near, far, verdict):
    light, deep = of_score(near, verdict, 0.65), of_score(far, verdict, 0.65)
    assert sum(light) > sum(deep) + 0.3


def test_the_break_at_the_threshold_is_categorical():
    passed, failed = of_score(0.65, Verdict.PASS, 0.65), of_score(0.6499, Verdict.FAIL, 0.65)
    assert np.abs(np.subtract(passed, failed)).max() > 0.3


def test_a_score_without_a_verdict_is_not_shown_as_passed():
    assert of_score(0.99, Verdict.NOT_SCORED, 0.65) == NOT_SCORED


def test_paint_gives_each_label_its_colour_and_the_background_none():
    painted = paint(np.array([[0, 2], [2012, 777]]), anatomy())
    np.testing.assert_allclose(painted[0, 0], 0)
    np.testing.assert_allclose(painted[0, 1], anatomy()[2], rtol=1e-6)
    np.testing.assert_allclose(painted[1, 0], anatomy()[2012], rtol=1e-6)
    np.testing.assert_allclose(painted[1, 1], NOT_SCORED, rtol=1e-6)


def test_an_outline_runs_along_borders_and_never_on_the_background():
    labels = np.zeros((7, 7), int)
    labels[1:6, 1:6] = 4
    edge = outline(labels)
    assert edge.sum() == 16
    assert not edge[3, 3]
    assert not edge[labels == 0].any()


# ---- the table of text ----------------------------------------------------------------------------------


def test_the_table_puts_sides_together_in_millilitres_with_share_and_verdict():
    lines = {line.split("  ")[0]: line.split() for line in volumes_table(measures(), 1.6e6).splitlines()}
    assert lines["Cerebral white matter"][3:] == ["2.00", "41.00", "2.69", "0.90", "pass"]
    assert lines["Hippocampus"][-1] == "FAIL"


def test_the_table_of_a_set_without_quality_has_no_quality_columns():
    text = volumes_table(measures(scored=False), None)
    assert "QC" not in text
    assert "nan" not in text


def test_columns_of_the_table_are_aligned():
    lines = volumes_table(measures(scored=False), 1.6e6).splitlines()
    assert len({line.rindex(" ") for line in lines if line[-1].isdigit()}) <= 2
    assert len({len(line) for line in lines}) == 1


def test_parcels_are_listed_when_asked_for():
    label = parcels()[1035]
    row = StructureMeasure(1035, label.name, "left", 5000.0, 0.003)
    table = MeasuresTable((*measures().rows, row))
    assert "insula" not in volumes_table(table, 1.6e6).lower()
    assert "insula" in volumes_table(table, 1.6e6, with_parcels=True).lower()
