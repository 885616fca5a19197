"""The identities that save arithmetic hold: minimal filtering, and convolving before upsampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SynthSegPlusLib.networks.lean._stream import chunk_planes, regroup, windows
from SynthSegPlusLib.networks.lean._upsampling import AXES, difference_kernels, parity_halo, parity_kernel
from SynthSegPlusLib.networks.lean._winograd import best_outputs, filtering


@pytest.mark.parametrize(("outputs", "taps"), [(2, 3), (4, 3), (2, 5), (4, 5), (3, 3), (2, 2)])
def test_minimal_filtering_is_correlation(outputs, taps):
    rng = np.random.default_rng(0)
    signal, kernel = rng.normal(size=outputs + taps - 1), rng.normal(size=taps)
    matrices = filtering(outputs, taps)
    filtered = matrices.output @ ((matrices.kernel @ kernel) * (matrices.input @ signal))
    assert np.allclose(filtered, np.correlate(signal, kernel, "valid"), atol=1e-12)


def test_tiles_are_as_long_as_the_chunk_and_the_limit_allow():
    assert [best_outputs(8, 3, 4), best_outputs(8, 3, 2), best_outputs(6, 3, 4), best_outputs(7, 3, 4)] == [4, 2, 2, 1]
    assert best_outputs(8, 7, 4) == 2
    assert best_outputs(8, 9, 4) == 1


def upsampled_convolution(coarse, kernel):
    """Nearest-neighbour upsampling, then a 'same' convolution, the plain way; coarse [X, Y, Z, c]."""
    fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    half = len(kernel) // 2
    padded = np.pad(fine, [(half, half)] * 3 + [(0, 0)])
    out = np.zeros((*fine.shape[:3], kernel.shape[-1]))
    for i, j, k in itertools.product(range(len(kernel)), repeat=3):
        out += padded[i : i + fine.shape[0], j : j + fine.shape[1], k : k + fine.shape[2]] @ kernel[i, j, k]
    return out


@pytest.fixture
def coarse():
    return np.random.default_rng(1).normal(size=(3, 4, 2, 2))


def test_differences_of_the_coarse_volume_give_the_convolution_of_the_fine_one(coarse):
    kernel = np.random.default_rng(2).normal(size=(3, 3, 3, 2, 5))
    expected = upsampled_convolution(coarse, kernel)
    padded = np.pad(coarse, [(1, 1)] * 3 + [(0, 0)])
    for parity in AXES:
        total = np.zeros((*coarse.shape[:3], 5))
        for axes, block in zip(AXES, difference_kernels(kernel), strict=True):
            volume, column = padded, 0
            for axis, (differenced, odd) in enumerate(zip(axes, parity, strict=True)):
                inner = [slice(None)] * 3
                inner[axis] = slice(1, -1)
                if differenced:
                    volume = np.diff(volume, axis=axis)
                    inner[axis] = slice(1, None) if odd else slice(None, -1)
                    column = 2 * column + odd
                volume = volume[tuple(inner)]
            total += (volume @ block)[..., column * 5 : column * 5 + 5]
        assert np.allclose(total, expected[parity[0] :: 2, parity[1] :: 2, parity[2] :: 2], atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_parities_are_coarse_convolutions(coarse, size):
    kernel = np.random.default_rng(3).normal(size=(size, size, size, 2, 3))
    folded, halo = parity_kernel(kernel), parity_halo(size)
    assert folded.shape == (2 * halo + 1,) * 3 + (2, 24)
    expected = upsampled_convolution(coarse, kernel)
    padded = np.pad(coarse, [(halo, halo)] * 3 + [(0, 0)])
    x, y, z = coarse.shape[:3]
    for index, parity in enumerate(AXES):
        got = sum(
            padded[i : i + x, j : j + y, k : k + z] @ folded[i, j, k][:, 3 * index : 3 * index + 3]
            for i, j, k in itertools.product(range(2 * halo + 1), repeat=3)
        )
        assert np.allclose(got, expected[parity[0] :: 2, parity[1] :: 2, parity[2] :: 2], atol=1e-5)


def zeros(like, planes):
    return np.zeros((planes, *like.shape[1:]))


@given(st.lists(st.integers(2, 5), min_size=1, max_size=6), st.integers(0, 2))
def test_windows_show_every_chunk_with_its_neighbours_and_zeros_beyond_the_ends(lengths, halo):
    volume = 1.0 + np.arange(sum(lengths))[:, None]
    chunks = np.split(volume, np.cumsum(lengths)[:-1])
    padded = np.pad(volume, ((halo, halo), (0, 0)))
    start = 0
    for window, length in zip(windows(chunks, halo, zeros), lengths, strict=True):
        assert np.array_equal(np.concatenate(window), padded[start : start + length + 2 * halo])
        start += length


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 12))
def test_regrouping_keeps_every_plane_in_order(lengths, planes):
    lengths = [*lengths, -sum(lengths) % planes] if sum(lengths) % planes else lengths
    volume = np.arange(sum(lengths))[:, None]
    got = list(regroup(np.split(volume, np.cumsum(lengths)[:-1]), planes, np.concatenate))
    assert all(len(chunk) == planes for chunk in got)
    assert np.array_equal(np.concatenate(got), volume)


@given(st.integers(1, 256), st.integers(0, 64), st.integers(0, 3), st.booleans())
def test_chunks_divide_the_volume_and_are_never_thinner_than_the_kernels_reach(planes, wanted, halo, even):
    even = even and planes % 2 == 0
    chunk = chunk_planes(planes, wanted, halo, even)
    assert planes % chunk == 0
    assert chunk >= halo or chunk == planes
    assert not even or chunk % 2 == 0
