"""What a voxel's own intensity says about its label, where posteriors come from a coarser grid: fit and rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from SynthSegPlusLib.inference import _appearance
from SynthSegPlusLib.inference._appearance import Appearance, appearance_classes, fit_appearance
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.volume import Volume, conform
from Testing.inference.appearances import (
    CONTRASTS,
    CORTEX,
    FLUID,
    SIDE,
    TABLE,
    WHITE,
    applied,
    blurred,
    folded,
    painted,
    right,
)


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
    monkeypatch.setattr(_appearance, "appearance_classes", lambda *about: sides_only)
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
