"""Accuracy measures in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.evaluation import (
    agreement,
    area_under_curve,
    bootstrap_interval,
    classify,
    coefficient_of_variation,
    dice,
    dice_of_labels,
    grouped,
    surface_distances,
)


def box(shape, low, high):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def test_dice_of_half_overlapping_boxes_is_one_half():
    one, two = box((10, 10, 10), (0, 0, 0), (4, 4, 4)), box((10, 10, 10), (2, 0, 0), (6, 4, 4))
    assert dice(one, two) == 0.5
    assert dice(one, one) == 1.0


def test_dice_of_two_empty_masks_is_not_a_number_and_of_one_is_zero():
    empty, full = np.zeros((3, 3, 3), bool), np.ones((3, 3, 3), bool)
    assert np.isnan(dice(empty, empty))
    assert dice(empty, full) == 0.0


def test_dice_of_labels_equals_dice_of_their_masks():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 60, (2, 12, 13, 14))
    found = dice_of_labels(one, two, (2, 17, 53, 99))
    assert found[2] == dice(one == 2, two == 2)
    assert found[53] == dice(one == 53, two == 53)
    assert np.isnan(found[99])


def test_volumes_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        dice(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))


def test_labels_without_a_group_become_background():
    assert grouped(np.array([0, 2, 3, 90]), {2: 1, 3: 2}).tolist() == [0, 1, 2, 0]


def test_boxes_shifted_by_three_voxels_are_three_apart():
    one, two = box((20, 20, 20), (2, 5, 5), (8, 9, 9)), box((20, 20, 20), (5, 5, 5), (11, 9, 9))
    found = surface_distances(one, two, (2.0, 1.0, 1.0))
    assert found.hausdorff == 6.0
    assert 0 < found.mean < found.hausdorff_95 <= found.hausdorff_99 <= found.hausdorff


def test_equal_masks_are_zero_apart_even_at_the_border_of_the_volume():
    found = surface_distances(np.ones((4, 4, 4), bool), np.ones((4, 4, 4), bool))
    assert found.hausdorff == found.mean == 0.0


def test_surface_distances_of_empty_masks():
    empty, full = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    assert np.isnan(surface_distances(empty, empty).mean)
    assert surface_distances(empty, full).hausdorff == float("inf")


def test_overlap_and_distances_agree_with_the_reference(shared):
    golden = np.load(shared / "reference" / "golden" / "ops.npz")
    labels = (0, 1, 2, 3, 7)
    found = dice_of_labels(golden["eval_a"], golden["eval_b"], labels)
    assert [np.nan_to_num(found[label]) for label in labels] == pytest.approx(
        golden["fast_dice_0_1_2_3_7"].tolist(), abs=1e-6
    )
    assert dice(golden["mask1"], golden["mask2"]) == pytest.approx(float(golden["dice_masks"]))
    # The reference drops the last slice of the common box: false edges there change its extremes, hardly its mean.
    exact = surface_distances(golden["mask1"], golden["mask2"])
    expected = golden["surface_hd100_99_95_mean"]
    assert [exact.hausdorff_95, exact.mean] == pytest.approx(expected[[2, 3]].tolist(), rel=0.15)
    assert exact.hausdorff <= expected[0]


def test_rates_by_hand():
    found = classify(np.array([1, 1, 0, 0, 1]), np.array([1, 0, 0, 0, 1]))
    assert (found.sensitivity, found.specificity, found.accuracy) == (1.0, pytest.approx(2 / 3), 0.8)
    assert np.isnan(classify(np.array([0, 1]), np.array([0, 0])).sensitivity)


def test_area_under_the_curve_counts_ordered_pairs():
    assert area_under_curve(np.array([0.1, 0.2, 0.8, 0.9]), np.array([1, 1, 0, 0])) == 1.0
    assert area_under_curve(np.array([0.1, 0.9, 0.2, 0.9]), np.array([1, 1, 0, 0])) == pytest.approx(2.5 / 4)
    assert np.isnan(area_under_curve(np.array([0.1, 0.2]), np.array([0, 0])))


def test_agreement_of_volumes_that_are_ten_percent_large():
    truth = np.array([10.0, 20.0, 30.0])
    found = agreement(1.1 * truth, truth)
    assert (found.pearson, found.bias, found.error) == pytest.approx((1.0, 0.1, 0.1))
    assert np.isnan(agreement(truth, np.full(3, 5.0)).pearson)


def test_the_bootstrap_interval_holds_the_mean_and_is_reproducible():
    values = np.random.default_rng(0).normal(3.0, 1.0, 200)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.2)
    assert bootstrap_interval(np.append(values, np.nan)) == (low, high)


def test_the_bootstrap_interval_of_equal_values_is_a_point_and_of_none_no_number():
    assert bootstrap_interval(np.full(7, 0.25)) == (0.25, 0.25)
    assert np.isnan(bootstrap_interval(np.array([np.nan]))).all()


def test_the_bootstrap_interval_of_a_coin_is_that_of_the_binomial():
    # 400 tosses, half of them heads: the mean's standard deviation is 0.5 / sqrt(400) = 0.025.
    low, high = bootstrap_interval(np.repeat([0.0, 1.0], 200))
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.005)


def test_coefficient_of_variation_by_hand():
    assert coefficient_of_variation(np.array([9.0, 10.0, 11.0])) == pytest.approx(0.1)
    assert coefficient_of_variation(np.full(4, 3.0)) == 0.0
    assert np.isnan(coefficient_of_variation(np.array([5.0])))
    assert np.isnan(coefficient_of_variation(np.array([])))
