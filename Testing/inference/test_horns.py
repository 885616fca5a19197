"""Fluid that the networks took for hippocampus goes back to where it belongs, where the scan shows it."""

import dataclasses

import numpy as np
import pytest

from SynthSegPlusLib.inference import Segmenter, _cascade, _to_output
from SynthSegPlusLib.inference._appearance import CSF
from SynthSegPlusLib.inference._expected import expected_ratio, is_wide
from SynthSegPlusLib.inference._horns import LEAST_DISTANCE, UNSEEN_DISTANCE, Border, _looks, return_fluid
from SynthSegPlusLib.labels import structures
from Testing.inference.appearances import a_set, interpolated
from Testing.inference.tiny import scan

TABLE = structures("2.0")
VOXEL = 2.0
FLUID, TISSUE, WHITE, NOISE = 0.2, 0.6, 0.9, 0.04
VENTRICLE, HORN, HIPPOCAMPUS, AMYGDALA, WHITE_MATTER, THALAMUS = 4, 5, 17, 18, 2, 10


def temporal_lobe(look, fluid=FLUID, noise=NOISE, seed=5):
    """(samples [2, X, Y, Z], posteriors, labels): a hippocampus whose outer half is fluid that looks like ``fluid``.

    ``look``: what the networks made of it, "taken for hippocampus" or "told apart".
    """
    labels = np.full((30, 24, 24), WHITE_MATTER)
    labels[2:10, 4:20, 14:22] = VENTRICLE
    labels[12:20, 8:18, 4:8], labels[12:20, 8:18, 8:12] = HIPPOCAMPUS, HORN
    labels[12:20, 2:8, 4:12] = AMYGDALA
    rng = np.random.default_rng(seed)
    mean = {WHITE_MATTER: WHITE, VENTRICLE: fluid, HORN: fluid, HIPPOCAMPUS: TISSUE, AMYGDALA: TISSUE}
    seen = np.vectorize(mean.get)(labels) + rng.normal(0, noise, (2, *labels.shape))
    told = labels.copy()
    if look == "taken for hippocampus":
        told[12:20, 8:18, 4:11] = HIPPOCAMPUS
    posteriors = np.full((*labels.shape, len(TABLE)), 1e-4, np.float32)
    for value in np.unique(told):
        posteriors[told == value, TABLE.channel(value)] = 0.96
    posteriors /= posteriors.sum(axis=-1, keepdims=True)
    return seen.astype(np.float32), posteriors, labels


def volume(posteriors, value):
    return float(posteriors[..., TABLE.channel(value)].sum())


@pytest.mark.parametrize(("fluid", "noise"), [(0.2, 0.02), (0.2, 0.12), (0.9, 0.1)])
def test_a_shrunken_hippocampus_ends_where_the_scan_shows_it(fluid, noise):
    seen, posteriors, labels = temporal_lobe("taken for hippocampus", fluid, noise)
    before = posteriors.copy()
    true, found = (labels == HIPPOCAMPUS).sum(), volume(before, HIPPOCAMPUS)
    assert found > 1.6 * true
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == Border(True, True)
    assert volume(posteriors, HIPPOCAMPUS) == pytest.approx(true, rel=0.12)
    gained = posteriors[..., TABLE.channel(HORN)] - before[..., TABLE.channel(HORN)]
    assert gained.sum() > 0.8 * (found - volume(posteriors, HIPPOCAMPUS))  # no CSF about the brain is near
    assert gained[labels != HORN].sum() < 0.1 * gained.sum()
    assert np.allclose(posteriors.sum(-1), 1, atol=1e-5)
    untouched = [channel for channel in range(len(TABLE))
                 if channel not in TABLE.channels((HIPPOCAMPUS, HORN, CSF))]  # fmt: skip
    assert np.array_equal(posteriors[..., untouched], before[..., untouched])


