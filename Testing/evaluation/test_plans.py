"""Which scans the accuracy benchmark makes, in which order, and that they are what their plan says."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from SynthSegPlusLib.synthesis import Generator, make_label_map
from SynthSegPlusLib.synthesis.label_maps import label_space
from Testing.benchmarks.accuracy import synthetic
from Testing.benchmarks.accuracy.plans import (
    CONTRASTS,
    PLANS,
    SPACINGS,
    SUBSETS,
    TEST_MAPS,
    balanced,
    contrast_plan,
    degraded_plan,
    degraded_settings,
    quality_plan,
    synthetic_plan,
)
from Testing.synthesis.phantoms import head

SMALL = (48, 56, 48)


def spread(levels, known):
    """Largest minus smallest number of times that a level occurs."""
    counts = Counter(levels)
    return max(counts[one] for one in known) - min(counts[one] for one in known)


@pytest.fixture(scope="module")
def toy():
    return make_label_map(head(SMALL))


@pytest.fixture
def small(monkeypatch):
    """Scans of a few voxels."""
    monkeypatch.setattr(synthetic, "SHAPE", SMALL)
    settings = degraded_settings()
    settings["generator"]["shape"] = list(SMALL)
    monkeypatch.setattr(synthetic, "degraded_settings", lambda: settings)


def draw_of(planned, toy):
    return synthetic.drawn_for(planned, Generator([toy], synthetic.config_of(planned), noise="numpy"))


@pytest.mark.parametrize("count", range(1, SUBSETS["synthetic"] + 1))
def test_every_beginning_of_the_subset_is_balanced_over_maps_contrasts_and_spacings(count):
    chosen = synthetic_plan()[:count]
    assert spread((one.map_id for one in chosen), TEST_MAPS) <= 1
    assert spread((one.contrast for one in chosen), CONTRASTS) <= 1
    assert spread((one.spacing for one in chosen), (1, 3, 5, 7)) <= 1


def test_the_subset_has_six_scans_of_each_map_and_spacing_and_four_of_each_contrast():
    chosen = synthetic_plan()[: SUBSETS["synthetic"]]
    assert set(Counter(one.map_id for one in chosen).values()) == {6}
    assert set(Counter(one.spacing for one in chosen).values()) == {6}
    assert set(Counter(one.contrast for one in chosen).values()) == {4}
    assert set(Counter(one.axis for one in chosen).values()) == {6}


def test_the_whole_plan_has_every_combination_once():
    found = {(one.map_id, one.contrast, one.spacing, one.axis) for one in synthetic_plan()}
    assert len(found) == len(synthetic_plan()) == len(TEST_MAPS) * len(CONTRASTS) * len(SPACINGS) == 240


def test_balanced_order_alternates_before_it_repeats():
    cells = [(a, b) for a in "xy" for b in "12"]
    order = [cells[number] for number in balanced(cells)]
    assert order == [("x", "1"), ("y", "2"), ("x", "2"), ("y", "1")]


def test_every_name_and_every_seed_of_a_plan_is_its_own():
    for plan in PLANS.values():
        assert len({one.name for one in plan()}) == len({one.seed for one in plan()}) == len(plan())
    seeds = [one.seed for part, plan in PLANS.items() if part != "quality" for one in plan()]
    assert len(set(seeds)) == len(seeds)


def test_a_series_is_one_anatomy_in_every_contrast():
    plan, six = contrast_plan(), len(CONTRASTS)
    assert SUBSETS["contrast"] == six
    for series in (plan[start : start + six] for start in range(0, len(plan), six)):
        assert [one.contrast for one in series] == list(CONTRASTS)
        assert len({(one.map_id, one.shape_seed, one.fluid_alike) for one in series}) == 1
    assert set(Counter(one.map_id for one in plan).values()) == {2 * six}


def test_all_fluid_of_the_later_series_is_nearly_alike_and_older_scans_are_as_they_were(toy, small):
    """Lateral ventricles and horns, in a T1 of either kind."""
    space = label_space()
    gap = {}
    for planned in (contrast_plan()[0], contrast_plan()[-len(CONTRASTS)]):
        assert planned.contrast == "T1"
        means = draw_of(planned, toy).means
        gap[planned.fluid_alike] = abs(means[space.position(4)] - means[space.position(5)])
    assert sorted(gap) == [0.0, 0.95]
    assert gap[0.95] < 10 < gap[0.0]
    assert {one.fluid_alike for one in synthetic_plan()} == {0.0}
    assert degraded_settings()["generator"]["intensity"]["fluid_alike"] == 0.0


def test_scores_are_judged_on_the_degraded_scans():
    pair = [plan()[3] for plan in (degraded_plan, quality_plan)]
    assert [one.part for one in pair] == ["degraded", "quality"]
    assert dataclasses.replace(pair[1], part="degraded") == pair[0]
    made = [synthetic.config_of(one) for one in pair]
    assert made[0] == made[1]


def test_a_hundred_and_more_degraded_scans_take_the_test_maps_in_turn():
    planned = degraded_plan()
    assert len(planned) >= SUBSETS["degraded"] >= 100
    assert [one.map_id for one in planned[:8]] == [*TEST_MAPS, *TEST_MAPS]


def test_a_series_has_the_same_labels_and_other_intensities(toy, small):
    first, second = (draw_of(planned, toy) for planned in contrast_plan()[:2])
    assert np.array_equal(first.affine, second.affine)
    assert np.array_equal(first.elastic, second.elastic)
    assert (first.ventricles_mm, first.cortex_mm, first.strip_skull) == (
        second.ventricles_mm, second.cortex_mm, second.strip_skull)  # fmt: skip
    assert (first.contrast, second.contrast) == ("T1", "T2")
    assert not np.array_equal(first.means, second.means)
    assert first.noise_seeds != second.noise_seeds


def test_scans_have_the_spacing_and_the_contrast_of_their_plan(toy, small):
    for planned in synthetic_plan()[:8]:
        drawn = draw_of(planned, toy)
        assert drawn.contrast == planned.contrast
        expected = [1.0, 1.0, 1.0]
        if planned.axis is not None:
            expected[planned.axis] = planned.spacing
        assert list(drawn.spacing) == expected


def test_anatomies_of_the_synthetic_scans_differ_in_size(toy, small):
    sizes = [np.linalg.det(draw_of(planned, toy).affine[:3, :3]) for planned in synthetic_plan()[:24]]
    assert len(set(sizes)) == 24
    assert 0.05 < np.std(sizes) / np.mean(sizes) < 0.25


def test_degraded_scans_are_thick_noisy_and_of_low_contrast(toy, small):
    settings = degraded_settings()
    low, high = settings["degradation"]["spacing_mm"]
    for planned in degraded_plan()[:12]:
        drawn = draw_of(planned, toy)
        thick = sorted(drawn.spacing)
        assert thick[:2] == [1.0, 1.0]
        assert low <= thick[2] <= high
        assert 0.03 <= drawn.noise_std <= 0.12
        assert drawn.bias is not None


def test_lowered_contrast_keeps_the_middle_and_the_air(toy, small):
    planned = degraded_plan()[0]
    generator = Generator([toy], synthetic.config_of(planned), noise="numpy")
    before = synthetic.draw(generator.config, toy, list(planned.seed)).means
    after = synthetic.degraded(synthetic.draw(generator.config, toy, list(planned.seed)), planned).means
    assert after[0] == before[0]
    assert after[1:].mean() == pytest.approx(before[1:].mean())
    share = after[1:].std() / before[1:].std()
    assert 0.4 <= share <= 0.8


def test_a_planned_scan_is_made_alike_every_time(toy, small):
    planned = synthetic_plan()[1]
    makers = [synthetic.TestScans.__new__(synthetic.TestScans) for _ in range(2)]
    for maker in makers:
        maker._map = lambda map_id: toy
    one, two = (maker.make(planned) for maker in makers)
    assert np.array_equal(one.image.data, two.image.data)
    assert np.array_equal(one.truth, two.truth)
    assert one.about == {"map": "18", "contrast": "T2", "spacing": "3", "orientation": "sagittal"}
    assert one.image.data.shape == SMALL
    assert {3, 42, 2, 41} <= set(np.unique(one.truth))


def test_degraded_scans_are_compared_without_mirror_images_in_either_mode(tmp_path):
    from SynthSegPlusLib.inference import ModelSet
    from Testing.benchmarks.accuracy.__main__ import without_flips
    from Testing.inference.tiny import write_tiny_set

    models = ModelSet.load(write_tiny_set(tmp_path, postprocessing={"flip_cascade": True, "structure_sigma": 0.3}))
    rules = without_flips(models).postprocessing
    assert (rules.flip_cascade, rules.structure_sigma) == (False, 0.3)
    assert models.postprocessing.flip_cascade
