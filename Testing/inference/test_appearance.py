"""What a voxel's own intensity says about its label, where posteriors come from a coarser grid."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.commands.models import describe
from SynthSegPlusLib.contract import ModelError, SegmentOptions
from SynthSegPlusLib.inference import ModelSet, Segmenter, _appearance, _parcellate, _to_output
from SynthSegPlusLib.inference._appearance import Appearance, appearance_classes, fit_appearance, strength_in
from SynthSegPlusLib.inference._memory import needed_memory
from SynthSegPlusLib.inference.quality import RegionConfidence
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import Inputs
from SynthSegPlusLib.volume import Volume, conform
from Testing.inference.test_engine import mirrored, swapped
from Testing.inference.tiny import scan, write_tiny_set

TABLE = structures("2.0")
WHITE, CORTEX, FLUID = TABLE.channel(2), TABLE.channel(3), TABLE.channel(24)
SIDE = 32


def folded() -> np.ndarray:
    """Channels (int [32, 32, 32]) of a ball whose surface is folded: white matter, cortex, fluid, nothing."""
    x, y, z = np.indices((SIDE,) * 3) - (SIDE - 1) / 2
    radius = np.sqrt(x**2 + y**2 + z**2) + 1.2 * np.sin(x) * np.sin(y) * np.sin(z)
    return np.select([radius < 8, radius < 11, radius < 13], [WHITE, CORTEX, FLUID], 0)


def blurred(channels: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """Posteriors (float32 [..., C]) that know where structures lie, but not their borders."""
    posteriors = np.zeros((*channels.shape, len(TABLE)), np.float32)
    for channel in np.unique(channels):
        posteriors[..., channel] = ndimage.gaussian_filter((channels == channel).astype(np.float32), sigma)
    return posteriors / posteriors.sum(-1, keepdims=True)


def painted(channels: np.ndarray, intensities: dict[int, float], noise: float = 0.03, seed: int = 0) -> np.ndarray:
    values = np.zeros(TABLE.values.shape)
    for channel, intensity in intensities.items():
        values[channel] = intensity
    return (values[channels] + np.random.default_rng(seed).normal(0, noise, channels.shape)).astype(np.float32)


CONTRASTS = [
    {WHITE: 0.9, CORTEX: 0.6, FLUID: 0.2}, {WHITE: 0.4, CORTEX: 0.6, FLUID: 1.0, 0: 0.05},
    {WHITE: 300.0, CORTEX: 260.0, FLUID: 100.0, 0: 10.0},
]  # fmt: skip


def right(posteriors: np.ndarray, channels: np.ndarray) -> float:
    """Share of the ball's voxels that get the right label."""
    ball = channels > 0
    return float((posteriors.argmax(-1) == channels)[ball].mean())


def applied(image, posteriors, strength=1.0):
    found = fit_appearance(image[None], posteriors, TABLE, strength, 1.0)
    return found, found.update(posteriors, image, found.bias)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_borders_follow_the_scan_whatever_its_contrast(contrast):
    channels = folded()
    image = painted(channels, contrast, noise=0.03 * max(contrast.values()))
    before = blurred(channels)
    _, after = applied(image, before)
    assert right(before, channels) < 0.9
    assert right(after, channels) > 0.95
    assert np.allclose(after.sum(-1), 1, atol=1e-5)


def test_what_looks_alike_is_left_to_the_networks():
    channels = folded()
    before = blurred(channels)
    inside = before[..., 0] < 0.05  # away from the dark outside, whose border can be seen
    moved = []
    for contrast in (dict.fromkeys((WHITE, CORTEX, FLUID), 0.5), CONTRASTS[0]):
        _, after = applied(painted(channels, contrast, noise=0.05), before)
        moved.append(np.abs(after - before)[inside].sum(-1).mean() / 2)  # what changed hands
    assert moved[0] < 0.05 < 0.2 < moved[1]


def test_a_scan_in_other_units_gives_the_same():
    channels = folded()
    before, image = blurred(channels), painted(channels, CONTRASTS[0])
    _, one = applied(image, before)
    _, two = applied(1000 * image - 300, before)
    assert np.abs(one - two).mean() < 1e-3


def test_a_bias_field_is_found_and_labels_hardly_suffer():
    channels = folded()
    before, image = blurred(channels), painted(channels, CONTRASTS[0], noise=0.02)
    ramp = np.linspace(-0.1, 0.1, SIDE, dtype=np.float32)[:, None, None]
    found, after = applied(image + ramp, before)
    inside = (channels == WHITE) | (channels == CORTEX)
    assert np.corrcoef(found.bias[inside], np.broadcast_to(ramp, image.shape)[inside])[0, 1] > 0.8
    assert right(after, channels) > right(before, channels) + 0.02
    assert right(after, channels) > right(applied(image, before)[1], channels) - 0.02


