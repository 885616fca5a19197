"""The ablation of morphology steps leaves out one thing at a time and measures what that thing changes."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.synthesis import generator_config
from SynthSegPlusLib.training.command import load
from Testing.benchmarks.morphology import __main__ as morphology
from Testing.benchmarks.morphology.__main__ import CHANGES, TOGETHER, changed, measure, row, trainings, without


def base():
    return load("cpu_2mm/segmenter", "segmenter")


def anatomy(config):
    return dataclasses.asdict(generator_config(config.generator))["anatomy"]


@pytest.mark.parametrize("step", sorted(CHANGES))
def test_trainings_differ_in_the_step_that_is_left_out_alone(step):
    (_, more_out), (_, less_out) = (trainings(step)[which] for which in ("with", "without"))
    full, less = without(base(), more_out, 50, 3), without(base(), less_out, 50, 3)
    assert dataclasses.replace(less, generator=full.generator) == full
    assert anatomy(full)[step] > 0
    assert {**anatomy(less), step: anatomy(full)[step]} == anatomy(full)
    assert anatomy(less)[step] == 0
    assert step == TOGETHER or anatomy(full)[TOGETHER] == 0  # which would make the same change
    assert all(anatomy(full)[other] > 0 for other in CHANGES if other != TOGETHER)


@pytest.mark.parametrize("step", [None, *sorted(CHANGES)])
def test_scans_to_measure_on_have_one_change_or_none(step):
    settings = anatomy(SimpleNamespace(generator=changed(step)))
    assert {one for one in CHANGES if settings[one] == 1} == ({step} if step else set())
    assert {one for one in CHANGES if settings[one] == 0} == set(CHANGES) - {step}


def test_dice_and_volumes_are_those_of_the_step_s_structures(monkeypatch):
    left, right, other, csf = (structures("2.0").channel(value) for value in (17, 53, 10, 24))
    truth = np.array([left] * 4 + [right] * 2 + [other] * 2 + [csf] * 2)
    found = np.array([left] * 3 + [other] + [right] * 2 + [other] * 2 + [0] * 2)
    cut = np.where(np.isin(truth, (left, right)), 0, truth)  # a view without the structures says nothing of them
    monkeypatch.setattr(morphology, "segmentations", lambda *_: iter([(found, truth), (found, cut)]))
    result = measure(base(), None, None, 2, "hippocampi", None)
    assert result.dice == [pytest.approx((6 / 7 + 1) / 2)]
    assert result.all_structures == [pytest.approx((6 / 7 + 1 + 4 / 5) / 3)]
    assert (result.found, result.true) == ([3.0, 2.0], [4.0, 2.0])
    line = row("hippocampi", "with", "changed", base(), result)
    assert (line["dice"], line["volume_r"], line["volume_bias"]) == ("0.9286", "1.000", "-0.125")
