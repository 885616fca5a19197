"""S's second opinion: when it is asked for, what it changes, and what it does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import SynthSegPlusLib
from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.contract import ModelError, SegmentOptions
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference._cascade import POSTPROCESSING, STAGE_TITLES
from SynthSegPlusLib.inference._rules import Calibration, SecondOpinion
from SynthSegPlusLib.inference.quality import RegionConfidence, calibrated_scores, region_agreement
from SynthSegPlusLib.inference.segmenter import FINISHING, PREPARING
from SynthSegPlusLib.labels import qc_regions, structures
from Testing.inference.tiny import scan

TABLE, REGIONS = structures("2.0"), qc_regions("paper")
NAMES = REGIONS.names[1:]
STAGE = "Second opinion (S)"


@pytest.fixture(scope="module")
def asking(tiny):
    """The tiny set, whose scores are a tenth plus half of R's plus a fifth of the agreement."""
    rule = {"intercept": [0.1] * 10, "regressor": [0.5] * 10, "agreement": [0.2] * 10}
    return with_rule(tiny, rule)


def with_rule(folder, rule):
    made = folder.with_name(f"{folder.name}_asking")
    if not made.exists():
        made.mkdir()
        for path in folder.glob("*.h5"):
            (made / path.name).symlink_to(path)
    values = json.loads((folder / "model_set.json").read_text())
    values["quality"]["second_opinion"] = rule
    (made / "model_set.json").write_text(json.dumps(values))
    return made


def run(folder, **options):
    return Segmenter(ModelSet.load(folder), device="cpu", quality=True, **options).segment(scan())


def channels(*values):
    return TABLE.channels(values).astype(np.uint8)


def test_agreement_is_the_dice_of_regions_not_of_structures():
    one = channels(17, 17, 53, 10, 0, 0)[:, None, None]
    two = channels(17, 53, 0, 0, 0, 49)[:, None, None]
    found = dict(zip(NAMES, region_agreement(one, two, TABLE, REGIONS), strict=True))
    assert found["hippocampus"] == pytest.approx(2 * 2 / 5)
    assert found["thalamus"] == 0
    assert found["cerebellum"] == 0


def test_scores_are_joined_region_by_region_and_r_is_clipped_first():
    rule = SecondOpinion((0.1, -0.2), (0.5, 1.0), (0.2, 0.4), (0.1, 0.0))
    sure, agreed = np.array([0.5, 0.9]), np.array([0.5, 0.25])
    assert calibrated_scores(rule, np.array([0.9, 0.8, 1.4]), sure, agreed) == pytest.approx([0.65, 0.9])
    assert calibrated_scores(rule, np.array([0.8, np.nan]), sure, agreed)[0] == pytest.approx(0.65)
    alone = Calibration((0.1, -0.2), (0.5, 1.0))
    assert calibrated_scores(alone, np.array([0.8, 1.4]), sure, agreed) == pytest.approx([0.5, 0.8])


def test_confidence_is_the_dice_that_the_posteriors_expect():
    channel = {label: TABLE.channel(label) for label in (0, 17, 53, 10)}
    posteriors = np.zeros((3, 1, 1, len(TABLE)), np.float32)
    posteriors[0, 0, 0, [channel[17], channel[53], channel[0]]] = 0.5, 0.3, 0.2  # both sides are one region
    posteriors[1, 0, 0, [channel[17], channel[10]]] = 0.4, 0.6
    posteriors[2, 0, 0, channel[0]] = 1.0
    labels = posteriors.argmax(-1).astype(np.uint8)
    slabs, whole = RegionConfidence(TABLE, REGIONS), RegionConfidence(TABLE, REGIONS)
    whole.add(posteriors, labels)
    for plane in range(3):
        slabs.add(posteriors[plane : plane + 1], labels[plane : plane + 1])
    found = dict(zip(NAMES, whole.scores(), strict=True))
    assert found["hippocampus"] == pytest.approx(2 * 0.8 / (1 + 1.2))
    assert found["thalamus"] == pytest.approx(2 * 0.6 / (1 + 0.6))
    assert found["cerebellum"] == 0
    assert slabs.scores() == pytest.approx(whole.scores())


@pytest.mark.parametrize("mode", ["robust", "fast", "s-d"])
def test_confidence_joins_the_scores_of_a_set_that_asks_for_it(tiny, mode):
    made = ModelSet.load(tiny)
    alone = Calibration((0.1,) * 10, (0.4,) * 10, (0.3,) * 10)
    made = dataclasses.replace(made, quality=dataclasses.replace(made.quality, alone=alone))
    found = Segmenter(made, device="cpu", quality=True, mode=mode).segment(scan())
    parts = found.record["quality_parts"]
    assert set(parts) == {"regressor", "confidence"}
    assert 0 < max(parts["confidence"].values()) <= 1
    for region in found.quality.regions:
        expected = 0.1 + 0.4 * parts["regressor"][region.name] + 0.3 * parts["confidence"][region.name]
        assert region.score == pytest.approx(np.clip(expected, 0, 1))