def test_a_horn_that_was_swallowed_whole_comes_back():
    """With no fluid found anywhere near, fluid in a hippocampus is the horn's."""
    seen, posteriors, _ = temporal_lobe("taken for hippocampus")
    told = posteriors.argmax(axis=-1)
    told[told == TABLE.channel(HORN)] = TABLE.channel(HIPPOCAMPUS)
    posteriors = np.eye(len(TABLE), dtype=np.float32)[told]
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == Border(True, True)
    assert volume(posteriors, HORN) > 10 * volume(posteriors, CSF)


def test_a_hippocampus_that_looks_like_fluid_altogether_is_left_alone():
    """In a scan whose sides differ, one hippocampus may be as dark as fluid: it must not vanish."""
    seen, posteriors, labels = temporal_lobe("told apart")
    both = np.concatenate([seen, seen], axis=2)
    width = labels.shape[1]
    both[:, :, width:][:, labels == HIPPOCAMPUS] += FLUID - TISSUE
    mirrored = np.concatenate([posteriors, posteriors[..., TABLE.partners]], axis=1)
    assert _looks(both, mirrored, TABLE).distance >= LEAST_DISTANCE
    before = mirrored.copy()
    assert return_fluid(both, mirrored, TABLE, VOXEL).seen is False
    right = TABLE.partners[TABLE.channel(HIPPOCAMPUS)]
    assert before[..., right].sum() > 0
    assert np.array_equal(mirrored[..., right], before[..., right])


@pytest.mark.parametrize("noise", [0.02, 0.12])
def test_a_hippocampus_that_was_found_keeps_its_volume(noise):
    seen, posteriors, _ = temporal_lobe("told apart", noise=noise)
    before = volume(posteriors, HIPPOCAMPUS)
    assert _looks(seen, posteriors, TABLE).distance >= LEAST_DISTANCE
    return_fluid(seen, posteriors, TABLE, VOXEL)
    assert volume(posteriors, HIPPOCAMPUS) == pytest.approx(before, rel=0.04)


def test_metal_in_a_hippocampus_does_not_hide_what_the_rest_looks_like():
    seen, posteriors, labels = temporal_lobe("taken for hippocampus")
    seen[:, 15, 12, 5] = 50.0
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == Border(True, True)
    assert volume(posteriors, HIPPOCAMPUS) == pytest.approx((labels == HIPPOCAMPUS).sum(), rel=0.12)


def test_both_sides_are_treated_alike():
    seen, posteriors, _ = temporal_lobe("taken for hippocampus")
    mirrored = np.ascontiguousarray(posteriors[..., TABLE.partners])
    for each in (posteriors, mirrored):
        assert return_fluid(seen, each, TABLE, VOXEL) == Border(True, True)
    assert np.allclose(mirrored[..., TABLE.partners], posteriors)


@pytest.mark.parametrize("share", [0.48, 0.7])
def test_a_voxel_half_of_fluid_stays_half_hippocampus(share):
    """At borders posteriors are shares, and so is what intensities tell."""
    seen, posteriors, labels = temporal_lobe("told apart", noise=0.02)
    border = np.zeros(labels.shape, bool)
    border[12:20, 8:18, 8] = True
    seen[:, border] = (FLUID + TISSUE) / 2
    posteriors[border, TABLE.channel(HIPPOCAMPUS)] = share
    posteriors[border, TABLE.channel(HORN)] = 0.96 - share
    before = posteriors.copy()
    assert _looks(seen, posteriors, TABLE).distance >= LEAST_DISTANCE
    return_fluid(seen, posteriors, TABLE, VOXEL)
    assert np.allclose(posteriors[border], before[border], atol=0.02)


def with_deep_grey(posteriors, voxels):
    """With so many voxels of a thalamus, by which ventricles are measured."""
    white = np.argwhere(posteriors.argmax(axis=-1) == TABLE.channel(WHITE_MATTER))[-voxels:]
    posteriors[tuple(white.T)] = np.eye(len(TABLE))[TABLE.channel(THALAMUS)]
    return posteriors


