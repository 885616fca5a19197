"""A result judged at another threshold: everything that says a verdict follows, and comes back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.contract.measures import Verdict
from SynthSegPlusLib.scene._tables import readSummary
from Testing.slicer.helpers import add_result, add_scan


@pytest.fixture
def result(slicer_host, tmp_path):
    """Cortex at 0.40, the other regions from 0.70 (white matter) up; judged at 0.65."""
    return add_result(tmp_path, failing=("cortex",))


def colours_of(node):
    rgba = np.zeros(4)
    found = []
    for label in (3, 17, 11, 1035):
        node.GetColor(label, rgba)
        found.append((node.GetColorName(label), tuple(np.round(255 * rgba[:3]).astype(int).tolist())))
    return found


def state(result):
    """Everything that depends on the threshold."""
    return (scene.volumesCsv(result), scene.summaryCsv(result), result.quality, result.verdict,
            colours_of(result.qualityColours))


def test_the_verdicts_of_scan_regions_and_structures_follow_the_threshold(result):
    assert result.verdict is Verdict.FAIL
    assert scene.judge(result, 0.3) is Verdict.PASS
    assert result.verdict is Verdict.PASS
    assert result.quality.failed == ()
    assert {result.measures[label].verdict for label in (3, 42, 1035, 17)} == {Verdict.PASS}
    assert scene.judge(result, 0.99) is Verdict.FAIL
    assert len(result.quality.failed) == 10
    assert {row.verdict for row in result.measures if row.qc_score is not None} == {Verdict.FAIL}


def test_what_was_not_scored_stays_so_at_any_threshold(result):
    for threshold in (0.0, 1.0):
        scene.judge(result, threshold)
        assert result.measures[11].verdict is Verdict.NOT_SCORED


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.75, 1.0])
def test_a_result_judged_later_equals_one_that_the_run_judged_so(result, slicer_host, tmp_path, threshold):
    (tmp_path / "other").mkdir()
    at_once = add_result(tmp_path / "other", add_scan(), failing=("cortex",), qc_threshold=threshold)
    scene.judge(result, threshold)
    assert result.measures == at_once.measures
    assert result.quality == at_once.quality
    assert colours_of(result.qualityColours) == colours_of(at_once.qualityColours)


def test_the_summary_says_which_threshold_was_used_and_which_the_run_used(result):
    scene.judge(result, 0.3)
    assert [readSummary(result.summary, name) for name in ("verdict", "quality threshold")] == ["pass", "0.3"]
    assert readSummary(result.summary, "quality threshold of the run") == "0.65"
    assert "quality threshold of the run,0.65,Dice" in scene.summaryCsv(result)
    assert result.record["options"]["qc_threshold"] == 0.65
    scene.judge(result, 0.8)
    assert scene.runThreshold(result) == 0.65


@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_a_threshold_of_numpy_is_written_as_a_plain_number(result, number):
    scene.judge(result, number(0.5))
    assert readSummary(result.summary, "quality threshold") == "0.5"
    assert "quality threshold,0.5," in scene.summaryCsv(result)
    assert type(result.quality.threshold) is float


def test_setting_the_threshold_back_brings_everything_back(result):
    before = state(result)
    for threshold in (0.3, 0.8, 0.65):
        scene.judge(result, threshold)
    assert state(result) == before


def test_the_reviewers_decisions_stay(result):
    scene.decide(result, scene.Decision.REJECT, 17)
    scene.comment(result, "cut off", 17)
    scene.judge(result, 0.3)
    assert scene.decisionOf(result, 17) is scene.Decision.REJECT
    assert scene.commentOn(result, 17) == "cut off"


def test_the_views_show_the_new_colours(result, slicer_host):
    scene.showInSlices(result, "segmentation", opacity=1.0)
    scene.colourBy(result, "quality")
    slicer.util.resetSliceViews()
    position = scene.jumpTo(result, 17)
    scene.judge(result, 0.9)
    slicer_host.process_events()
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    seen = view.pixels()[view.pixel_of_ras(list(position))].astype(int)
    assert np.abs(seen - scene.shade(0.80, 0.9)).max() <= 3
    assert np.abs(np.array(scene.shade(0.80, 0.9)) - scene.shade(0.80, 0.65)).max() > 50


def test_a_new_judgement_is_saved_with_the_scene(result, tmp_path):
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    judged = (result.volumes, result.summary, result.qualityColours)
    for node, kind in zip(judged, ("tsv", "tsv", "ctbl"), strict=True):
        assert slicer.util.saveNode(node, str(tmp_path / f"{node.GetID()}.{kind}"))
        assert not node.GetModifiedSinceRead(), node.GetName()
    scene.judge(result, 0.3)
    for node in judged:
        assert node.GetModifiedSinceRead(), node.GetName()
    expected = json.dumps(result.quality.to_dict())
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    (loaded,) = scene.resultsIn(slicer.mrmlScene)
    assert json.dumps(loaded.quality.to_dict()) == expected
    assert scene.runThreshold(loaded) == 0.65
    assert scene.judge(loaded, 0.65) is Verdict.FAIL
    assert loaded.measures[3].verdict is Verdict.FAIL


def test_what_cannot_be_judged_is_said(slicer_host, tmp_path, result):
    with pytest.raises(OptionsError, match="from 0 to 1"):
        scene.judge(result, 1.5)
    (tmp_path / "plain").mkdir()
    plain = add_result(tmp_path / "plain", add_scan("plain"), quality=False)
    assert scene.runThreshold(plain) is None
    with pytest.raises(OptionsError, match="'plain segmentation' has no scores"):
        scene.judge(plain, 0.5)
