"""The engine with sets that let the scan's own intensities have a say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.commands.models import describe
from SynthSegPlusLib.contract import ModelError, SegmentOptions
from SynthSegPlusLib.inference import ModelSet, Segmenter, _parcellate, _to_output
from SynthSegPlusLib.inference._memory import needed_memory
from SynthSegPlusLib.inference.quality import RegionConfidence
from SynthSegPlusLib.networks import Inputs
from SynthSegPlusLib.volume import Volume, conform
from Testing.inference.appearances import TABLE, a_set, run
from Testing.inference.test_engine import mirrored, swapped
from Testing.inference.tiny import scan, write_tiny_set


def test_a_scan_with_thick_slices_is_trusted_less(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(_to_output, "fit_appearance", lambda *about: asked.append(about[3]))
    models, thin = a_set(tmp_path / "set", 0.5), scan((40, 40, 40))
    thick = Volume(thin.data[:, :, ::4], thin.affine @ np.diag([1.0, 1.0, 6.25, 1.0]), "thick")
    for volume in (thin, thick):
        Segmenter(models, mode="fast", device="cpu").segment(volume)
    assert asked == [0.5, 0.2]


def test_ct_is_read_as_the_networks_read_it(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(_to_output, "fit_appearance", lambda *about: asked.append(about[0]))
    models, ct = a_set(tmp_path / "set", 0.5), scan((40, 40, 40))
    ct = dataclasses.replace(ct, data=(ct.data * 2000 - 500).astype(np.float32))
    Segmenter(models, mode="fast", device="cpu", ct=True).segment(ct)
    assert asked[0].min() == 0
    assert asked[0].max() == 80


@pytest.mark.parametrize("mode", ["fast", "default", "robust", "s-d"])
def test_a_set_that_asks_for_it_gets_it_in_every_mode(tmp_path, mode):
    plain, seen = run(a_set(tmp_path / "plain", 0.0), mode), run(a_set(tmp_path / "seen", 0.5), mode)
    assert np.abs(plain.posteriors.data - seen.posteriors.data).max() > 0.01
    assert np.allclose(seen.posteriors.data.sum(-1), 1, atol=1e-4)
    assert seen.record["model_set"]["appearance"] == 0.5
    assert "appearance" not in plain.record["model_set"]
    assert sum(seen.volumes.volumes().values()) == pytest.approx(seen.icv_mm3)


def test_what_r_and_s3_see_is_the_networks_own(tmp_path, monkeypatch):
    masks = []

    def inputs(**given):
        masks.append(given["groups"])
        return Inputs(**given)

    monkeypatch.setattr(_parcellate, "Inputs", inputs)
    plain, seen = (
        run(a_set(tmp_path / str(strength), strength), "robust", quality=True, parcellation=True)
        for strength in (0.0, 0.5)
    )
    assert np.array_equal(masks[0], masks[1])
    assert masks[0].any()
    assert seen.record["quality_parts"]["regressor"] == plain.record["quality_parts"]["regressor"]
    assert (seen.labels.data != plain.labels.data).any()


def test_parcels_follow_the_cortex(tmp_path):
    seen = run(a_set(tmp_path / "set", 0.5), "robust", parcellation=True)
    cortex, parcels = np.isin(seen.labels.data, (3, 42)), seen.parcellation.data >= 1000
    assert cortex.any()
    assert np.array_equal(cortex, parcels | np.isin(seen.parcellation.data, (3, 42)))


def test_confidence_is_that_of_the_posteriors_that_are_reported(tmp_path):
    rule = {"intercept": [0.0] * 10, "regressor": [0.0] * 10, "confidence": [1.0] * 10}
    rules = {"foreground_threshold": 0.0, "posterior_threshold": 0.0, "segmenter_sigma": 0}
    expected, said = [], []
    for strength in (0.0, 0.5):
        quality = {"grid": [32, 32, 32], "ignored_labels": [24], "alone": rule}
        folder = write_tiny_set(tmp_path / str(strength), postprocessing={**rules, "appearance": strength},
                                quality=quality, working_resolution_mm=2.0)  # fmt: skip
        models = ModelSet.load(folder)
        found = run(models, quality=True)
        count = RegionConfidence(TABLE, models.qc_regions)
        count.add(found.posteriors.data, found.posteriors.data.argmax(-1).astype(np.uint8))
        expected.append(count.scores())
        said.append(list(found.record["quality_parts"]["confidence"].values()))
    assert np.allclose(said[1], expected[1], atol=1e-3)
    assert np.abs(np.subtract(said[0], expected[0])).max() > 0.01  # of the working grid, where nothing is refined


def test_a_mirrored_scan_gives_the_mirrored_result(tmp_path):
    models = a_set(tmp_path / "set", 0.5)
    one, two = (
        Segmenter(models, mode="default", device="cpu").segment(volume).labels.data
        for volume in (scan((40, 36, 44)), mirrored(scan((40, 36, 44))))
    )
    assert len(np.unique(one)) > 3
    assert (swapped(two) != one[::-1]).mean() < 1e-3


def test_a_strength_is_another_request_is_told_and_counted(tmp_path):
    options, conformed = SegmentOptions(mode="fast"), conform(scan((64, 64, 64)), resolution_mm=2.0)
    models = [a_set(tmp_path / str(strength), strength) for strength in (0.0, 0.5)]
    requests = [Choice(dataclasses.replace(one, name="one"), options).request()["model_set"] for one in models]
    assert requests[1]["appearance"] == 0.5
    assert requests[0] != requests[1]
    needs = [needed_memory(one, one.needed_roles(options), options, conformed) for one in models]
    assert needs[1] > needs[0]
    fine = conform(Volume(np.zeros((128, 128, 128), np.int16), np.diag([0.5, 0.5, 0.5, 1])), resolution_mm=2.0)
    extra = [needed_memory(models[1], models[1].needed_roles(options), options, one)
             - needed_memory(models[0], models[0].needed_roles(options), options, one) for one in (conformed, fine)]
    assert extra[1] - extra[0] == pytest.approx(8 * 128**3, rel=0.1)  # what the scan's own finer grid takes
    assert "own intensities" in describe(models[1])
    assert "own intensities" not in describe(models[0])


@pytest.mark.parametrize("strength", [-0.1, 1.5, "half"])
def test_a_strength_that_is_none_is_refused(tmp_path, strength):
    with pytest.raises(ModelError, match="appearance"):
        a_set(tmp_path / "wrong", strength)


@pytest.mark.parametrize("resolution", [1.0, 0.8])
def test_a_set_that_is_not_coarse_has_nothing_to_gain(tmp_path, resolution):
    with pytest.raises(ModelError, match=f"works at {resolution:g} mm"):
        a_set(tmp_path / "fine", 0.5, resolution=resolution)
