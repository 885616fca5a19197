"""A set may ask for the structures of robust mode to be the mean of S's posteriors and S2's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.commands._estimate import Grids, operations, work_of
from SynthSegPlusLib.contract import ModelError, SegmentOptions
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference._cascade import Cascade
from SynthSegPlusLib.inference._memory import MAPS_BYTES, needed_memory
from SynthSegPlusLib.inference._rules import Calibration
from SynthSegPlusLib.volume import Volume, conform
from Testing.inference.test_engine import mirrored, swapped
from Testing.inference.test_flipped_cascade import make_lopsided
from Testing.inference.tiny import NETWORKS, scan, write_tiny_set

RULE = {"intercept": [0.1] * 10, "regressor": [0.5] * 10, "agreement": [0.2] * 10,
        "confidence": [0.1] * 10}  # fmt: skip
STAGE = "Segmentation (S)"


def a_set(folder, share, roles=tuple(NETWORKS), rule=None, **changes):
    rules = {"foreground_threshold": 0.0, "posterior_threshold": 0.0, "segmenter_sigma": 0, "segmenter_share": share}
    quality = {"grid": [32, 32, 32], "ignored_labels": [24], **({"second_opinion": rule} if rule else {})}
    return ModelSet.load(write_tiny_set(folder, roles, postprocessing=rules, quality=quality, **changes))


def posteriors(models, mode="robust", **options):
    found = Segmenter(models, mode=mode, device="cpu", posteriors=True, **options).segment(scan())
    return found.posteriors.data, found


@pytest.mark.parametrize("resolution", [1.0, 2.0])
def test_the_mean_is_weighted_by_the_share(tmp_path, resolution):
    working = {"working_resolution_mm": resolution}
    alone, _ = posteriors(a_set(tmp_path / "alone", 0.0, **working))
    single, _ = posteriors(a_set(tmp_path / "single", 0.0, **working), mode="fast")
    mean, result = posteriors(a_set(tmp_path / "mean", 0.3, **working))
    assert np.abs(alone - single).max() > 0.1
    # Only voxels that none of the three leaves to the background as a whole can be compared.
    kept = (alone[..., 0] < 1) & (single[..., 0] < 1) & (mean[..., 0] < 1)
    assert kept.mean() > 0.2
    assert np.allclose(mean[kept], 0.7 * alone[kept] + 0.3 * single[kept], atol=1e-5)
    assert STAGE in result.record["timings"]
    assert "segmenter" in result.record["model_set"]["roles"]


def test_a_share_of_one_is_s_and_the_other_modes_are_untouched(tmp_path):
    plain, whole = a_set(tmp_path / "plain", 0.0), a_set(tmp_path / "whole", 1.0)
    assert np.allclose(posteriors(whole)[0], posteriors(plain, mode="fast")[0], atol=1e-6)
    for mode in ("fast", "default", "s1-s2", "s1-s2-d", "s-d"):
        one, two = posteriors(plain, mode=mode), posteriors(whole, mode=mode)
        assert np.array_equal(one[0], two[0]), mode
        assert one[1].volumes == two[1].volumes


def test_quality_is_told_by_what_either_says_alone(tmp_path):
    models = a_set(tmp_path / "mean", 0.5, rule=RULE)
    segmenter = Segmenter(models, mode="robust", device="cpu", quality=True)
    assert "Second opinion (S)" not in segmenter.stage_names
    assert segmenter.stage_names.index(STAGE) < segmenter.stage_names.index("Structures (S2)")
    plain = Segmenter(a_set(tmp_path / "plain", 0.0, rule=RULE), mode="robust", device="cpu", quality=True)
    averaged, alone = (one.segment(scan()).record["quality_parts"] for one in (segmenter, plain))
    assert averaged["agreement"] == alone["agreement"]
    assert averaged["confidence"] != alone["confidence"]
    assert 0 < max(alone["agreement"].values()) < 1
    assert averaged["regressor"] != alone["regressor"]  # R looks at the mean


def test_scores_are_made_of_every_part_in_their_stages(tmp_path):
    said = []
    models = a_set(tmp_path / "mean", 0.5, rule=RULE)
    segmenter = Segmenter(models, mode="robust", device="cpu", quality=True)
    found = segmenter.segment(scan(), progress=lambda *values: said.append(values))
    parts = found.record["quality_parts"]
    assert set(parts) == {"regressor", "confidence", "agreement"}
    for region in found.quality.regions:
        part = {name: values[region.name] for name, values in parts.items()}
        expected = 0.1 + 0.5 * part["regressor"] + 0.1 * part["confidence"] + 0.2 * part["agreement"]
        assert region.score == pytest.approx(np.clip(expected, 0, 1))
    assert tuple(dict.fromkeys(stage for stage, _, _ in said)) == segmenter.stage_names
    assert found.record["model_set"]["segmenter_share"] == 0.5
    # Where S is no part of the structures, it is asked for its opinion apart.
    other = Segmenter(models, mode="s1-s2", device="cpu", quality=True)
    assert "Second opinion (S)" in other.stage_names
    record = other.segment(scan()).record
    assert set(record["quality_parts"]) == {"regressor", "confidence", "agreement"}
    assert "segmenter_share" not in record["model_set"]


@pytest.mark.parametrize("flips", [True, False])
def test_s_is_averaged_with_its_mirror_image_as_the_cascade_is(tmp_path, flips):
    models = a_set(tmp_path / "lopsided", 1.0)
    make_lopsided(models.folder, ["segmenter"])
    rules = dataclasses.replace(models.postprocessing, flip_cascade=flips)
    models = dataclasses.replace(ModelSet.load(models.folder), postprocessing=rules)
    labels, mirror = (
        Segmenter(models, mode="robust", device="cpu").segment(volume).labels.data
        for volume in (scan(), mirrored(scan()))
    )
    assert len(np.unique(labels)) > 3
    different = (swapped(mirror) != labels[::-1]).mean()
    assert different < 1e-3 if flips else different > 0.01


@pytest.mark.parametrize("resolution", [1.0, 2.0])
def test_confidence_begins_anew_with_a_network_that_does(tmp_path, monkeypatch, resolution):
    models = a_set(tmp_path / "mean", 0.0, rule=RULE, working_resolution_mm=resolution)
    expected = Segmenter(models, mode="robust", device="cpu", quality=True).segment(scan()).record["quality_parts"]
    original, calls = Cascade._collect, []

    def twice(cascade, slabs, sure=None):
        """As after a device that failed midway: some slabs were counted already."""
        slabs = list(slabs)
        calls.append(len(slabs))
        original(cascade, iter(slabs))
        return original(cascade, iter(slabs))

    monkeypatch.setattr(Cascade, "_collect", twice)
    found = Segmenter(models, mode="robust", device="cpu", quality=True).segment(scan()).record["quality_parts"]
    assert calls
    assert found == expected


@pytest.mark.parametrize(("resolution", "appearance"), [(1.0, 0.0), (2.0, 0.0), (2.0, 0.5)])
@pytest.mark.parametrize("mode", ["s-d", "s1-s2-d"])
def test_confidence_is_the_networks_own_not_d_s(tmp_path, mode, resolution, appearance):
    models = a_set(tmp_path / "set", 0.0, rule=RULE, working_resolution_mm=resolution)
    rules = dataclasses.replace(models.postprocessing, appearance=appearance)
    models = dataclasses.replace(models, postprocessing=rules)
    alone = dataclasses.replace(
        models, quality=dataclasses.replace(models.quality, alone=Calibration((0.1,) * 10, (0.5,) * 10, (0.1,) * 10))
    )
    before = {"s-d": "fast", "s1-s2-d": "s1-s2"}[mode]
    corrected, plain = (
        Segmenter(alone, mode=one, device="cpu", quality=True).segment(scan()).record["quality_parts"]["confidence"]
        for one in (mode, before)
    )
    # Labels that D moved have less of the network's posterior; with D's own certainty all would be near 1.
    assert sum(corrected.values()) < sum(plain.values())


def test_roles_run_in_their_order_and_without_s_the_cascade_is_alone(tmp_path):
    models = a_set(tmp_path / "mean", 0.5, rule=RULE)
    options = SegmentOptions(mode="robust", quality=True, parcellation=True)
    assert models.needed_roles(options) == (
        "tissue", "denoiser", "segmenter", "structure", "parcellation", "quality"
    )  # fmt: skip
    assert "segmenter" not in models.needed_roles(SegmentOptions(mode="s1-s2"))
    lacking = a_set(tmp_path / "lacking", 0.5, roles=tuple(role for role in NETWORKS if role != "segmenter"))
    assert not lacking.averages_segmenter("robust")
    assert np.array_equal(posteriors(lacking)[0], posteriors(a_set(tmp_path / "plain", 0.0))[0])


def test_another_share_is_another_request_and_mirror_images_are_counted_in_the_forecast(tmp_path):
    choices, work = [], []
    for share, flips in ((0.0, False), (0.3, False), (0.5, False), (0.5, True)):
        models = a_set(tmp_path / f"{share}{flips}", share)
        rules = dataclasses.replace(models.postprocessing, flip_cascade=flips)
        models = dataclasses.replace(models, name="one", postprocessing=rules)
        choices.append(Choice(models, SegmentOptions(mode="robust")))
        work.append(work_of(Grids((64, 64, 64), (64, 64, 64)), choices[-1]))
    requests = [choice.request() for choice in choices]
    assert requests[0] != requests[1] != requests[2]
    assert requests[1]["model_set"]["segmenter_share"] == 0.3
    assert "segmenter_share" not in Choice(choices[1].model_set, SegmentOptions(mode="fast")).request()["model_set"]
    single = operations(NETWORKS["segmenter"], (64, 64, 64))
    assert work[1] - work[0] == pytest.approx(single)
    denoiser = operations(NETWORKS["denoiser"], (64, 64, 64))
    assert work[3] - denoiser == pytest.approx(2 * (work[2] - denoiser))


def test_memory_counts_both_posteriors(tmp_path):
    options, conformed = SegmentOptions(mode="robust"), conform(scan((64, 64, 64)))
    needs = []
    for share in (0.0, 0.5):
        models = a_set(tmp_path / str(share), share)
        needs.append(needed_memory(models, models.needed_roles(options), options, conformed))
    assert needs[1] > needs[0] + 0.5 * conformed.image.size * 33 * 4


def test_memory_counts_what_the_network_said_before_d(tmp_path):
    models, conformed = a_set(tmp_path / "set", 0.0), conform(scan((64, 64, 64)))
    plain, scored = (SegmentOptions(mode="s-d", quality=quality) for quality in (False, True))
    needs = [needed_memory(models, models.needed_roles(plain), options, conformed) for options in (plain, scored)]
    assert needs[1] - needs[0] == conformed.image.size * 33 * 4


@pytest.mark.parametrize(("grid", "voxels"), [("1mm", 200**3), ("native", 400**3)])
def test_memory_counts_posteriors_that_are_asked_for_beside_those_that_are_kept(tmp_path, grid, voxels):
    models, native = a_set(tmp_path / "set", 0.0), Volume(np.broadcast_to(np.float32(0), (400,) * 3), np.eye(4))
    conformed = dataclasses.replace(conform(scan((64,) * 3), crop=64), volume=native, output_shape=(200,) * 3)
    options = SegmentOptions(mode="fast", posteriors=True, grid=grid)
    kept, maps = 64**3 * 33 * 4, MAPS_BYTES * (64**3 + 200**3)
    assert needed_memory(models, models.needed_roles(options), options, conformed) == maps + kept + voxels * 33 * 4


@pytest.mark.parametrize("share", [-0.1, 1.5, "half"])
def test_a_share_that_is_none_is_refused(tmp_path, share):
    with pytest.raises(ModelError, match="segmenter_share"):
        a_set(tmp_path / "wrong", share)
