"""Tails of the posteriors: what is too small to decide a label counts in volumes, where a set says so."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from SynthSegPlusLib.contract import ModelError
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference._cascade import Cascade
from SynthSegPlusLib.inference._components import grown_within
from SynthSegPlusLib.inference._rules import Postprocessing
from SynthSegPlusLib.inference._soft import SoftLabels
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import choose_backend
from SynthSegPlusLib.volume import Volume
from Testing.inference.tiny import write_tiny_set

TABLE = structures("2.0")
CORTEX, CSF = TABLE.channel(3), TABLE.channel(24)


def a_line(*brain, channel=CORTEX):
    """Posteriors [n, 1, 1, C] of voxels in a row, each so surely of one structure."""
    found = np.zeros((len(brain), 1, 1, len(TABLE)), np.float32)
    found[:, 0, 0, channel] = brain
    found[..., 0] = 1 - found[..., channel]
    return found


def stored(posteriors, threshold):
    return SoftLabels.gather([(slice(0, len(posteriors)), posteriors)], posteriors.shape[:3], TABLE, threshold)


LINE = (0.1, 0.2, 0.9, 1.0, 0.9, 0.1, 0.04, 0.2, 0.6, 0.1)
"""A brain of three voxels with tails on both sides, and beyond a gap an island with tails of its own."""


@pytest.mark.parametrize(
    ("kept", "volume"),
    [(0.25, 2.8),  # the paper's: the brain alone
     (0.05, 3.2),  # with its tails, without the island
     (0.01, 3.2 + 0.04 + 0.2)],  # the island is no tail, and what lies behind it is not reached
)  # fmt: skip
def test_what_hangs_together_with_the_brain_counts_but_no_island_does(kept, volume):
    soft = stored(a_line(*LINE), kept)
    soft.keep_largest_component(0.25)
    soft.drop_below(0.0)
    soft.normalise()
    assert soft.sums()[CORTEX] == pytest.approx(volume, abs=1e-5)
    assert np.flatnonzero(soft.channel_map()).tolist() == [2, 3, 4]


def test_tails_without_a_brain_are_none():
    soft = stored(a_line(0.1, 0.2, 0.2), 0.05)
    soft.keep_largest_component(0.25)
    assert soft.sums()[CORTEX] == 0


def test_a_core_grows_within_a_mask_to_what_touches_it():
    core, mask = np.zeros((2, 3, 3, 3), bool)
    core[0, 0, 0] = mask[1, 0, 0] = mask[2, 0, 0] = mask[2, 2, 2] = True
    assert np.argwhere(grown_within(core, mask)).tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert not grown_within(np.zeros_like(core), mask).any()
    assert not grown_within(np.zeros_like(core), np.zeros_like(core)).any()


@pytest.mark.parametrize(("tails", "volume"), [(False, 2.8), (True, 2.8 + 0.1 + 0.2 + 0.1 + 0.04 + 0.2 + 0.1)])
def test_in_default_mode_a_structure_keeps_its_tails_and_loses_its_islands(tails, volume):
    soft = stored(a_line(*LINE), 0.01)
    soft.keep_topology(0.25, tails)
    assert soft.sums()[CORTEX] == pytest.approx(volume, abs=1e-5)


@pytest.mark.parametrize(
    ("mode", "rules", "volume"),
    [("robust", Postprocessing(), 1.9), ("default", Postprocessing(), 1.9),
     ("robust", Postprocessing(tails=0.05, posterior_threshold=0.02), 2.2),
     ("default", Postprocessing(tails=0.05), 2.2)],
)  # fmt: skip
def test_the_engine_asks_for_the_sets_own_tails(mode, rules, volume):
    soft = stored(a_line(0.1, 0.9, 1.0, 0.1, 0.1, 0.6), rules.kept)  # tails lead to an island
    cascade = SimpleNamespace(
        rules=rules, options=SimpleNamespace(mode=mode), stages=SimpleNamespace(check=lambda: None),
        _works_at_output=False,
    )  # fmt: skip
    Cascade._postprocess(cascade, soft)
    assert soft.sums()[CORTEX] == pytest.approx(volume, abs=1e-5)


def test_the_paper_counts_no_tails():
    rules = Postprocessing()
    assert (rules.kept, rules.counts_tails, rules.described(True)) == (0.25, False, {})
    assert Postprocessing(foreground_threshold=0.1, tails=0.1).described(True) == {"foreground_threshold": 0.1}
    assert Postprocessing(foreground_threshold=0.4).described(True) == {"foreground_threshold": 0.4, "tails": 0.25}
    changed = Postprocessing(tails=0.05, posterior_threshold=0.02, segmenter_share=0.5, gaps_mm=5.0)
    told = {"gaps_mm": 5.0, "tails": 0.05, "posterior_threshold": 0.02}
    assert changed.described(False) == told
    assert changed.described(True) == {"segmenter_share": 0.5, **told}


@pytest.fixture
def models(tmp_path):
    choose_backend(device="cpu")

    def make(name, **rules):
        return ModelSet.load(write_tiny_set(tmp_path / name, postprocessing=rules))

    return make


def test_tails_above_the_threshold_of_the_brain_are_refused(models):
    assert models("low", foreground_threshold=0.1).postprocessing.tails == 0.1
    with pytest.raises(ModelError, match=r"tails is 0.2 where a number from 0 to 0.1 is needed"):
        models("wrong", foreground_threshold=0.1, tails=0.2)


@pytest.mark.parametrize("mode", ["fast", "robust", "default"])
def test_volumes_grow_by_tails_in_every_mode_and_the_record_says_so(models, mode):
    image = np.random.default_rng(0).normal(100, 30, (24, 26, 22)).astype(np.float32)
    volume = Volume(image, np.eye(4), "noise")
    # The random network's brain is 0.97 everywhere, so that its tails are high.
    paper = Segmenter(models("paper", foreground_threshold=0.968), mode=mode).segment(volume)
    counting = Segmenter(models("tails", foreground_threshold=0.968, tails=0.9), mode=mode).segment(volume)
    assert counting.icv_mm3 > paper.icv_mm3
    assert counting.record["model_set"]["tails"] == 0.9
    assert "tails" not in paper.record["model_set"]
