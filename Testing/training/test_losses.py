"""Losses against the reference and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.training.losses import (
    combined,
    cross_entropy,
    dice_loss,
    label_dice,
    mean_dice,
    score_error,
    score_loss,
    segmentation_loss,
    soft_dice,
    weighted_l2,
)
from Testing.synthesis.phantoms import numpy, tensor

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, (1, 5, 6, 4))
LOGITS = RNG.normal(0, 2, (1, 5, 6, 4, 4)).astype(np.float32)  # the fourth label does not occur
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
PROBABILITY = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


def value(found: object) -> float:
    return float(numpy(found))


def test_losses_equal_the_reference(shared):
    golden = np.load(shared / "reference" / "golden" / "ops.npz")
    truth, probability, logits = (tensor(golden[name]) for name in ("loss_gt", "loss_prob", "loss_logits"))
    assert value(dice_loss(truth, probability)) == pytest.approx(float(golden["dice_loss"]), rel=1e-5)
    assert value(weighted_l2(truth, logits)) == pytest.approx(float(golden["wl2_loss_target5"]), rel=1e-5)
    assert value(cross_entropy(truth, probability)) == pytest.approx(float(golden["cross_entropy"]), rel=1e-5)


def test_two_voxels_by_hand():
    truth = np.array([[1, 0], [0, 1]], np.float32).reshape(1, 2, 1, 1, 2)
    guess = np.array([[0.8, 0.2], [0.4, 0.6]], np.float32).reshape(1, 2, 1, 1, 2)
    # label 0: 2*0.8 / (1 + 0.64 + 0.16); label 1: 2*0.6 / (1 + 0.04 + 0.36)
    assert numpy(soft_dice(tensor(truth), tensor(guess)))[0] == pytest.approx([1.6 / 1.8, 1.2 / 1.4], rel=1e-5)
    assert value(cross_entropy(tensor(truth), tensor(guess))) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)


def test_a_perfect_prediction_costs_nothing():
    sure = tensor(np.where(ONE_HOT > 0, 40.0, -40.0))
    assert value(combined(tensor(LABELS, "int32"), sure, 0.3)) == pytest.approx(0.0, abs=1e-4)
    assert value(mean_dice(tensor(LABELS, "int32"), sure)) == pytest.approx(1.0, abs=1e-4)
    assert value(weighted_l2(tensor(ONE_HOT), tensor(10 * ONE_HOT - 5))) == 0.0


def test_dice_gathered_by_label_equals_dice_of_one_hot_arrays():
    gathered, size, hit = label_dice(tensor(LABELS, "int32"), tensor(PROBABILITY), 1e-7)
    assert numpy(gathered) == pytest.approx(numpy(soft_dice(tensor(ONE_HOT), tensor(PROBABILITY)))[0], rel=1e-5)
    assert numpy(size).tolist() == np.bincount(LABELS.ravel(), minlength=4).tolist()
    assert numpy(hit) == pytest.approx((ONE_HOT * PROBABILITY).sum(-1).ravel(), rel=1e-5)
    loss = segmentation_loss("dice")(tensor(LABELS, "int32"), tensor(LOGITS))
    assert value(loss) == pytest.approx(value(dice_loss(tensor(ONE_HOT), tensor(PROBABILITY))), rel=1e-5)


def test_an_absent_label_weighs_in_the_published_dice_but_not_in_the_combined_loss():
    labels, logits = tensor(LABELS, "int32"), LOGITS.copy()
    quiet = logits.copy()
    quiet[..., 3] = -50.0
    louder = combined(labels, tensor(logits), 0.0), segmentation_loss("dice")(labels, tensor(logits))
    quieter = combined(labels, tensor(quiet), 0.0), segmentation_loss("dice")(labels, tensor(quiet))
    assert value(louder[1]) > 0.9 / 4
    assert value(quieter[0]) < value(louder[0])
    present = numpy(label_dice(labels, tensor(PROBABILITY), 1e-3)[0])[:3]
    assert value(louder[0]) == pytest.approx(1 - present.mean(), rel=1e-5)


def test_the_score_loss_sums_squares_over_regions():
    truth, predicted = tensor([[0.5, 1.0, 0.0]]), tensor([[0.4, 0.8, 0.2]])
    assert value(score_loss(truth, predicted)) == pytest.approx(0.01 + 0.04 + 0.04, rel=1e-5)
    assert value(score_error(truth, predicted)) == pytest.approx(0.5 / 3, rel=1e-5)


def test_the_cross_entropy_over_labelled_voxels_ignores_what_is_said_of_the_background():
    import keras

    labels = np.zeros((1, 2, 2, 2), np.int32)
    labels[0, 0, 0] = [1, 2]
    logits = np.zeros((1, 2, 2, 2, 3), np.float32)
    logits[0, 0, 0] = np.log([[0.1, 0.8, 0.1], [0.25, 0.5, 0.25]])
    number = lambda name, values: float(keras.ops.convert_to_numpy(segmentation_loss(name, 1.0)(labels, values)))  # noqa: E731
    without = float(keras.ops.convert_to_numpy(segmentation_loss("labelled", 0.0)(labels, logits)))
    assert number("labelled", logits) - without == pytest.approx(-(np.log(0.8) + np.log(0.25)) / 2, rel=1e-5)
    assert number("combined", logits) - without == pytest.approx(
        -(np.log(0.8) + np.log(0.25) + 6 * np.log(1 / 3)) / 8, rel=1e-5
    )


@pytest.mark.parametrize("name", ["combined", "labelled", "dice"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_for_torch_and_its_gradient_are_those_of_the_formula(name, precision):
    import torch

    from SynthSegPlusLib.training import _torch_loss

    rng = np.random.default_rng(3)
    labels = torch.from_numpy(rng.integers(0, 7, (1, 30, 30, 20)))  # two blocks and a rest; the last label is absent
    values = torch.from_numpy(rng.normal(0, 3, (1, 30, 30, 20, 8)).astype(np.float32)).to(getattr(torch, precision))
    logits = values.clone().requires_grad_()
    loss = _torch_loss.segmentation_loss(labels, logits, name, 0.3)
    (1.7 * loss).backward()
    step, places = 1e-2, [(0, 3, 4, 5, 6), (0, 29, 29, 19, 0), (0, 14, 2, 7, 7)]

    def formula(values):
        labels_, logits_ = labels.numpy()[0].ravel(), values.double().numpy().reshape(-1, 8)
        p = np.exp(logits_ - logits_.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        g = np.eye(8)[labels_]
        epsilon = 1e-7 if name == "dice" else 1e-3
        dice = (2 * (g * p).sum(0) + epsilon) / (g.sum(0) + (p**2).sum(0) + epsilon)
        if name == "dice":
            return 1 - dice.mean()
        entropy = -np.log(np.maximum((g * p).sum(-1), 1e-7))
        return 1 - dice[g.any(0)].mean() + 0.3 * entropy[labels_ > 0 if name == "labelled" else slice(None)].mean()

    assert loss.item() == pytest.approx(formula(values), rel=1e-5)
    for place in places:
        plus, minus = values.double(), values.double()
        plus, minus = plus.clone(), minus.clone()
        plus[place] += step
        minus[place] -= step
        expected = 1.7 * (formula(plus) - formula(minus)) / (2 * step)
        tolerance = {"float32": 1e-3, "bfloat16": 2e-2}[precision]
        assert logits.grad[place].item() == pytest.approx(expected, rel=tolerance, abs=1e-9)
