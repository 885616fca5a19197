"""Fluid between the gyri that a network took for the outside."""

import dataclasses
import json

import numpy as np
import pytest

from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.commands.models import describe
from SynthSegPlusLib.contract import SegmentOptions
from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.inference import ModelSet, Segmenter, _cascade, _to_output
from SynthSegPlusLib.inference._gaps import CSF, closed, fill_gaps
from SynthSegPlusLib.labels import structures
from Testing.inference.tiny import scan, write_tiny_set

TABLE = structures("2.0")
CORTEX, FLUID = TABLE.channel(3), TABLE.channel(CSF)


def a_block_with_a_cleft(width):
    """Posteriors of a block of cortex, 20 voxels a side, with a cleft of ``width`` voxels from above to its middle."""
    brain = np.zeros((32, 32, 32), bool)
    brain[6:26, 6:26, 6:26] = True
    brain[16 : 16 + width, 6:26, 16:26] = False
    posteriors = np.zeros((*brain.shape, len(TABLE)), np.float32)
    posteriors[..., CORTEX] = np.where(brain, 0.9, 0.1)
    posteriors[..., 0] = 1 - posteriors[..., CORTEX]
    return posteriors, brain


def test_a_narrow_cleft_becomes_fluid_and_nothing_else_changes():
    posteriors, brain = a_block_with_a_cleft(width=2)
    before = posteriors.copy()
    fill_gaps(posteriors, TABLE, reach_mm=6.0, voxel_mm=2.0)
    filled = posteriors[..., FLUID] > 0
    cleft = np.zeros_like(brain)
    cleft[16:18, 6:26, 16:26] = True
    assert not (filled & ~cleft).any()
    assert filled[16:18, 10:22, 16:22].all()  # where it opens, the ball begins to enter
    assert np.allclose(posteriors[filled, FLUID], 0.9)
    assert np.allclose(posteriors[filled, CORTEX], 0.1)
    assert np.allclose(posteriors.sum(-1), 1)
    assert np.array_equal(posteriors[~filled], before[~filled])


@pytest.mark.parametrize(("width", "reach_mm"), [(8, 6.0), (2, 0.0)])
def test_a_wide_cleft_stays_and_so_does_everything_without_a_reach(width, reach_mm):
    posteriors, _ = a_block_with_a_cleft(width)
    before = posteriors.copy()
    fill_gaps(posteriors, TABLE, reach_mm, voxel_mm=2.0)
    inner = posteriors[17 : 17 + width - 2, 10:22, 22:]
    assert not (inner[..., FLUID] > 0).any()
    if not reach_mm:
        assert np.array_equal(posteriors, before)


def test_a_wide_hole_within_the_brain_stays():
    posteriors, _ = a_block_with_a_cleft(width=0)
    posteriors[11:21, 11:21, 11:21] = np.eye(len(TABLE))[0]
    before = posteriors.copy()
    fill_gaps(posteriors, TABLE, 6.0, 2.0)
    assert np.array_equal(posteriors[12:20, 13:19, 13:19], before[12:20, 13:19, 13:19])


def test_voxels_without_posteriors_get_none():
    posteriors, _ = a_block_with_a_cleft(width=2)
    posteriors[16:18, 6:26, 16:26] = 0
    fill_gaps(posteriors, TABLE, 6.0, 2.0)
    assert not posteriors[16:18, 6:26, 16:26].any()


def test_a_speck_beside_the_brain_is_not_joined_to_it():
    posteriors, _ = a_block_with_a_cleft(width=0)
    posteriors[28, 16, 16] = np.eye(len(TABLE))[CORTEX]
    before = posteriors.copy()
    fill_gaps(posteriors, TABLE, 6.0, 2.0)
    assert np.array_equal(posteriors, before)


def test_a_brain_at_the_border_of_the_grid_is_closed_as_anywhere():
    mask = np.zeros((12, 12, 12), bool)
    mask[:5], mask[6:] = True, True
    assert not closed(np.pad(mask, 8), 3)[13, 8, 8]  # the cleft is open at its rim
    assert np.array_equal(closed(mask, 3), closed(np.pad(mask, 8), 3)[8:-8, 8:-8, 8:-8])
    assert closed(mask, 3)[5, 6, 6]
    assert not closed(np.zeros((4, 4, 4), bool), 3).any()


def test_labels_without_csf_have_no_name_for_it():
    table = structures("1.0")
    posteriors = np.zeros((8, 8, 8, len(table)), np.float32)
    posteriors[..., 0] = 1
    posteriors[:3, ..., :] = posteriors[4:, ..., :] = np.eye(len(table))[1]
    before = posteriors.copy()
    fill_gaps(posteriors, table, 6.0, 2.0)
    assert np.array_equal(posteriors, before)


