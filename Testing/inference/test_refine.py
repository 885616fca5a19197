"""The refiner: what it is shown, what becomes of its factors, and sets that have one."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.commands.models import describe
from SynthSegPlusLib.contract import Cancelled, ModelError, SegmentOptions
from SynthSegPlusLib.inference import ModelSet, Segmenter, _to_output
from SynthSegPlusLib.inference._horns import Border
from SynthSegPlusLib.inference._memory import needed_memory
from SynthSegPlusLib.inference._pool import NetworkPool
from SynthSegPlusLib.inference._refine import Closeup, Shares, shown_to_refiner
from SynthSegPlusLib.inference._rules import refiner_channels
from SynthSegPlusLib.inference.quality import RegionConfidence
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import RegressorSpec, UNetSpec, load_network, load_regressor, write_weights
from SynthSegPlusLib.volume import Volume, conform
from Testing.inference.tiny import scan, write_tiny_set

TABLE = structures("2.0")
KINDS = TABLE.kinds
TAKES, ANSWERS = refiner_channels(TABLE)
SPEC = UNetSpec("refine", TAKES, ANSWERS, features=2, levels=2)
LEFT, RIGHT = TABLE.channel(17), TABLE.channel(53)
RULES = {"foreground_threshold": 0.0, "posterior_threshold": 0.0, "segmenter_sigma": 0, "appearance": 0.5}


def a_refiner(path, favoured=None, logit=0.0):
    """A network whose factors are the same everywhere, those of ``favoured`` exp(``logit``) times as large."""
    weights = {
        layer.name: {
            name: np.ones(shape, np.float32) if name in ("gamma", "moving_variance") else np.zeros(shape, np.float32)
            for name, shape in layer.shapes.items()
        }
        for layer in SPEC.layers()
    }
    if favoured is not None:
        weights["refine_likelihood"]["bias"][favoured] = logit
    write_weights(weights, path)


def a_set(folder, strength, favoured=None, logit=0.0, network=SPEC, **changes):
    rules = {**RULES, "refinement": strength}
    write_tiny_set(folder, postprocessing=rules, working_resolution_mm=2.0, **changes)
    description = json.loads((folder / "model_set.json").read_text())
    description["roles"]["refiner"] = {"file": "refiner.h5", "network": network.to_dict()}
    (folder / "model_set.json").write_text(json.dumps(description))
    a_refiner(folder / "refiner.h5", favoured, logit)
    return ModelSet.load(folder)


def run(models, mode="fast", **options):
    return Segmenter(models, mode=mode, device="cpu", posteriors=True, **options).segment(scan())


def on_the_cpu(self, role, device, chunk_voxels):
    """What a pool for a GPU gives out here."""
    found = self.model_set.require(role)
    load = load_regressor if isinstance(found.network, RegressorSpec) else load_network
    return load(found.network, found.path, "float32", "cpu")


def random_posteriors(shape, seed=0):
    values = np.random.default_rng(seed).random((*shape, len(TABLE))).astype(np.float32) ** 4
    return values / values.sum(-1, keepdims=True)


class Answering:
    """In the place of a network: factors that depend on the label's kind alone; notes what it was shown."""

    def __init__(self, factors):
        self.factors = np.asarray(factors, np.float32)

    def slabs(self, inputs, progress, cancelled):
        self.shown = inputs.slab(0, inputs.shape[0])
        for start in range(0, inputs.shape[0], 3):
            stop = min(start + 3, inputs.shape[0])
            if cancelled():
                raise Cancelled()
            progress(stop / inputs.shape[0])
            yield slice(start, stop), np.broadcast_to(self.factors, (stop - start, *inputs.shape[1:], ANSWERS))


def test_both_sides_of_a_structure_are_of_one_kind():
    assert ANSWERS == KINDS.max() + 1 == 19
    assert TAKES == 39
    assert KINDS[LEFT] == KINDS[RIGHT]
    assert (KINDS == KINDS[TABLE.partners]).all()
    assert len(set(KINDS[TABLE.channels((0, 24, 16, 17, 18))])) == 5


def test_what_is_shown_is_intensity_and_kinds_after_and_before():
    before, after = random_posteriors((2, 3), 1), random_posteriors((2, 3), 2)
    seen = np.array([[0.5, -7.0, 9.0], [1.0, 0.0, 2.0]])
    shown = shown_to_refiner(seen, before, after, TABLE)
    assert shown.shape == (2, 3, TAKES)
    assert np.array_equal(shown[..., 0], [[0.5, -1.0, 2.0], [1.0, 0.0, 2.0]])
    kind = KINDS[LEFT]
    assert np.allclose(shown[..., 1 + kind], after[..., LEFT] + after[..., RIGHT])
    assert np.allclose(shown[..., 1 + ANSWERS + kind], before[..., LEFT] + before[..., RIGHT])
    assert np.allclose(shown[..., 1:].sum(-1), 2)