def test_the_cascade_asks_s_and_reports_what_the_scores_were_made_of(tiny, asking):
    plain, joined = run(tiny, mode="robust"), run(asking, mode="robust")
    assert np.array_equal(plain.labels.data, joined.labels.data)
    parts = joined.record["quality_parts"]
    assert parts["regressor"] == {region.name: region.score for region in plain.quality.regions}
    assert list(parts["agreement"]) == list(NAMES)
    assert 0 < max(parts["agreement"].values()) <= 1
    for region in joined.quality.regions:
        expected = 0.1 + 0.5 * parts["regressor"][region.name] + 0.2 * parts["agreement"][region.name]
        assert region.score == pytest.approx(np.clip(expected, 0, 1))
    assert "segmenter" in joined.record["model_set"]["roles"]
    assert STAGE in joined.record["timings"]
    assert set(plain.record["quality_parts"]) == {"regressor"}
    assert STAGE not in plain.record["timings"]


def test_the_agreement_is_that_of_the_cascade_and_s(asking):
    robust, single = run(asking, mode="robust"), run(asking, mode="fast")
    # Before postprocessing on both sides; the tiny networks lose little by it.
    of = {"robust": robust, "fast": single}
    maps = {name: TABLE.channels(one.labels.data.ravel()).astype(np.uint8)[:, None, None] for name, one in of.items()}
    roughly = region_agreement(maps["robust"], maps["fast"], TABLE, REGIONS)
    assert list(robust.record["quality_parts"]["agreement"].values()) == pytest.approx(roughly, abs=0.1)


@pytest.mark.parametrize("mode", ["fast", "default", "s-d"])
def test_where_the_structures_are_s_own_r_scores_alone(tiny, asking, mode):
    assert run(asking, mode=mode).quality == run(tiny, mode=mode).quality


def test_r_alone_is_calibrated_where_s_is_not_asked(asking, tiny):
    made = ModelSet.load(asking)
    alone = Calibration((0.2,) * 10, (0.5,) * 10)
    made = dataclasses.replace(made, quality=dataclasses.replace(made.quality, alone=alone))
    for mode in ("fast", "default"):
        raw = run(tiny, mode=mode).quality
        found = Segmenter(made, device="cpu", quality=True, mode=mode).segment(scan())
        assert [one.score for one in found.quality.regions] == pytest.approx([0.2 + 0.5 * r.score for r in raw.regions])
        assert found.record["quality_parts"] == {"regressor": {one.name: one.score for one in raw.regions}}
    assert made.scoring("robust") is made.quality.second_opinion
    assert made.scoring("fast") is alone


@pytest.mark.parametrize("mode", ["robust", "s1-s2", "s1-s2-d"])
def test_stages_name_the_second_opinion_before_r(asking, mode):
    names = Segmenter(ModelSet.load(asking), mode=mode, quality=True).stage_names
    assert names.index(STAGE) == names.index("Quality control (R)") - 1
    assert STAGE not in Segmenter(ModelSet.load(asking), mode=mode).stage_names


def test_another_calibration_is_another_request_where_scores_are_asked_for(asking):
    made = ModelSet.load(asking)
    rule = dataclasses.replace(made.quality.second_opinion, intercept=(0.2,) * 10)
    other = dataclasses.replace(made, quality=dataclasses.replace(made.quality, second_opinion=rule))
    for mode, quality, same in (("robust", True, False), ("robust", False, True), ("fast", True, True)):
        options = SegmentOptions(mode=mode, quality=quality)
        assert (Choice(made, options).request() == Choice(other, options).request()) is same


def test_the_command_line_counts_s_among_the_networks(asking):
    scored = Choice(ModelSet.load(asking), SegmentOptions(mode="robust", quality=True))
    assert [role.name for role in scored.roles()] == ["tissue", "denoiser", "structure", "segmenter", "quality"]
    plain = Choice(ModelSet.load(asking), SegmentOptions(mode="robust"))
    assert "segmenter" not in [role.name for role in plain.roles()]


def test_without_s_r_scores_alone(asking, tiny, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in asking.iterdir():
        if path.name != "segmenter.h5":
            (alone / path.name).symlink_to(path)
    assert run(alone, mode="robust").quality == run(tiny, mode="robust").quality


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"intercept": [0.0] * 9, "regressor": [1.0] * 10, "agreement": [0.0] * 10}, "intercept has 9 numbers"),
        ({"intercept": [0.0] * 10, "regressor": [1.0] * 10}, "agreement has 0 numbers"),
        ({"intercept": ["a"] * 10, "regressor": [1.0] * 10, "agreement": [0.0] * 10}, "list of numbers"),
        ({"intercept": [0.0] * 10, "regressor": [-1.0] * 10, "agreement": [0.0] * 10}, "from 0 to 5"),
        ({"intercept": [0.0] * 10, "regressor": [1.0] * 10, "agreement": [0.0] * 10, "confidence": [1.0] * 9},
         "confidence has 9 numbers"),
        ({"weights": []}, "weights is unknown"),
    ],
)
def test_a_wrong_rule_is_refused(tiny, tmp_path, rule, message):
    values = json.loads((tiny / "model_set.json").read_text())
    values["quality"]["second_opinion"] = rule
    (tmp_path / "model_set.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match=message):
        ModelSet.load(tmp_path)


def test_the_panel_has_a_word_for_every_stage():
    words = (Path(SynthSegPlusLib.__file__).parent / "panel" / "_words.py").read_text(encoding="utf-8")
    for title in (*STAGE_TITLES.values(), POSTPROCESSING, PREPARING, FINISHING):
        assert f'"{title}": _("{title}")' in words
