"""The comparison of recipes trains them under the same conditions."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from SynthSegPlusLib.training import recipes
from SynthSegPlusLib.training.command import load
from SynthSegPlusLib.training.trainer import CHECKPOINT
from Testing.benchmarks.recipes.__main__ import RECIPES, recipe
from Testing.benchmarks.recipes.learning import train

SAME = ("role", "network", "generator", "maps", "steps", "seed", "precision", "warm_start")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_differ_in_nothing_but_how_they_learn(name):
    base = load("cpu_2mm/segmenter", "segmenter")
    one, other = recipe(base, name, 120, 7), recipe(base, "fast with AdamW", 120, 7)
    assert [getattr(one, entry) for entry in SAME] == [getattr(other, entry) for entry in SAME]
    assert one.warm_start is None
    assert (one.steps, one.seed) == (120, 7)


def test_the_published_recipe_is_the_published_one():
    one = recipe(load("cpu_2mm/segmenter", "segmenter"), "published", 6000, 1)
    assert (one.loss, one.optimizer, one.ema, one.weight_decay, one.clip_norm) == ("dice", "adamw", 0.0, 0.0, None)
    assert one.schedule.at(10, 6000) == one.schedule.at(5999, 6000) == pytest.approx(1e-4)
    assert one.warmup_l2 == 100


def test_the_two_fast_recipes_differ_in_the_optimizer_alone():
    base = load("cpu_2mm/segmenter", "segmenter")
    one, two = (recipe(base, f"fast with {name}", 50, 1) for name in ("AdamW", "Muon"))
    assert dataclasses.replace(one, optimizer="muon") == two
    assert (one.optimizer, two.optimizer) == ("adamw", "muon")


def test_a_training_of_other_steps_is_another(tmp_path, monkeypatch):
    ran = []

    def make(config, labels, folder, resume):
        def run():
            ran.append((config.steps, resume))
            folder.mkdir(exist_ok=True)
            (folder / CHECKPOINT).touch()

        done = config.steps if resume else 0
        return SimpleNamespace(step=done, run=run, task=SimpleNamespace(spec=SimpleNamespace(prefix="unet")))

    monkeypatch.setattr(recipes, "make_trainer", make)
    base = load("cpu_2mm/segmenter", "segmenter")
    weights = [train(dataclasses.replace(base, steps=steps), tmp_path, tmp_path / "s") for steps in (300, 150, 150)]
    assert ran == [(300, False), (150, False)]
    assert weights[0] != weights[1] == weights[2]