def closeup_of(shape, strength=1.0, multiple=4):
    before, after = random_posteriors(shape, 1), random_posteriors(shape, 2)
    after[0, 0, 0] = np.eye(len(TABLE))[0]  # surely background
    seen = np.random.default_rng(3).random(shape).astype(np.float32)
    closeup = Closeup(shape, TABLE, multiple, strength)
    for plane in range(shape[0]):
        closeup.add(plane, seen[plane], before[plane], after[plane])
    return closeup, seen, before, after


def test_a_closeup_shows_the_network_the_whole_box_and_zeros_beyond():
    closeup, seen, before, after = closeup_of((5, 6, 7))
    net = Answering(np.ones(ANSWERS))
    found = np.stack(list(closeup.refined(net, lambda done: None, lambda: False)))
    assert net.shown.shape == (8, 8, 8, TAKES)
    assert np.allclose(net.shown[:5, :6, :7], shown_to_refiner(seen, before, after, TABLE), atol=2e-5)
    assert not net.shown[5:].any()
    assert not net.shown[:, 6:].any()
    assert not net.shown[..., 7:, :].any()
    assert np.allclose(found, after, atol=5e-5)  # equal factors change nothing


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_factors_multiply_the_posteriors_of_both_sides(strength):
    closeup, _, _, after = closeup_of((4, 4, 4), strength)
    factors = np.ones(ANSWERS)
    factors[KINDS[LEFT]] = 9.0
    found = np.stack(list(closeup.refined(Answering(factors), lambda done: None, lambda: False)))
    expected = after * np.where(KINDS == KINDS[LEFT], 9.0**strength, 1.0)
    expected /= expected.sum(-1, keepdims=True)
    assert np.allclose(found, expected, atol=1e-4)
    assert found[1:, ..., LEFT].mean() > 1.5 * after[1:, ..., LEFT].mean()


def test_what_is_surely_background_stays():
    closeup, *_ = closeup_of((4, 4, 4))
    factors = np.ones(ANSWERS)
    factors[0] = 0.0
    found = next(iter(closeup.refined(Answering(factors), lambda done: None, lambda: False)))
    assert found[0, 0, 0] == 1
    assert found[0, 1, 0] == 0


def test_it_tells_how_far_it_is_and_can_be_stopped():
    closeup, *_ = closeup_of((4, 4, 4))
    told = []
    list(closeup.refined(Answering(np.ones(ANSWERS)), told.append, lambda: False))
    assert told == [0.75, 1.0]
    with pytest.raises(Cancelled):
        list(closeup.refined(Answering(np.ones(ANSWERS)), told.append, lambda: True))


def test_shares_beyond_the_grid_are_zero():
    shares = Shares(image=np.ones((2, 2, 2), np.float32), shares=np.full((2, 2, 2, 3), 65535, np.uint16))
    assert shares.channels == 4
    slab = shares.slab(-1, 3)
    assert slab.dtype == np.float32
    assert np.array_equal(slab[1:3], np.ones((2, 2, 2, 4)))
    assert not slab[[0, 3]].any()


@pytest.mark.parametrize("mode", ["fast", "default", "robust", "s1-s2", "s-d", "s1-s2-d"])
def test_a_refiner_that_favours_a_structure_changes_the_result_of_every_mode(tmp_path, mode):
    kind = KINDS[TABLE.channel(3)]
    plain, none, more = (
        run(models, mode) for models in (
            a_set(tmp_path / "plain", 0.0), a_set(tmp_path / "none", 1.0), a_set(tmp_path / "more", 1.0, kind, 3.0)
        )
    )  # fmt: skip
    cortex = TABLE.channels((3, 42))
    changed = np.abs(plain.posteriors.data - none.posteriors.data) > 2e-4
    assert changed.mean() < 5e-3  # rounding may put a voxel on the other side of a threshold
    assert more.posteriors.data[..., cortex].sum() > 1.05 * plain.posteriors.data[..., cortex].sum()
    assert np.allclose(more.posteriors.data.sum(-1), 1, atol=1e-4)
    assert sum(more.volumes.volumes().values()) == pytest.approx(more.icv_mm3)