# The engine ----------------------------------------------------------------------------------------------------


def a_set(folder, gaps_mm, **about):
    return ModelSet.load(write_tiny_set(folder, postprocessing={"gaps_mm": gaps_mm}, **about))


@pytest.mark.parametrize("mode", ["fast", "default", "robust", "s-d", "s1-s2", "s1-s2-d"])
def test_every_mode_of_a_set_that_asks_for_it_fills_gaps_before_1_mm(tmp_path, monkeypatch, mode):
    asked = []
    monkeypatch.setattr(_to_output, "fill_gaps", lambda dense, *about: asked.append((dense.shape[:3], *about[1:])))
    models = a_set(tmp_path / "set", 5.0, working_resolution_mm=2.0)
    result = Segmenter(models, mode=mode, device="cpu", quality=False).segment(scan())
    assert [about[1:] for about in asked] == [(5.0, 2.0)]
    assert result.record["model_set"]["gaps_mm"] == 5.0
    plain = dataclasses.replace(models, postprocessing=dataclasses.replace(models.postprocessing, gaps_mm=0.0))
    record = Segmenter(plain, mode=mode, device="cpu", quality=False).segment(scan()).record
    assert "gaps_mm" not in record["model_set"]
    assert "gaps of the brain" in describe(models)
    assert "gaps of the brain" not in describe(plain)


def test_what_is_filled_counts_to_the_intracranial_volume_and_what_the_networks_found_stays(tmp_path, monkeypatch):
    posteriors, brain = a_block_with_a_cleft(width=2)
    monkeypatch.setattr(_cascade.Cascade, "_dense", lambda self, slabs: posteriors.copy())
    seen = []
    note = _cascade.Cascade._note

    def noted(cascade, planes, slab, sure=None):
        seen.append(slab.copy())
        note(cascade, planes, slab, sure)

    monkeypatch.setattr(_cascade.Cascade, "_note", noted)
    found = {}
    for reach in (0.0, 5.0):
        models = a_set(tmp_path / str(reach), reach, working_resolution_mm=2.0)
        found[reach] = Segmenter(models, mode="fast", device="cpu", quality=False).segment(scan((64, 64, 64)))
    gained = found[5.0].icv_mm3 - found[0.0].icv_mm3
    assert 0.5 * 8 * 200 < gained < 8 * 450  # mm3: the cleft has 400 voxels of 8 mm3, those at its mouth stay open
    fluid = found[5.0].labels.data == CSF
    assert 1000 < fluid.sum() < 3200
    assert not (found[0.0].labels.data == CSF).any()
    assert all(np.array_equal(one, posteriors) for one in seen)


def test_padding_takes_no_part(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(_to_output, "fill_gaps", lambda dense, *about: asked.append(dense.shape[:3]))
    models = a_set(tmp_path / "set", 5.0, working_resolution_mm=2.0)
    result = Segmenter(models, mode="fast", device="cpu", quality=False).segment(scan((24, 26, 20)))
    assert asked == [(12, 14, 10)]
    assert result.record["grid"]["working"] == [16, 16, 16]


def test_other_gaps_are_another_request(tmp_path):
    options = SegmentOptions(mode="fast")
    models = [a_set(tmp_path / str(reach), reach, working_resolution_mm=2.0) for reach in (0.0, 4.0, 5.0)]
    requests = [Choice(dataclasses.replace(one, name="one"), options).request()["model_set"] for one in models]
    assert [one.get("gaps_mm") for one in requests] == [None, 4.0, 5.0]


@pytest.mark.parametrize("reach", [-1, 11, "wide"])
def test_a_reach_that_is_none_is_refused(tmp_path, reach):
    with pytest.raises(ModelError, match="gaps_mm"):
        a_set(tmp_path / "wrong", reach, working_resolution_mm=2.0)


def test_a_set_that_works_at_1_mm_is_told_that_it_has_nothing_to_fill(tmp_path):
    with pytest.raises(ModelError, match="postprocessing.gaps_mm is 5"):
        a_set(tmp_path / "fine", 5.0)


def test_the_bundled_cascade_fills_gaps():
    bundled = ModelSet.find("starter_cascade_2mm")
    written = json.loads((bundled.folder / "model_set.json").read_text(encoding="utf-8"))
    assert bundled.postprocessing.gaps_mm == written["postprocessing"]["gaps_mm"] == 5.0
