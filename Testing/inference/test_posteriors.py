"""Smoothing, components and thresholds: closed forms on tiny arrays, and the dense arithmetic as a yardstick."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from SynthSegPlusLib.inference._components import largest_component
from SynthSegPlusLib.inference._smoothing import gaussian_kernel, smooth_slabs
from SynthSegPlusLib.inference._soft import SoftLabels
from SynthSegPlusLib.labels import structures

TABLE = structures("2.0")
SHAPE = (7, 6, 5)


def random_posteriors(seed, shape=SHAPE, channels=33, sharpness=4.0):
    logits = np.random.default_rng(seed).standard_normal((*shape, channels)) * sharpness
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return (exp / exp.sum(-1, keepdims=True)).astype(np.float32)


def cut(array, *sizes):
    start = 0
    for size in sizes:
        yield slice(start, start + size), array[start : start + size].copy()
        start += size


def dense_of(soft):
    return np.stack([soft.channel(number) for number in range(len(soft.table))], axis=-1)


def gather(array, threshold=0.25, **more):
    return SoftLabels.gather(cut(array, 3, 4), array.shape[:3], TABLE, threshold, **more)


# Smoothing ---------------------------------------------------------------------------------------------------


def test_the_kernel_is_the_published_one():
    assert gaussian_kernel(0.5) == pytest.approx([0.10650698, 0.78698604, 0.10650698], abs=1e-8)
    assert gaussian_kernel(1.0).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("sizes", [(7,), (3, 4), (1, 1, 5), (1,) * 7])
def test_smoothing_a_stream_equals_smoothing_the_whole_with_zeros_outside(sigma, sizes):
    array = random_posteriors(0, channels=3)
    expected = array.astype(np.float64)
    for axis in range(3):
        expected = ndimage.correlate1d(expected, gaussian_kernel(sigma), axis=axis, mode="constant")
    pieces = list(smooth_slabs(cut(array, *sizes), sigma))
    assert np.concatenate([piece for _, piece in pieces]) == pytest.approx(expected, abs=1e-6)
    stops = [planes.stop for planes, _ in pieces]
    assert [planes.start for planes, _ in pieces] == [0, *stops[:-1]]
    assert stops[-1] == 7


def test_no_smoothing_passes_the_slabs_through():
    array = random_posteriors(1, channels=3)
    assert np.concatenate([piece for _, piece in smooth_slabs(cut(array, 3, 4), 0.0)]).tobytes() == array.tobytes()


# Components --------------------------------------------------------------------------------------------------


def test_diagonal_neighbours_are_not_connected_and_the_larger_part_stays():
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 0] = mask[1, 2, 0] = True
    kept = largest_component(mask)
    assert np.argwhere(kept).tolist() == [[1, 1, 0], [1, 2, 0]]


def test_of_equal_parts_the_first_in_scan_order_stays_and_nothing_stays_nothing():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 2] = mask[2, 0, 0] = True
    assert np.argwhere(largest_component(mask)).tolist() == [[0, 0, 2]]
    assert not largest_component(np.zeros((3, 3, 3), bool)).any()


# Posteriors where there is brain -----------------------------------------------------------------------------


def published_dense(p, topology):
    """The reference's postprocessing on the dense array (reference implementation), with 0/0 guarded."""
    p = p.copy()
    p[..., 1:] *= largest_component(p[..., 1:].sum(-1) > 0.25)[..., None]
    if topology:
        above = p > 0.25
        for number in np.unique(TABLE.topology[TABLE.topology > 0]):
            channels = np.flatnonzero(TABLE.topology == number)
            p[..., channels] *= largest_component(above[..., channels].any(-1))[..., None]
    else:
        p[..., 1:] *= p[..., 1:] > 0.2
    p[p.sum(-1) == 0, 0] = 1.0
    return p / p.sum(-1, keepdims=True)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), background=st.floats(0.0, 0.98), topology=st.booleans())
def test_postprocessing_of_stored_voxels_equals_that_of_the_dense_array(seed, background, topology):
    p = random_posteriors(seed) * np.float32(1 - background)
    p[..., 0] += np.float32(background) * (np.random.default_rng(seed).random(SHAPE) > 0.3)
    expected = published_dense(p, topology)
    soft = gather(p)
    soft.keep_largest_component()
    if topology:
        soft.keep_topology(0.25)
    else:
        soft.drop_below(0.2)
    soft.normalise()
    assert dense_of(soft) == pytest.approx(expected, abs=1e-6)
    assert soft.sums()[1:] == pytest.approx(expected[..., 1:].sum((0, 1, 2)), rel=1e-5, abs=1e-5)
    clear = np.sort(expected, -1)[..., -1] - np.sort(expected, -1)[..., -2] > 1e-5
    assert np.array_equal(soft.channel_map()[clear], expected.argmax(-1)[clear])


def test_where_everything_is_removed_the_voxel_is_background_and_volumes_are_numbers():
    p = np.zeros((*SHAPE, len(TABLE)), np.float32)
    p[..., 1:11] = 0.1  # no background at all, and every structure below the threshold
    soft = gather(p)
    soft.keep_largest_component()
    soft.drop_below(0.2)
    soft.normalise()
    assert (soft.channel_map() == 0).all()
    assert soft.sums()[1:].sum() == 0


def test_a_box_limits_what_is_looked_at():
    p = np.zeros((*SHAPE, len(TABLE)), np.float32)
    p[..., 1] = 1.0
    box = (slice(1, 3), slice(2, 6), slice(0, 4))
    inside = gather(p, within=box)
    later = gather(p)
    later.keep_box(box)
    for soft in (inside, later):
        assert soft.sums()[1] == 2 * 4 * 4
        assert set(map(tuple, np.argwhere(soft.channel_map()))) == {
            (x, y, z) for x in range(1, 3) for y in range(2, 6) for z in range(4)
        }


def test_extracerebral_fluid_is_not_bound_to_one_piece():
    p = np.zeros((*SHAPE, len(TABLE)), np.float32)
    p[..., TABLE.channel(2)] = 0.6
    p[0, 0, 0, TABLE.channel(24)] = p[6, 5, 4, TABLE.channel(24)] = 1.0
    p[3, 3, 3, TABLE.channel(17)] = p[5, 3, 3, TABLE.channel(17)] = p[5, 3, 4, TABLE.channel(17)] = 1.0
    soft = gather(p)
    soft.keep_topology(0.25)
    assert soft.sums()[TABLE.channel(24)] == 2
    assert soft.sums()[TABLE.channel(17)] == 2  # the smaller piece of hippocampus is gone


def test_taking_channels_gives_their_voxels_in_order():
    p = random_posteriors(6)
    index, values = gather(p).take([2, 20])
    assert (np.diff(index) > 0).all()
    assert values == pytest.approx(p.reshape(-1, len(TABLE))[index][:, [2, 20]])


def test_every_slab_is_shown_to_the_visitor():
    p, seen = random_posteriors(7), np.zeros(SHAPE, np.uint8)
    gather(p, visit=lambda planes, slab: seen.__setitem__(planes, slab.argmax(-1)))
    assert np.array_equal(seen, p.argmax(-1))