def test_a_scan_with_thick_slices_is_refined_less(tmp_path, monkeypatch):
    asked = []

    class Noting(Closeup):
        def __init__(self, *about):
            asked.append(about[3])
            super().__init__(*about)

    monkeypatch.setattr(_to_output, "Closeup", Noting)
    models, thin = a_set(tmp_path / "set", 0.5), scan((40, 40, 40))
    thick = Volume(thin.data[:, :, ::4], thin.affine @ np.diag([1.0, 1.0, 4.0, 1.0]), "thick")
    for volume in (thin, thick):
        Segmenter(models, mode="fast", device="cpu").segment(volume)
    assert asked == [0.5, 0.25]


def test_confidence_is_that_of_the_refined_posteriors(tmp_path):
    rule = {"intercept": [0.0] * 10, "regressor": [0.0] * 10, "confidence": [1.0] * 10}
    quality = {"grid": [32, 32, 32], "ignored_labels": [24], "alone": rule}
    models = a_set(tmp_path / "set", 1.0, KINDS[TABLE.channel(3)], 3.0, quality=quality)
    found = run(models, quality=True)
    count = RegionConfidence(TABLE, models.qc_regions)
    count.add(found.posteriors.data, found.posteriors.data.argmax(-1).astype(np.uint8))
    said = list(found.record["quality_parts"]["confidence"].values())
    assert np.allclose(said, count.scores(), atol=1e-3)


@pytest.mark.parametrize("mode", ["s-d", "s1-s2-d"])
def test_confidence_is_not_raised_by_what_d_forced(tmp_path, mode):
    rule = {"intercept": [0.0] * 10, "regressor": [0.0] * 10, "confidence": [1.0] * 10}
    quality = {"grid": [32, 32, 32], "ignored_labels": [24], "alone": rule}
    models = a_set(tmp_path / "set", 1.0, KINDS[TABLE.channel(3)], 3.0, quality=quality)
    found = run(models, mode, quality=True)
    count = RegionConfidence(TABLE, models.qc_regions)
    count.add(found.posteriors.data, found.posteriors.data.argmax(-1).astype(np.uint8))
    said = np.array(list(found.record["quality_parts"]["confidence"].values()))
    assert (said < count.scores() + 0.02).all()
    assert said.mean() < count.scores().mean() - 0.05


def test_a_box_is_cut_into_chunks_without_a_seam(tmp_path):
    closeup, *_ = closeup_of((13, 10, 9))
    rng = np.random.default_rng(5)
    weights = {
        layer.name: {name: rng.normal(0, 0.3, shape).astype(np.float32) ** (2 if "variance" in name else 1)
                     for name, shape in layer.shapes.items()} for layer in SPEC.layers()
    }  # fmt: skip
    write_weights(weights, tmp_path / "refiner.h5")
    whole, parts = (
        np.stack(list(closeup.refined(
            load_network(SPEC, tmp_path / "refiner.h5", device="cpu", chunk_voxels=voxels),
            lambda done: None, lambda: False,
        ))) for voxels in (10**6, 12 * 12 * 4)
    )  # fmt: skip
    assert np.allclose(whole, parts, atol=1e-5)
    assert whole.std(axis=(0, 1, 2)).max() > 1e-3


def test_a_shortage_in_the_refiner_is_told_and_its_second_attempt_counts_anew(tmp_path, monkeypatch):
    rule = {"intercept": [0.0] * 10, "regressor": [0.0] * 10, "confidence": [1.0] * 10}
    quality = {"grid": [32, 32, 32], "ignored_labels": [24], "alone": rule}
    models = a_set(tmp_path / "set", 1.0, KINDS[TABLE.channel(3)], 3.0, quality=quality)
    plain = run(models, quality=True)
    refined, failed = Closeup.refined, []

    def short(self, *about):
        for number, plane in enumerate(refined(self, *about)):
            if number == 5 and not failed:
                failed.append(True)
                raise MemoryError("CUDA out of memory")
            yield plane

    monkeypatch.setattr(Closeup, "refined", short)
    monkeypatch.setattr(NetworkPool, "_network", on_the_cpu)
    segmenter = Segmenter(models, mode="fast", quality=True, posteriors=True, keep_networks=True)
    segmenter._networks = lambda chosen: NetworkPool(models, "float32", "gpu", True)
    again = segmenter.segment(scan())
    assert failed
    assert np.allclose(again.posteriors.data, plain.posteriors.data, atol=1e-6)
    assert again.record["quality_parts"]["confidence"] == plain.record["quality_parts"]["confidence"]


@pytest.mark.parametrize("seen", [False, True])
def test_a_border_that_is_unseen_is_told_of_what_was_refined_too(tmp_path, monkeypatch, seen):
    monkeypatch.setattr(_to_output, "return_fluid", lambda *about: Border(False, seen))
    codes = [finding.code for finding in run(a_set(tmp_path / "set", 1.0)).findings]
    assert ("hippocampus-border-unseen" in codes) == (not seen)


