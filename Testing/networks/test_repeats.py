"""Planes that repeat are computed once, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthSegPlusLib.networks import RegressorSpec, build_regressor, choose_backend, load_regressor
from SynthSegPlusLib.networks.lean import _repeats
from SynthSegPlusLib.networks.lean._repeats import Shortened, after_pooling, repeated_planes
from Testing.networks.test_running import TOLERANCE, plain, random_weights


@pytest.fixture(scope="module", autouse=True)
def backend():
    choose_backend(device="cpu")


def boxed(shape, box, groups=4):
    """A label map of noise in a box and background around it."""
    found = np.zeros(shape, np.uint8)
    inside = tuple(slice(*limits) for limits in box)
    found[inside] = np.random.default_rng(0).integers(1, groups, found[inside].shape)
    return found


def test_runs_are_the_planes_beside_a_box():
    volume = boxed((40, 30, 20), [(12, 25), (0, 30), (3, 20)])
    assert repeated_planes(volume) == (((0, 12), (25, 40)), (), ((0, 3),))
    assert repeated_planes(np.zeros((5, 4, 3), np.uint8)) == (((0, 5),), ((0, 4),), ((0, 3),))


def test_pooling_keeps_only_pairs_that_lie_wholly_in_what_a_convolution_leaves_alike():
    assert after_pooling(((0, 12), (25, 40), (3, 9)), 2) == ((1, 5), (14, 19))


def moving_sum(values, halo):
    """What a convolution along the first axis does, with zeros beyond the ends."""
    padded = np.pad(values, halo)
    return sum(padded[i : i + len(values)] for i in range(2 * halo + 1))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), min_size=1, max_size=6), st.integers(0, 4))
def test_a_shortened_axis_gives_the_same_convolution(pieces, halo):
    values = np.concatenate([np.full(length, 1.0 + value) for value, length in pieces])
    runs = repeated_planes(np.broadcast_to(values[:, None, None], (len(values), 2, 2)))[0]
    kept, source = _repeats._shorten(len(values), runs, halo)
    assert np.array_equal(values[kept][source], values)
    assert np.array_equal(moving_sum(values[kept], halo)[source], moving_sum(values, halo))
    assert len(kept) == len(values) or len(kept) % _repeats.STEP == 0


def test_nothing_is_left_out_where_it_does_not_pay():
    runs = repeated_planes(boxed((64, 64, 64), [(5, 60), (5, 60), (5, 60)]))
    assert Shortened.of((64, 64, 64), runs, 4).is_whole


@pytest.mark.parametrize(
    "box", [[(20, 33), (4, 30), (0, 32)], [(0, 12), (20, 32), (9, 12)], [(64, 64), (0, 0), (0, 0)]]
)
@pytest.mark.parametrize("kind", [{}, {"variant": "paper"}, {"norm": "instance"}])
def test_a_regressor_gives_the_same_scores_for_a_box_in_an_empty_volume(tmp_path, monkeypatch, box, kind):
    monkeypatch.setattr(_repeats, "STEP", 4)
    spec = RegressorSpec("qc", 4, 3, features=4, levels=3, **kind)
    path = random_weights(spec, tmp_path / "w.h5")
    groups = boxed((64, 32, 32), box)
    work: list[float] = []
    regressor = load_regressor(spec, path, chunk_voxels=3000)
    scores = regressor.predict(groups, progress=work.append)
    expected = plain(build_regressor(spec), path, np.eye(4, dtype=np.float32)[groups])
    # The statistics of an almost constant volume magnify rounding.
    tolerance = TOLERANCE * (5 if "norm" in kind else 1)
    assert np.allclose(scores, expected, atol=tolerance, rtol=tolerance)
    assert work[-1] == pytest.approx(1.0)
    from SynthSegPlusLib.networks import Inputs

    whole = Inputs(groups=np.random.default_rng(0).integers(0, 4, groups.shape).astype(np.uint8), n_groups=4)
    assert regressor._lean.work(Inputs(groups=groups, n_groups=4)) < 0.8 * regressor._lean.work(whole)