def mixed_at_its_border(noise=0.02):
    """(channels, posteriors, scan) of a small dark ventricle in white matter: most of its voxels hold some of both.

    The posteriors draw it a voxel too wide.
    """
    x, y, z = np.indices((SIDE,) * 3) - (SIDE - 1) / 2
    radius, ventricle = np.sqrt(x**2 + y**2 + z**2), TABLE.channel(4)
    channels = np.select([radius < 4, radius < 13], [ventricle, WHITE], 0)
    image = ndimage.gaussian_filter(painted(channels, {WHITE: 0.9, ventricle: 0.2}, 0.0), 0.9)
    image += np.random.default_rng(0).normal(0, noise, image.shape)
    return channels, blurred(np.select([radius < 5, radius < 13], [ventricle, WHITE], 0)), image.astype(np.float32)


def test_voxels_that_hold_some_of_both_are_shared_evenly(monkeypatch):
    channels, before, image = mixed_at_its_border()
    ventricle = TABLE.channel(4)
    true, size = int((channels == ventricle).sum()), {}
    for alike in (0.0, _appearance.ALIKE):
        monkeypatch.setattr(_appearance, "ALIKE", alike)
        size[alike] = int((applied(image, before)[1].argmax(-1) == ventricle).sum())
    found, as_wide_as_they_look = size[_appearance.ALIKE], size[0.0]
    assert abs(found - true) < 0.5 * abs(as_wide_as_they_look - true)
    assert abs(found / true - 1) < 0.15


def test_structures_look_like_their_insides(monkeypatch):
    """White matter is 0.7 brighter than the ventricle whose border voxels hold some of both."""
    channels, before, image = mixed_at_its_border()
    lost = {}
    for core in (0, _appearance.CORE):
        monkeypatch.setattr(_appearance, "CORE", core)
        found, _ = applied(image, before)
        step = (_appearance._HIGHEST - _appearance._LOWEST) / (_appearance._LEVELS - 1)
        fluid, white = (found.factors[:, channel].argmax() * step for channel in (TABLE.channel(4), WHITE))
        lost[core] = 0.7 - (white - fluid) * found.width
    assert 0 <= lost[_appearance.CORE] < 0.7 * lost[0]


def test_means_count_the_inside_by_hand():
    prior = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], np.float32)
    shares, shown = np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]], np.float32), np.array([0.0, 0.5, 1.0])
    began = np.array([0.3, 0.7])
    one = _appearance._Mixture(np.arange(2), began, np.ones(2), np.ones(2), 0.01, mixed=(1,))
    counted = shares[:, 0] * prior[:, 0] ** 2
    plain = shares.T @ shown / shares.sum(0)
    np.testing.assert_allclose(one.refit(shown, shares, prior).mean, [counted @ shown / counted.sum(), plain[1]])
    assert np.array_equal(one.refit(shown, np.zeros_like(shares), prior).mean, began)  # what is nowhere
    np.testing.assert_allclose(one.refit(shown, shares, np.zeros_like(prior)).mean, plain)  # what has no inside


def slit():
    """(channels, posteriors, scan): a ventricle, and far from it, between a hippocampus and white matter, its horn, a
    slit that the posteriors draw three times too wide, as the networks do in T1.
    """
    x, y, z = np.indices((SIDE,) * 3) - (SIDE - 1) / 2
    ventricle, horn, hippocampus = (TABLE.channel(value) for value in (4, 5, 17))
    head, across = np.sqrt(x**2 + y**2 + z**2) < 15, (np.abs(y) < 6) & (np.abs(z) < 6)

    def drawn(wide):
        here = [head & (np.abs(x + 8) < 4) & across, head & (x > 5) & (x < 5 + wide) & across,
                head & (x > 5) & (x < 11) & across, head]  # fmt: skip
        return np.select(here, [ventricle, horn, hippocampus, WHITE], 0)

    channels = drawn(1.0)
    bright = {WHITE: 0.9, hippocampus: 0.6, ventricle: 0.2, horn: 0.2}
    image = ndimage.gaussian_filter(painted(channels, bright, 0.0), 0.6)
    image += np.random.default_rng(0).normal(0, 0.02, image.shape)
    return channels, blurred(drawn(3.0), 0.9), image.astype(np.float32)


