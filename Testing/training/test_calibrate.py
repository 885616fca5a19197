"""The calibration of quality control: what it observes, fits and writes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from SynthSegPlusLib.cli import main
from SynthSegPlusLib.contract.errors import ModelError, OptionsError
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.labels import qc_regions, structures
from SynthSegPlusLib.networks import choose_backend
from SynthSegPlusLib.synthesis import Generator, draw, generator_config
from SynthSegPlusLib.training import calibrate
from SynthSegPlusLib.training.calibrate import (
    CAUTIONS,
    Observed,
    asking,
    check_writable,
    claim,
    collect,
    fit,
    fit_alone,
    read_observed,
    stretch_for,
    tradeoffs,
    true_dice,
    write_calibration,
    write_observed,
)
from SynthSegPlusLib.training.calibrate_command import KINDS
from Testing.inference.tiny import write_tiny_set
from Testing.synthesis.phantoms import phantom

REGIONS = qc_regions("paper").names[1:]
SHAPE = (40, 48, 40)


@pytest.fixture(scope="module", autouse=True)
def backend():
    return choose_backend(device="cpu")


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_set(tmp_path / "tiny")


def toys():
    still = {"shape": SHAPE, "acquisition": {"full": 1, "partial_view": 0}}
    return {preset: Generator([phantom()], generator_config({"preset": preset, **still}))
            for preset in ("fast", "degraded")}  # fmt: skip


def observed(count, of=lambda r, c, a: 0.1 + 0.5 * r + 0.2 * c + 0.3 * a, mode="robust"):
    rng = np.random.default_rng(0)
    return [
        Observed(mode, 1, scan, "fast", region, r, c, a, of(r, c, a))
        for scan in range(count) for region in REGIONS for r, c, a in [rng.uniform(0.3, 0.9, 3)]
    ]  # fmt: skip


@pytest.fixture
def no_prior(monkeypatch):
    monkeypatch.setattr(calibrate, "PRIOR_RESULTS", 0)


def test_a_linear_truth_is_found_again(no_prior):
    found = fit(observed(20), REGIONS, 0.5)
    assert found.intercept == pytest.approx([0.1] * 10, abs=1e-3)
    assert found.regressor == pytest.approx([0.5] * 10, abs=1e-3)
    assert found.confidence == pytest.approx([0.2] * 10, abs=1e-3)
    assert found.agreement == pytest.approx([0.3] * 10, abs=1e-3)


def test_where_s_is_not_asked_the_scores_of_that_mode_are_fitted_without_it(no_prior):
    alone = observed(20, lambda r, c, a: 0.1 + 0.6 * r + 0.2 * c, mode="fast")
    found = fit_alone([*alone, *observed(20)], REGIONS, 0.5)
    assert found.intercept == pytest.approx([0.1] * 10, abs=1e-3)
    assert found.regressor == pytest.approx([0.6] * 10, abs=1e-3)
    assert found.confidence == pytest.approx([0.2] * 10, abs=1e-3)
    assert fit([*alone, *observed(20)], REGIONS, 0.5) == fit(observed(20), REGIONS, 0.5)


def test_all_regions_share_one_constant_and_one_weight_a_part():
    """Regions that differ by a constant, and one that follows no part at all."""
    shift = {region: 0.01 * number for number, region in enumerate(REGIONS)}
    seen = [dataclasses.replace(one, dice=0.5 if one.region == REGIONS[3] else one.dice + shift[one.region])
            for one in observed(40)]  # fmt: skip
    for part in dataclasses.astuple(fit(seen, REGIONS, 0.5)):
        assert len(part) == 10
        assert len(set(part)) == 1


def test_few_results_hardly_move_what_the_confidence_expects():
    """A truth that follows R alone; ten scans are half as many results as are imagined, six hundred thirty times."""
    few, many = (fit(observed(count, lambda r, c, a: r), REGIONS, 0.5) for count in (10, 600))
    assert few.regressor[0] == pytest.approx(1 / 3, abs=0.05)
    assert few.confidence[0] == pytest.approx(2 / 3, abs=0.05)
    assert many.regressor[0] == pytest.approx(1, abs=0.05)
    assert max(few.agreement[0], many.agreement[0]) < 0.1


def test_scans_without_a_head_are_not_fitted_but_count_for_the_trade_off():
    seen = observed(30, lambda r, c, a: c)
    nothing = [dataclasses.replace(one, seed=2, shown="nothing", dice=0.0, confidence=0.9) for one in seen]
    assert fit([*seen, *nothing], REGIONS, 0.5) == fit(seen, REGIONS, 0.5)
    with_them, without = (tradeoffs(some, REGIONS, cautions=(0.5,))[0] for some in ([*seen, *nothing], seen))
    assert without.rejected == pytest.approx(1, abs=0.01)
    assert 0.25 < with_them.rejected < 0.45  # about 150 bad regions of heads, and 300 of which all pass
    assert with_them.accepted == pytest.approx(without.accepted, abs=0.01)
    with pytest.raises(OptionsError, match="0 scans of heads"):
        fit(nothing, REGIONS, 0.5)


def test_no_part_counts_against_the_truth(no_prior):
    found = fit(observed(80, lambda r, c, a: 0.5 - 0.4 * r + 0.3 * a), REGIONS, 0.5)
    assert max(found.regressor) == 0
    assert min(found.agreement) > 0.1


def test_a_cautious_score_is_reached_by_the_share_that_was_asked_for(no_prior):
    noise = iter(np.random.default_rng(1).standard_normal(400 * len(REGIONS)))
    seen = observed(400, lambda r, c, a: 0.1 + 0.4 * r + 0.3 * a + 0.05 * next(noise))
    even, wary = fit(seen, REGIONS, 0.5), fit(seen, REGIONS, 0.9)
    # A normal distribution's 90 % quantile lies 1.28 of its widths from the middle.
    assert np.subtract(even.intercept, wary.intercept) == pytest.approx([1.28 * 0.05] * 10, abs=0.012)
    assert (even.regressor, even.agreement) == (wary.regressor, wary.agreement)
    scores = [wary.intercept[0] + wary.regressor[0] * one.regressor + wary.confidence[0] * one.confidence
              + wary.agreement[0] * one.agreement for one in seen]  # fmt: skip
    reached = np.mean([one.dice >= score for one, score in zip(seen, scores, strict=True)])
    assert reached == pytest.approx(0.9, abs=0.01)
    assert np.less(fit(seen, REGIONS, 0.75).intercept, even.intercept).all()


def test_trade_offs_are_those_of_scans_that_the_fit_has_not_seen(no_prior):
    exact = tradeoffs(observed(60, lambda r, c, a: 0.1 + 0.5 * r + 0.3 * a), REGIONS, cautions=(0.5,))
    assert (exact[0].accepted, exact[0].rejected) == pytest.approx((1.0, 1.0), abs=0.01)
    noise = iter(np.random.default_rng(1).standard_normal(200 * len(REGIONS)))
    seen = observed(200, lambda r, c, a: 0.1 + 0.5 * r + 0.3 * a + 0.08 * next(noise))
    found = tradeoffs(seen, REGIONS)
    assert [one.caution for one in found] == list(CAUTIONS)
    accepted, rejected = [one.accepted for one in found], [one.rejected for one in found]
    assert accepted == sorted(accepted, reverse=True)
    assert rejected == sorted(rejected)
    assert accepted[0] - accepted[-1] > 0.1
    assert rejected[-1] - rejected[0] > 0.02
    # What a scan's own truth is does not move its scores, only those of the others.
    few = observed(12)
    other = [dataclasses.replace(one, dice=0.0) if one.scan == 3 else one for one in few]
    own = np.array([one.scan == 3 for one in few])
    before, after = (calibrate._scores_of_others(some, REGIONS, "robust", (0.5,))[0] for some in (few, other))
    assert np.array_equal(before[own], after[own])
    assert np.abs(before - after)[~own].mean() > 0.01


def written(rule, seen):
    """Scores, not clipped, by a rule as it is written into a set."""
    return np.array([
        rule.intercept[0] + rule.regressor[0] * one.regressor + rule.confidence[0] * one.confidence
        + (rule.agreement[0] * one.agreement if one.mode == "robust" else 0.0) for one in seen
    ])  # fmt: skip


def test_without_the_opinion_of_s_scores_are_lowered_alike():
    seen = observed(40, lambda r, c, a: 0.3 + 0.6 * c, mode="fast")
    plain, lowered = fit_alone(seen, REGIONS, 0.5), fit_alone(seen, REGIONS, 0.5, 1.5)
    assert 1 - written(lowered, seen) == pytest.approx(1.5 * (1 - written(plain, seen)), abs=1e-3)


def test_a_weight_that_a_set_may_not_have_limits_the_stretch(no_prior):
    seen = observed(40, lambda r, c, a: 3.0 * c - 1.5, mode="fast")
    plain, lowered = fit_alone(seen, REGIONS, 0.5), fit_alone(seen, REGIONS, 0.5, 2.0)
    assert lowered.confidence[0] == pytest.approx(5.0)
    assert 1 - written(lowered, seen) == pytest.approx(5 / 3 * (1 - written(plain, seen)), abs=2e-3)


def test_scores_are_lowered_as_far_as_the_good_regions_that_are_to_pass_allow():
    noise = iter(np.random.default_rng(1).standard_normal(200 * len(REGIONS)))
    seen = observed(200, lambda r, c, a: 0.1 + 0.5 * r + 0.3 * a + 0.04 * next(noise))
    stretch, does = stretch_for(seen, REGIONS, "robust", 0.5, 0.8)
    assert 0.8 <= does.accepted < 0.83
    assert stretch > 1.05
    lowered, plain = fit(seen, REGIONS, 0.5, stretch), fit(seen, REGIONS, 0.5)
    assert 1 - written(lowered, seen) == pytest.approx(stretch * (1 - written(plain, seen)), abs=1e-3)
    before = tradeoffs(seen, REGIONS, cautions=(0.5,))[0]
    assert does.rejected >= before.rejected
    good = np.array([one.dice > calibrate.GOOD for one in seen])
    assert (written(lowered, seen)[good] >= 0.65).mean() == pytest.approx(does.accepted, abs=0.01)
    assert does.accepted < before.accepted
    # What is cautious enough already stays.
    assert stretch_for(seen, REGIONS, "robust", 0.99, 0.9)[0] == 1


def test_the_command_lowers_the_scores_of_each_mode_by_its_own_stretch(tiny, tmp_path, monkeypatch, capsys):
    noise = iter(np.random.default_rng(2).standard_normal(80 * len(REGIONS)))
    seen = observed(40, lambda r, c, a: 0.35 + 0.6 * c + 0.02 * next(noise))
    seen += observed(40, lambda r, c, a: 0.2 + 0.8 * c + 0.01 * next(noise), mode="fast")
    monkeypatch.setattr("SynthSegPlusLib.synthesis.find_label_maps", lambda *about: [])
    monkeypatch.setattr(calibrate, "collect", lambda *about, **machine: seen)
    command = ["calibrate", "--models", str(tiny), "--labels", str(tmp_path), "--out", str(tmp_path / "out"),
               "--caution", "0.5", "--accept", "0.8", "--device", "cpu"]  # fmt: skip
    assert main(command) == 0
    said, made = capsys.readouterr().out, ModelSet.load(tiny).quality
    stretches = {mode: stretch_for(seen, REGIONS, mode, 0.5, 0.8)[0] for mode in ("robust", "fast")}
    assert stretches["robust"] != pytest.approx(stretches["fast"], abs=0.02)
    assert made.second_opinion == fit(seen, REGIONS, 0.5, stretches["robust"])
    assert made.alone == fit_alone(seen, REGIONS, 0.5, stretches["fast"])
    for mode, stretch in stretches.items():
        assert f"{mode}: what scores lack of 1 multiplied by {stretch:.2f}, which accepts 8" in said


def test_trade_offs_without_good_or_bad_regions_are_no_numbers():
    found = tradeoffs(observed(20, lambda r, c, a: 0.66 + 0.01 * r), REGIONS, cautions=(0.5,))[0]
    assert np.isnan(found.accepted)
    assert np.isnan(found.rejected)


def test_too_few_scans_are_refused():
    with pytest.raises(OptionsError, match="8 scans of heads were observed"):
        fit(observed(8), REGIONS, 0.5)
    fit(observed(9), REGIONS, 0.5)  # ten scans, of which one shows no head


def test_scores_that_are_no_numbers_do_not_count():
    unknown = [Observed("robust", 1, 20, "fast", region, float("nan"), 0.9, 0.9, 0.1) for region in REGIONS]
    spoiled = [*observed(20), *unknown]
    assert fit(spoiled, REGIONS, 0.5) == fit(observed(20), REGIONS, 0.5)


def test_true_dice_is_of_regions_and_zero_for_what_both_lack():
    table = structures("2.0")
    labels = np.array([[[17, 53, 53, 0, 10]]])
    truth = table.channels([17, 17, 0, 53, 10]).astype(np.uint8)[None, None]
    found = dict(zip(REGIONS, true_dice(labels, truth, table, qc_regions("paper")), strict=True))
    assert found["hippocampus"] == pytest.approx(4 / 6)
    assert found["thalamus"] == 1
    assert found["putamen"] == 0


def test_observations_survive_their_table(tmp_path):
    path, written = tmp_path / "observed.csv", [*observed(2), *observed(1, mode="fast")]
    written[-1] = dataclasses.replace(written[-1], agreement=float("nan"))
    assert read_observed(path) == []
    write_observed(path, written)
    read = read_observed(path)
    assert [(one.mode, one.scan, one.region) for one in read] == [(one.mode, one.scan, one.region) for one in written]
    for name in ("regressor", "confidence", "agreement", "dice"):
        values = [getattr(one, name) for one in written]
        assert [getattr(one, name) for one in read] == pytest.approx(values, abs=1e-4, nan_ok=True)


def test_an_interrupted_collection_goes_on_and_every_tenth_scan_shows_no_head(tiny, tmp_path):
    said = []
    first = collect(ModelSet.load(tiny), toys(), 3, 5, tmp_path / "observed.csv", said.append, device="cpu")
    more = collect(ModelSet.load(tiny), toys(), 10, 5, tmp_path / "observed.csv", said.append, device="cpu")
    assert [one.scan for one in more[: len(first)]] == [one.scan for one in first]
    assert len(said) == len({one.scan for one in more})
    shown = {one.scan: one.shown for one in more}
    assert (shown[0], shown[1]) == ("fast", "degraded")
    nothing = [one for one in more if one.scan == 9]
    assert all(one.shown == "nothing" and one.dice == 0 for one in nothing)
    assert [one.scan for one in collect(ModelSet.load(tiny), toys(), 3, 5, tmp_path / "observed.csv", said.append)] == [
        one.scan for one in first
    ]
    asked = [one for one in more if one.mode == "robust"]
    assert [one.region for one in asked] == list(REGIONS) * len({one.scan for one in more})
    assert len(more) == 2 * len(asked)
    assert max(one.agreement for one in asked) > 0
    assert all(np.isnan(one.agreement) == (one.mode == "fast") for one in more)
    assert 0 < max(one.confidence for one in more) <= 1
    assert max(one.dice for one in more) > 0


def test_a_calibrated_set_loads_and_scores_by_its_rule(tiny):
    opinion, alone = fit(observed(12), REGIONS, 0.5), fit_alone(observed(12, mode="fast"), REGIONS, 0.5)
    made = write_calibration(tiny, opinion, alone)
    assert (made.quality.second_opinion, made.quality.alone) == (opinion, alone)
    assert max(asking(made).quality.second_opinion.agreement) == 0
    assert made.quality.grid == (32, 32, 32)
    assert "Second opinion (S)" in Segmenter(made, mode="robust", quality=True).stage_names
    assert not list(tiny.glob(".*"))


def test_a_table_of_other_networks_maps_or_kinds_is_refused(tiny, tmp_path):
    made, table = ModelSet.load(tiny), tmp_path / "observed.csv"
    claim(table, made, ["15"], KINDS)
    claim(table, made, ["15"], KINDS)
    rules = dataclasses.replace(made.postprocessing, segmenter_share=0.5)
    with pytest.raises(OptionsError, match="other networks or rules"):
        claim(table, dataclasses.replace(made, postprocessing=rules), ["15"], KINDS)
    with pytest.raises(OptionsError, match="another folder"):
        claim(table, made, ["16"], KINDS)
    with pytest.raises(OptionsError, match="kinds of scans"):
        claim(table, made, ["15"], {**KINDS, "fast": KINDS["degraded"]})
    other = write_tiny_set(tmp_path / "other")
    (other / "quality.h5").write_bytes((tiny / "quality.h5").read_bytes() + b"0")
    with pytest.raises(OptionsError, match="another folder"):
        claim(table, ModelSet.load(other), ["15"], KINDS)


def test_what_cannot_be_calibrated_is_said_before_any_scan_is_made(tiny, tmp_path, capsys):
    command = ["calibrate", "--labels", str(tmp_path), "--out", str(tmp_path / "o"), "--models"]
    assert main([*command, str(tiny), "--scans", "4"]) == 2
    assert "10 or more" in capsys.readouterr().err
    assert main([*command, str(tiny), "--caution", "1"]) == 2
    assert "--caution is 1" in capsys.readouterr().err
    assert main([*command, str(tiny), "--accept", "0"]) == 2
    assert "--accept is 0" in capsys.readouterr().err
    check_writable(ModelSet.load(tiny))
    with pytest.raises(ModelError, match="calibrate a copy"):
        check_writable(dataclasses.replace(ModelSet.load(tiny), folder=tmp_path))
    assert not (tmp_path / "o").exists()


def test_a_set_without_s_is_refused_and_left_alone(tmp_path):
    folder = write_tiny_set(tmp_path / "lean", roles=("tissue", "denoiser", "structure", "quality"))
    before = (folder / "model_set.json").read_text()
    with pytest.raises(ModelError, match="single segmentation network"):
        asking(ModelSet.load(folder))
    assert main(["calibrate", "--models", str(folder), "--labels", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert (folder / "model_set.json").read_text() == before
    assert json.loads(before)["name"] == "lean"


def test_a_kind_of_its_own_has_anatomies_that_trainings_do_not_show():
    generator = Generator([phantom()], generator_config({**KINDS["changed"], "shape": SHAPE}))
    drawn = [draw(generator.config, generator.maps[0], [1, number]) for number in range(60)]
    factors = np.array([one.hippocampi for one in drawn])
    assert factors.min() < 0.45 < 1.1 < factors.max()
    assert np.all(np.any(factors != 1.0, axis=1))
    for kind in ("fast", "degraded"):
        assert generator_config(KINDS[kind]).anatomy.hippocampi_volume[0] == 0.45
    plain = generator_config({"preset": "fast"})
    assert dataclasses.replace(generator_config(KINDS["changed"]), anatomy=plain.anatomy) == plain