def test_where_the_scan_does_not_show_the_border_the_ventricles_tell_how_large_horns_are():
    fluid = TISSUE + 0.3 * LEAST_DISTANCE * 0.1
    seen, posteriors, labels = temporal_lobe("taken for hippocampus", fluid=fluid, noise=0.1)
    with_deep_grey(posteriors, 500)
    expected, found = np.exp(expected_ratio(posteriors, TABLE)), volume(posteriors, HIPPOCAMPUS)
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == Border(True, False)
    own, horn = volume(posteriors, HIPPOCAMPUS), volume(posteriors, HORN)
    assert horn / own == pytest.approx(expected, rel=0.02)
    assert (labels == HIPPOCAMPUS).sum() < own < 0.75 * found


def test_horns_that_need_not_be_wide_stay_and_the_border_is_unseen_all_the_same():
    fluid = TISSUE + 0.3 * LEAST_DISTANCE * 0.1
    seen, posteriors, _ = temporal_lobe("taken for hippocampus", fluid=fluid, noise=0.1)
    before = with_deep_grey(posteriors, 3000).copy()
    assert not is_wide(expected_ratio(posteriors, TABLE))
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == Border(False, False)
    assert np.array_equal(posteriors, before)


def test_between_unseen_and_clear_only_what_was_moved_is_told():
    """A T1 whose ventricles are uneven is not asked, and yet shows the border."""
    for deep_grey, border in ((500, Border(True, False)), (3000, Border(False, None))):
        seen, posteriors, _ = temporal_lobe("taken for hippocampus", fluid=TISSUE - 0.2, noise=0.1)
        with_deep_grey(posteriors, deep_grey)
        assert UNSEEN_DISTANCE < _looks(seen, posteriors, TABLE).distance < LEAST_DISTANCE
        assert return_fluid(seen, posteriors, TABLE, VOXEL) == border


@pytest.mark.parametrize(("deep_grey", "border"), [
    (500, Border(True, False, horns_alike=False)), (3000, Border(False, True)),
])  # fmt: skip
def test_wide_horns_that_look_like_hippocampi_are_not_measured_by_what_ventricles_look_like(deep_grey, border):
    """Their fluid is not the ventricles', so what is unlike that of the ventricles may yet be fluid."""
    seen, posteriors, labels = temporal_lobe("taken for hippocampus")
    with_deep_grey(posteriors, deep_grey)
    posteriors[14:18, 10:16, 9:11] = np.eye(len(TABLE))[TABLE.channel(HORN)]  # the networks are sure of some of it
    assert not _looks(seen, posteriors, TABLE).horns_like_tissue
    assert return_fluid(seen, posteriors.copy(), TABLE, VOXEL) == Border(True, True)
    seen[:, labels == HORN] += TISSUE - FLUID
    look = _looks(seen, posteriors, TABLE)
    assert look.horns_like_tissue
    assert look.distance > LEAST_DISTANCE
    assert is_wide(expected_ratio(posteriors, TABLE)) == (deep_grey == 500)
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == border


@pytest.mark.parametrize("missing", [VENTRICLE, AMYGDALA])
def test_without_ventricles_or_amygdalae_there_is_nothing_to_learn_from(missing):
    seen, posteriors, _ = temporal_lobe("taken for hippocampus")
    posteriors[..., 0] += posteriors[..., TABLE.channel(missing)]
    posteriors[..., TABLE.channel(missing)] = 0
    before = posteriors.copy()
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == Border(False, None)
    assert np.array_equal(posteriors, before)


def test_fluid_goes_to_what_is_nearest():
    """Beside the CSF about the brain, most of it is that."""
    seen, posteriors, _ = temporal_lobe("taken for hippocampus")
    posteriors[11:21, 7:19, 11:18] = np.eye(len(TABLE))[TABLE.channel(CSF)]
    before = posteriors.copy()
    assert return_fluid(seen, posteriors, TABLE, VOXEL) == Border(True, True)
    csf, horn = (volume(posteriors, value) - volume(before, value) for value in (CSF, HORN))
    assert csf > 5 * horn