def test_a_thin_horn_looks_like_its_ventricle(monkeypatch):
    channels, before, image = slit()
    horn = TABLE.channel(5)
    true = int((channels == horn).sum())
    together = int((applied(image, before)[1].argmax(-1) == horn).sum())
    sides_only = np.unique(np.minimum(np.arange(len(TABLE)), TABLE.partners), return_inverse=True)[1]
    monkeypatch.setattr(_appearance, "appearance_classes", lambda table, apart=(): sides_only)
    apart = int((applied(image, before)[1].argmax(-1) == horn).sum())
    assert int((before.argmax(-1) == horn).sum()) > 2 * true
    assert abs(together - true) < 0.5 * abs(apart - true)
    assert 0.75 * true < together < 1.5 * true


def test_spreads_are_drawn_together_but_for_those_of_several_gaussians(monkeypatch):
    variance, total = np.array([0.04, 0.01, 0.0025, 0.09]), np.array([10.0, 10.0, 20.0, 500.0])
    mixture = _appearance._Mixture(np.arange(4), np.zeros(4), variance, np.ones(4), 0.01, mixed=(3,))
    shared = (0.04 * 10 + 0.01 * 10 + 0.0025 * 20) / 40
    halfway = np.sqrt(variance[:3] * shared)
    for alike, wanted in ((0.0, variance), (1.0, [shared, shared, shared, 0.09]), (0.5, [*halfway, 0.09])):
        monkeypatch.setattr(_appearance, "ALIKE", alike)
        np.testing.assert_allclose(mixture.more_alike(variance, total), wanted)
    assert np.array_equal(mixture.more_alike(variance, np.array([0, 0, 0, 1.0])), variance)


def test_update_is_the_rule_of_bayes():
    factors = np.ones((1251, len(TABLE)), np.float32)
    factors[1000:, WHITE] = 3.0
    rule = Appearance(factors, np.zeros((1, 1, 1), np.float32), low=100.0, width=50.0)
    posteriors = np.zeros((3, len(TABLE)), np.float32)
    posteriors[:, WHITE], posteriors[:, CORTEX] = 0.25, 0.75
    posteriors[2] = 0
    posteriors[2, 0] = 1.0
    # Levels are steps of 0.002 from -0.75: number 1000 is 1.25, an intensity of 162.5.
    found = rule.update(posteriors, np.array([170.0, 155.0, 170.0]), np.zeros(3))
    assert found[0, WHITE] == pytest.approx(3 * 0.25 / (3 * 0.25 + 0.75))
    assert np.array_equal(found[1:], posteriors[1:])
    shifted = rule.update(posteriors, np.array([170.0, 155.0, 170.0]), np.full(3, 0.5))
    assert np.allclose(shifted, posteriors)  # what the field added does not count


def test_strength_counts_the_voxels_of_the_scan():
    assert strength_in(0.5, np.array([1.0, 1.0, 1.0])) == 0.5
    assert strength_in(0.5, np.array([1.0, 4.0, 1.0])) == 0.25
    assert strength_in(0.5, np.array([0.5, 0.5, 1.0])) == 0.5
    assert strength_in(0.5, np.array([0.5, 0.5, 4.0])) == 0.25


