"""The way from a coarser working grid to 1 mm: where it works, when it stops, and what it says when memory is short."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract import Cancelled, MemoryShortage
from SynthSegPlusLib.inference import ModelSet, Segmenter, _cascade, _to_output
from SynthSegPlusLib.inference._soft import SoftLabels
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.volume import Volume, conform
from Testing.inference.appearances import a_set
from Testing.inference.tiny import scan, write_tiny_set

TABLE = structures("2.0")


def test_too_little_memory_on_the_way_to_1_mm_says_what_to_do(tmp_path, monkeypatch):
    def short(*about):
        raise MemoryError("Unable to allocate 2 GiB")

    monkeypatch.setattr(_to_output, "fit_appearance", short)
    with pytest.raises(MemoryShortage, match="to 1 mm; close other programs or choose a crop"):
        Segmenter(a_set(tmp_path / "set", 0.5), mode="fast", device="cpu").segment(scan())


def test_the_way_to_1_mm_is_postprocessing_can_be_stopped_and_is_gone_once(tmp_path, monkeypatch):
    fit, stage, asked = _to_output.fit_appearance, [""], []

    def noted(*about):
        asked.append(stage[0])
        return fit(*about)

    monkeypatch.setattr(_to_output, "fit_appearance", noted)
    segmenter = Segmenter(a_set(tmp_path / "set", 0.5), mode="fast", device="cpu")
    segmenter.segment(scan(), progress=lambda name, *fractions: stage.__setitem__(0, name))
    assert set(asked) == {"Postprocessing"}
    asked.clear()
    with pytest.raises(Cancelled):
        segmenter.segment(scan(), cancelled=lambda: bool(asked))
    assert len(asked) == 1


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_the_way_to_1_mm_tells_how_far_it_is(tmp_path, strength):
    told = []
    segmenter = Segmenter(a_set(tmp_path / "set", strength), mode="fast", device="cpu")
    segmenter.segment(scan(), progress=lambda name, *fractions: told.append((name, *fractions)))
    own = [fraction for name, fraction, _ in told if name == "Postprocessing"]
    assert own == sorted(own)
    on_the_way = [fraction for fraction in own if 0 < fraction < 1]
    assert len(on_the_way) > 5
    assert max(on_the_way) == pytest.approx(0.9)
    assert (min(on_the_way) < 0.5) == (strength == 0)  # looking at the scan is half of it
    everything = [fraction for *_, fraction in told]
    assert everything == sorted(everything)
    assert everything[-1] == 1.0


@pytest.mark.parametrize("crop", [None, (24, 40, 32)])
@pytest.mark.parametrize("seed", range(6))
def test_outside_the_window_nothing_is_found(crop, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in rng.integers(30, 61, 3))
    volume = Volume(rng.random(shape).astype(np.float32), np.diag([*rng.uniform(0.8, 2.5, 3), 1.0]), "one")
    conformed = conform(volume, resolution_mm=2.0, multiple=8, minimum=0, crop=crop)
    mask = np.zeros(conformed.image.shape, bool)
    low = [int(rng.integers(box.start, box.stop)) for box in conformed.inner]
    high = [int(rng.integers(one, box.stop)) + 1 for one, box in zip(low, conformed.inner, strict=True)]
    mask[tuple(map(slice, low, high))] = True
    window = conformed.output_window(mask)
    there = conformed.to_output(mask.astype(np.float32)) > 0
    inside = np.zeros_like(there)
    inside[window] = True
    assert there.any()
    assert not (there & ~inside).any()
    for axis in range(3):
        found = np.flatnonzero(there.any(axis=tuple(other for other in range(3) if other != axis)))
        begins, ends = conformed.patch[axis].start == 0, conformed.patch[axis].stop == conformed.working_shape[axis]
        if conformed.inner[axis].start < low[axis] or not begins:  # else to the edge
            assert found[0] - window[axis].start <= 1
        if high[axis] < conformed.inner[axis].stop or not ends:
            assert window[axis].stop - 1 - found[-1] <= 1
    assert conformed.output_window(np.zeros_like(mask)) == (slice(0, 0),) * 3


def test_planes_of_a_window_are_those_of_the_whole():
    volume = Volume(np.random.default_rng(0).random((40, 50, 44)).astype(np.float32), np.diag([1.2, 1, 0.9, 1]), "one")
    for crop in (None, (32, 32, 32)):
        conformed = conform(volume, resolution_mm=2.0, multiple=8, minimum=0, crop=crop)
        posteriors = np.random.default_rng(1).random((*conformed.image.shape, 3)).astype(np.float32)
        window = (slice(5, 30), slice(8, 31), slice(10, 12))
        whole = np.stack(list(conformed.output_planes(posteriors)))
        part = np.stack(list(conformed.output_planes(posteriors, window)))
        assert np.allclose(part, whole[window], atol=1e-6)


def test_what_is_gathered_of_a_window_is_what_is_gathered_of_the_whole():
    rng = np.random.default_rng(2)
    whole = np.zeros((9, 8, 7, len(TABLE)), np.float32)
    whole[..., 0] = 1
    whole[2:5, 3:6, 1:6] = rng.dirichlet(np.ones(len(TABLE)), (3, 3, 5))
    one = SoftLabels.gather([(slice(0, 9), whole)], whole.shape[:3], TABLE, 0.25)
    part = ((slice(n, n + 1), whole[n : n + 1, 2:7, 1:7]) for n in range(1, 6))
    two = SoftLabels.gather(part, whole.shape[:3], TABLE, 0.25, columns=(2, 1))
    assert np.array_equal(np.concatenate(one.index), np.concatenate(two.index))
    assert np.array_equal(np.concatenate(one.rows), np.concatenate(two.rows))
    assert one.channel_map().any()


def test_where_no_slab_has_anything_all_is_background():
    soft = SoftLabels.gather([], (4, 5, 6), TABLE, 0.25)
    soft.keep_largest_component()
    soft.drop_below(0.2)
    soft.normalise()
    assert soft.channel_map().shape == (4, 5, 6)
    assert not soft.channel_map().any()
    assert len(soft.take([3])[0]) == 0
    assert not soft.sums().any()


def test_a_scan_in_which_no_brain_is_found_ends_without_one(tmp_path, monkeypatch):
    nothing = np.zeros((1, 1, 1, len(TABLE)), np.float32)
    nothing[..., 0] = 1
    monkeypatch.setattr(_cascade.Cascade, "_dense", lambda self, _: np.broadcast_to(
        nothing, (*self.conformed.image.shape, len(TABLE))).copy())  # fmt: skip
    rules = {"segmenter_sigma": 0, "appearance": 0.5}
    folder = write_tiny_set(tmp_path / "set", postprocessing=rules, working_resolution_mm=2.0)
    for mode in ("fast", "default"):
        found = Segmenter(ModelSet.load(folder), mode=mode, device="cpu").segment(scan())
        assert not found.labels.data.any()
        assert found.icv_mm3 == 0