def test_labels_without_csf_know_the_horn():
    table = structures("1.0")
    seen, posteriors, labels = temporal_lobe("taken for hippocampus")
    posteriors = np.ascontiguousarray(posteriors[..., [TABLE.channel(label.value) for label in table]])
    assert CSF not in table
    assert return_fluid(seen, posteriors, table, VOXEL) == Border(True, True)
    assert posteriors[..., table.channel(HIPPOCAMPUS)].sum() == pytest.approx((labels == HIPPOCAMPUS).sum(), rel=0.12)


@pytest.mark.parametrize(("strength", "thickness", "asked"), [(0.0, 1, 0), (0.5, 1, 1), (0.5, 3, 1), (0.5, 8, 0)])
def test_a_set_that_lets_the_scan_speak_asks_it_about_hippocampi_unless_slices_are_thick(
    tmp_path, monkeypatch, strength, thickness, asked
):
    calls, fits = [], []
    fit = _to_output.fit_appearance

    def told(samples, dense, table, voxel):
        calls.append((samples.shape, dense.shape[:3], voxel))
        return Border(True, True)

    monkeypatch.setattr(_to_output, "return_fluid", told)
    monkeypatch.setattr(_to_output, "fit_appearance", lambda *about: fits.append(1) or fit(*about))
    sharp = scan((24, 26, 48))
    noise = np.random.default_rng(1).normal(0, 20, sharp.data.shape).astype(np.float32)
    volume = interpolated(dataclasses.replace(sharp, data=sharp.data + noise), thickness)
    Segmenter(a_set(tmp_path / "set", strength), mode="fast", device="cpu", quality=False).segment(volume)
    assert len(calls) == asked
    assert len(fits) == (1 + asked if strength else 0)  # what was corrected looks otherwise
    if asked:
        ((samples, grid, voxel),) = calls
        assert samples[1:] == grid
        assert voxel == 2.0


def test_what_goes_back_is_in_the_result_and_not_in_what_r_sees(tmp_path, monkeypatch):
    def swapped(samples, dense, table, voxel):
        dense[...] = np.eye(len(table), dtype=np.float32)[table.channel(HORN)]
        return Border(True, True)

    models, seen = a_set(tmp_path / "set", 0.5), []
    run = _cascade.Cascade.run

    def running(cascade):
        found = run(cascade)
        seen.append(found.channels.copy())
        return found

    monkeypatch.setattr(_cascade.Cascade, "run", running)
    plain = Segmenter(models, mode="fast", device="cpu", quality=False).segment(scan())
    monkeypatch.setattr(_to_output, "return_fluid", swapped)
    result = Segmenter(models, mode="fast", device="cpu", quality=False).segment(scan())
    assert set(np.unique(result.labels.data)) == {HORN}
    assert len(np.unique(plain.labels.data)) > 2
    assert np.array_equal(*seen)


@pytest.mark.parametrize(("border", "fits"), [
    (Border(False, True), [True]), (Border(True, True), [True, True]), (Border(False, False), [True]),
    (Border(True, False, False), [True, False]), (Border(False, False, False), [True, False]), (Border(), [True]),
])  # fmt: skip
def test_what_is_known_of_horns_is_in_the_fit_and_in_the_findings(tmp_path, monkeypatch, border, fits):
    alike, fit = [], _to_output.fit_appearance

    def fitted(samples, dense, table, strength, voxel, compare_sides=True, horns_alike=True):
        alike.append(horns_alike)
        return fit(samples, dense, table, strength, voxel, compare_sides, horns_alike)

    monkeypatch.setattr(_to_output, "return_fluid", lambda *about: border)
    monkeypatch.setattr(_to_output, "fit_appearance", fitted)
    models = a_set(tmp_path / "set", 0.5)
    result = Segmenter(models, mode="fast", device="cpu", quality=False).segment(scan())
    assert alike == fits
    codes = [one.code for one in result.findings]
    assert ("hippocampus-border-unseen" in codes) == (border.seen is False)
    assert [one["code"] for one in result.record["findings"]] == codes
    if border.seen is False:
        assert "not measured" in result.findings[-1].message
        assert result.findings[-1].severity == "warning"
