"""Balancing brings volumes to the true ones, and changes nothing but the last biases."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.networks import read_weights
from SynthSegPlusLib.training import balance
from SynthSegPlusLib.training.balance import balance_volumes, balancing_shifts
from SynthSegPlusLib.training.config import training_config
from Testing.training.test_trainer import trainer

HEAD = "unet_likelihood"
NETWORK = {"features": 4, "levels": 2, "norm": "instance"}


def volumes(path, one, scans, seed):
    """Found over true volumes of the labels that occur in the scans that are balanced on."""
    network = balance.load_frozen(one.task.spec, path)
    pairs = [balance._voxels(network, one.task, [seed, balance._BALANCE, number + 1]) for number in range(scans)]
    found = sum(p.sum(axis=0, dtype=np.float64) for p, _ in pairs)
    true = sum(np.bincount(label, minlength=len(found)) for _, label in pairs)
    assert (true > 0).sum() > 2
    return found[true > 0] / true[true > 0]


def test_two_labels_whose_posteriors_are_constant():
    posteriors = np.tile([0.6, 0.4], (100, 1))
    shifts = balancing_shifts(posteriors, np.repeat([0, 1], [80, 20]), np.arange(2), 60)
    assert shifts[0] == 0
    assert shifts[1] == pytest.approx(np.log(0.2 / 0.8) - np.log(0.4 / 0.6), abs=0.02)


def test_an_absent_label_is_left_as_it_is_and_shifts_are_bounded():
    posteriors = np.tile([0.5, 0.3, 0.2], (1000, 1))
    shifts = balancing_shifts(posteriors, np.repeat([0, 1], [999, 1]), np.arange(3), 60)
    assert shifts[2] == 0
    assert shifts[1] == -2
    balanced = balancing_shifts(posteriors, np.repeat([0, 1, 2], [500, 300, 200]), np.arange(3), 60)
    assert balanced == pytest.approx([0, 0, 0], abs=0.01)


def test_one_round_adds_the_logarithm_of_what_is_missing_and_sides_are_alike():
    posteriors = np.tile([0.5, 0.4, 0.1], (100, 1))
    shifts = balancing_shifts(posteriors, np.repeat([0, 1, 2], [50, 5, 45]), np.array([0, 2, 1]), 1)
    assert shifts == pytest.approx([0, 0, 0])
    shifts = balancing_shifts(posteriors, np.repeat([0, 1, 2], [80, 5, 15]), np.array([0, 2, 1]), 1)
    assert shifts == pytest.approx([0, *[np.log(20 / 50) - np.log(80 / 50)] * 2])


def test_a_training_that_ends_leaves_balanced_volumes_and_other_layers_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(balance, "_LARGEST", 30.0)  # so few steps leave more to do than a training would
    monkeypatch.setattr(balance, "_ROUNDS", 100)
    said = []
    plain = trainer(tmp_path / "plain", steps=40, ema=0.0, network=NETWORK)
    plain.run()
    # The same training; on resuming, balancing may be asked for.
    one = trainer(tmp_path / "plain", steps=40, ema=0.0, network=NETWORK, balance=3, resume=True)
    one.say = said.append
    before = read_weights(tmp_path / "plain" / "unet.h5", one.task.spec.layers())
    off = volumes(tmp_path / "plain" / "unet.h5", one, 3, 1)
    one.run()
    assert "balanced on 3 scans" in said[-1]
    after = read_weights(tmp_path / "plain" / "unet.h5", one.task.spec.layers())
    found = volumes(tmp_path / "plain" / "unet.h5", one, 3, 1)
    # What is found of the label that never occurs is missing from all the others alike.
    assert found / found[0] == pytest.approx(1, abs=0.02)
    assert np.abs(off / off[0] - 1).max() > 0.05
    changed = {layer for layer, values in after.items() for name in values
               if not np.array_equal(values[name], before[layer][name])}  # fmt: skip
    assert changed == {HEAD}
    assert np.array_equal(after[HEAD]["kernel"], before[HEAD]["kernel"])


def test_a_training_that_was_stopped_before_its_end_is_not_balanced(tmp_path):
    said = []
    one = trainer(tmp_path, steps=12, balance=3)
    one.say = said.append
    one.run(6)
    assert not [words for words in said if "balanced" in words]
    one.run()
    assert "balanced" in said[-1]


def test_a_training_that_is_already_longer_than_asked_is_balanced_once(tmp_path):
    trainer(tmp_path, steps=4).run()
    said, biases = [], []
    for _ in range(2):
        one = trainer(tmp_path, steps=3, balance=2, resume=True, say=said.append)
        one.run()
        biases.append(read_weights(tmp_path / "unet.h5", one.task.spec.layers())[HEAD]["bias"])
    assert len(said) == 2
    assert all("balanced on 2 scans" in words for words in said)
    assert np.array_equal(*biases)


def test_balancing_does_not_depend_on_the_order_of_calls(tmp_path):
    one = trainer(tmp_path, steps=4)
    one.run()
    path = tmp_path / "unet.h5"
    kept = path.read_bytes()
    first = balance_volumes(path, one.task, 2, 5)
    path.write_bytes(kept)
    assert np.array_equal(balance_volumes(path, one.task, 2, 5), first)


@pytest.mark.parametrize("role", ["quality", "denoiser", "parcellation"])
def test_roles_without_volumes_to_count_refuse_it(role):
    with pytest.raises(OptionsError, match="balance is 4"):
        training_config({"role": role, "balance": 4})