def test_it_can_be_cancelled_while_it_refines(tmp_path):
    stopped = []

    def report(stage, part, whole):
        if stage == "Postprocessing" and part > 0.55:
            stopped.append(part)

    with pytest.raises(Cancelled):
        Segmenter(a_set(tmp_path / "set", 1.0), mode="fast", device="cpu").segment(
            scan(), progress=report, cancelled=lambda: bool(stopped)
        )
    assert 0.55 < stopped[0] < 0.9


def test_a_crop_keeps_the_box_small(tmp_path, monkeypatch):
    shapes = []

    class Noting(Closeup):
        def __init__(self, shape, *about):
            shapes.append(shape)
            super().__init__(shape, *about)

    monkeypatch.setattr(_to_output, "Closeup", Noting)
    models = a_set(tmp_path / "set", 1.0)
    Segmenter(models, mode="fast", device="cpu", crop=(32, 32, 32)).segment(scan((80, 84, 88)))
    assert all(side <= 36 for side in shapes[0])


def test_labels_of_another_version_are_not_refined(tmp_path):
    models = a_set(tmp_path / "set", 1.0)
    assert "refiner" not in models.needed_roles(SegmentOptions(mode="fast", label_version="1.0"))


def test_progress_rises_to_its_end(tmp_path):
    told = []
    Segmenter(a_set(tmp_path / "set", 1.0), mode="fast", device="cpu").segment(
        scan(), progress=lambda stage, part, whole: told.append(whole)
    )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_most_of_the_stage_is_the_refiners(tmp_path):
    told = []
    Segmenter(a_set(tmp_path / "set", 1.0), mode="fast", device="cpu").segment(
        scan(), progress=lambda stage, part, whole: told.append(part) if stage == "Postprocessing" else None
    )
    assert min(part for part in told if part) < 0.2  # the scan was looked at
    assert any(0.3 < part < 0.95 for part in told)


def test_a_refiner_is_another_request_is_told_recorded_and_counted(tmp_path):
    options, conformed = SegmentOptions(mode="fast"), conform(scan((64, 64, 64)), resolution_mm=2.0)
    models = [a_set(tmp_path / str(strength), strength) for strength in (0.0, 0.5)]
    assert [one.needed_roles(options) for one in models] == [("segmenter",), ("segmenter", "refiner")]
    requests = [Choice(dataclasses.replace(one, name="one"), options).request()["model_set"] for one in models]
    assert requests[1]["refinement"] == 0.5
    assert "refiner" in requests[1]["files"]
    assert "refinement" not in requests[0]
    needs = [needed_memory(one, one.needed_roles(options), options, conformed) for one in models]
    assert needs[1] - needs[0] > 64**3 * 2 * (TAKES + len(TABLE))
    assert "refined   at 1 mm" in describe(models[1])
    assert "refined" not in describe(models[0])
    record = run(models[1]).record["model_set"]
    assert record["refinement"] == 0.5
    assert set(record["roles"]) == {"segmenter", "refiner"}


def test_a_set_without_the_refiner_that_its_rules_ask_for_says_so(tmp_path):
    models = a_set(tmp_path / "set", 0.5)
    models.require("refiner").path.unlink()
    lacking = ModelSet.load(models.folder)
    assert "refiner" in lacking.lacking
    assert lacking.modes == ()
    with pytest.raises(ModelError, match="has no refiner at 1 mm: the file"):
        Segmenter(lacking, mode="fast")
    with pytest.raises(ModelError, match="has no refiner at 1 mm: the file"):
        _ = lacking.best_mode
    assert "refiner" not in ModelSet.load(write_tiny_set(tmp_path / "other")).lacking


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"appearance": 0.0}, "refinement is 0.5 without appearance"), ({"refinement": 1.5}, "refinement"),
     ({}, "roles describe no refiner")],
)
def test_a_rule_that_cannot_be_followed_is_refused(tmp_path, changes, words):
    rules = {**RULES, "refinement": 0.5, **changes}
    folder = write_tiny_set(tmp_path / "set", postprocessing=rules, working_resolution_mm=2.0)
    with pytest.raises(ModelError, match=words):
        ModelSet.load(folder)


def test_a_refiner_of_other_channels_is_refused(tmp_path):
    with pytest.raises(ModelError, match="refiner"):
        a_set(tmp_path / "set", 0.5, network=UNetSpec("refine", 67, 33, features=2, levels=2))