def test_a_scan_with_thick_slices_is_trusted_less(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(_to_output, "fit_appearance", lambda *about: asked.append(about[3]))
    models, thin = a_set(tmp_path / "set", 0.5), scan((40, 40, 40))
    thick = Volume(thin.data[:, :, ::4], thin.affine @ np.diag([1.0, 1.0, 4.0, 1.0]), "thick")
    for volume in (thin, thick):
        Segmenter(models, mode="fast", device="cpu").segment(volume)
    assert asked == [0.5, 0.25]


def test_sides_look_alike_and_structures_do_not_but_for_ventricles_and_horns():
    classes = appearance_classes(TABLE)
    assert classes[TABLE.channel(17)] == classes[TABLE.channel(53)]
    assert len(np.unique(classes)) == len(np.unique(np.minimum(np.arange(len(TABLE)), TABLE.partners))) - 1
    assert classes[TABLE.channel(17)] != classes[TABLE.channel(18)]


def test_ventricles_and_their_horns_hold_one_fluid():
    for table in (TABLE, structures("1.0")):
        classes = appearance_classes(table)
        assert len({classes[table.channel(value)] for value in (4, 43, 5, 44)}) == 1
        assert (classes == classes[table.channel(4)]).sum() == 4
        assert sorted(set(classes)) == list(range(classes.max() + 1))


# Sides that look different ---------------------------------------------------------------------------------------


def two_sided() -> np.ndarray:
    """`folded`, whose left half (x from the middle on) has the labels of the left side."""
    channels = folded()
    channels[: SIDE // 2] = TABLE.partners[channels[: SIDE // 2]]
    return channels


RIGHT_WHITE, RIGHT_CORTEX = TABLE.partners[[WHITE, CORTEX]]
ONE_SIDED = {WHITE: 0.9, CORTEX: 0.6, FLUID: 0.2, RIGHT_WHITE: 0.55, RIGHT_CORTEX: 0.95}


def test_sides_that_look_different_are_read_apart(monkeypatch):
    channels = two_sided()
    before, image = blurred(channels), painted(channels, ONE_SIDED)
    _, apart = applied(image, before)
    monkeypatch.setattr(_appearance, "APART", np.inf)
    _, together = applied(image, before)
    assert right(apart, channels) > 0.95
    assert right(together, channels) < right(apart, channels) - 0.02


def asked_of_sides(image, channels, voxel_mm=1.0, field=True):
    """Channels of structures that are taken to look different on their sides, with or without the bias field."""
    told = blurred(channels, 0.7)
    found = fit_appearance(image[None], told, TABLE, 1.0, voxel_mm)
    samples = _appearance._Samples(image[None], told, found.low, found.width, voxel_mm)
    return sorted(_appearance._sides_apart(samples, found.bias if field else 0 * found.bias, TABLE))


def test_only_what_differs_clearly_is_read_apart():
    channels = two_sided()
    pair = [CORTEX, RIGHT_CORTEX]
    for bright, wanted in ((0.62, []), (0.75, pair)):
        image = painted(channels, {**ONE_SIDED, RIGHT_WHITE: 0.9, RIGHT_CORTEX: bright}, 0.04)
        assert asked_of_sides(image, channels) == sorted(wanted)


def test_sides_that_a_bias_field_makes_brighter_stay_together():
    channels = two_sided()
    alike = {WHITE: 0.9, CORTEX: 0.6, FLUID: 0.2, RIGHT_WHITE: 0.9, RIGHT_CORTEX: 0.6}
    image = painted(channels, alike, 0.03) + np.linspace(-0.2, 0.2, SIDE, dtype=np.float32)[:, None, None]
    assert asked_of_sides(image, channels, voxel_mm=4.0) == []
    assert WHITE in asked_of_sides(image, channels, voxel_mm=4.0, field=False)


def test_a_side_of_which_hardly_anything_is_seen_is_not_compared():
    channels = two_sided()
    few = np.argwhere(channels == RIGHT_WHITE)[:8]
    channels[channels == RIGHT_WHITE] = RIGHT_CORTEX
    channels[tuple(few.T)] = RIGHT_WHITE
    assert WHITE not in asked_of_sides(painted(channels, ONE_SIDED), channels)


@pytest.mark.parametrize(("roughness", "asked"), [(0.1, False), (0.9, True)])
def test_sides_are_compared_in_thin_slices_only(tmp_path, monkeypatch, roughness, asked):
    told = []
    monkeypatch.setattr(_to_output, "relative_roughness", lambda image: roughness)
    monkeypatch.setattr(_to_output, "fit_appearance", lambda *about: told.append(about[-1]))
    run(a_set(tmp_path / "set", 0.5))
    assert told == [asked]
    channels = two_sided()
    found = [fit_appearance(painted(channels, ONE_SIDED)[None], blurred(channels), TABLE, 1.0, 1.0, compare)
             for compare in (False, True)]  # fmt: skip
    assert np.array_equal(found[0].factors[:, WHITE], found[0].factors[:, RIGHT_WHITE])
    assert not np.array_equal(found[1].factors[:, WHITE], found[1].factors[:, RIGHT_WHITE])


def test_what_is_read_apart_mirrors_with_the_scan():
    channels = two_sided()
    before, image = blurred(channels), painted(channels, ONE_SIDED)
    _, one = applied(image, before)
    _, two = applied(image[::-1], before[::-1][..., TABLE.partners])
    assert np.array_equal(one.argmax(-1), TABLE.partners[two[::-1].argmax(-1)])
    assert np.abs(one - two[::-1][..., TABLE.partners]).max() < 0.01


def test_a_horn_goes_with_the_ventricle_of_its_side():
    ventricles, horns = TABLE.channels((4, 43)), TABLE.channels((5, 44))
    classes = appearance_classes(TABLE, apart=ventricles)
    assert classes[ventricles[0]] != classes[ventricles[1]]
    assert np.array_equal(classes[horns], classes[ventricles])
    assert len(np.unique(classes)) == len(np.unique(appearance_classes(TABLE))) + 1
    assert np.array_equal(appearance_classes(TABLE, apart=horns), appearance_classes(TABLE))


def test_where_nothing_can_be_seen_nothing_is_fitted():
    channels = folded()
    before = blurred(channels)
    assert fit_appearance(np.full((1, *channels.shape), 7.0, np.float32), before, TABLE, 0.5, 1.0) is None
    nothing = np.zeros_like(before)
    nothing[..., 0] = 1
    assert fit_appearance(painted(channels, CONTRASTS[0])[None], nothing, TABLE, 0.5, 1.0) is None


@pytest.mark.parametrize("value", [1e4, -32768.0, 1e30])
def test_a_broken_voxel_does_not_decide_what_the_rest_looks_like(value):
    channels = folded()
    before, image = blurred(channels), painted(channels, CONTRASTS[0])
    image[SIDE // 2, SIDE // 2, SIDE // 2] = value
    assert right(applied(image, before)[1], channels) > 0.95


def test_labels_without_csf_have_an_appearance_too():
    table = structures("1.0")
    assert 24 not in table
    channels = np.select([folded() == WHITE, folded() == CORTEX], [table.channel(2), table.channel(3)], 0)
    values = np.zeros(len(table))
    values[[table.channel(2), table.channel(3)]] = 0.9, 0.6
    image = (values[channels] + np.random.default_rng(0).normal(0, 0.03, channels.shape)).astype(np.float32)
    before = blurred(channels)[..., : len(table)]
    found = fit_appearance(image[None], before, table, 1.0, 1.0)
    assert right(found.update(before, image, found.bias), channels) > right(before, channels) + 0.05


def test_ct_is_read_as_the_networks_read_it(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(_to_output, "fit_appearance", lambda *about: asked.append(about[0]))
    models, ct = a_set(tmp_path / "set", 0.5), scan((40, 40, 40))
    ct = dataclasses.replace(ct, data=(ct.data * 2000 - 500).astype(np.float32))
    Segmenter(models, mode="fast", device="cpu", ct=True).segment(ct)
    assert asked[0].min() == 0
    assert asked[0].max() == 80


def test_padding_that_has_no_posteriors_stays_without():
    channels = folded()
    before, image = blurred(channels), painted(channels, CONTRASTS[0])
    before[:3] = 0
    found, after = applied(image, before)
    assert np.isfinite(found.factors).all()
    assert not after[:3].any()
    assert right(after[3:], channels[3:]) > 0.95


def test_the_samples_of_a_patch_are_the_nearest_voxels_and_mirror_with_the_scan():
    volume = Volume(np.random.default_rng(1).random((40, 36, 38)).astype(np.float32), np.eye(4), "one")
    conformed = conform(volume, resolution_mm=2.0, multiple=8, minimum=0)
    x, y, z = np.indices(conformed.output_shape).astype(np.float32)
    samples = conformed.sampled_from_output(x)
    assert samples.shape == (2, *conformed.image.shape)
    to_output = np.linalg.inv(conformed.output_affine) @ conformed.affine
    box = conformed.inner
    wanted = to_output[0, 0] * np.arange(conformed.image.shape[0]) + to_output[0, 3]
    assert np.allclose(samples.mean(0)[box][:, 0, 0], wanted[box[0]])
    assert np.abs(conformed.sampled_from_output(y)[0][box][0, :, 0] - (2 * np.arange(len(wanted[box[1]])) + 0.5)
                  ).max() <= 0.5  # fmt: skip
    flipped = conform(Volume(volume.data[::-1], np.eye(4), "two"), resolution_mm=2.0, multiple=8, minimum=0)
    one, two = (each.sampled_from_output(each.scan_on_output()).mean(0) for each in (conformed, flipped))
    assert np.allclose(one[box], two[box][::-1])


# The engine ----------------------------------------------------------------------------------------------------


def a_set(folder, strength, resolution=2.0):
    rules = {"foreground_threshold": 0.0, "posterior_threshold": 0.0, "segmenter_sigma": 0, "appearance": strength}
    return ModelSet.load(write_tiny_set(folder, postprocessing=rules, working_resolution_mm=resolution))


def run(models, mode="fast", **options):
    return Segmenter(models, mode=mode, device="cpu", posteriors=True, **options).segment(scan())


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


# The part of the output grid that is looked at ----------------------------------------------------------------
