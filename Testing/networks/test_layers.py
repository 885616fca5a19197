"""One layer on one chunk, however it is computed, is the plain convolution, bias, activation and affine map."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from SynthSegPlusLib.networks import choose_backend

TOLERANCE = {"float32": 2e-6, "float16": 8 * 2.0**-11, "bfloat16": 4 * 2.0**-8}
"""As a share of the largest number: roundings to 24, 11 and 8 bits. Processors that multiply float16 themselves also
add some of the products in it, which others do in float32. A forgotten bias or activation would be 0.1 and more."""


@pytest.fixture(scope="module", autouse=True)
def backend():
    chosen = choose_backend(device="cpu")
    if chosen.backend != "tensorflow":
        pytest.skip("these ways of computing are TensorFlow's")


def plain(volume, kernel, bias, activation, affine, residual):
    """'valid' along x, 'same' along y and z, in float64; volume [planes + 2 halo, Y, Z, c]."""
    half = len(kernel) // 2
    padded = np.pad(volume, ((0, 0), (half, half), (half, half), (0, 0))).astype(np.float64)
    planes, height, depth = volume.shape[0] - 2 * half, *volume.shape[1:3]
    total = np.zeros(())
    for i, j, k in itertools.product(range(len(kernel)), repeat=3):
        total = total + padded[i : i + planes, j : j + height, k : k + depth] @ kernel[i, j, k]
    return finished(total, bias, activation, affine, residual)


def finished(convolved, bias, activation, affine, residual):
    """What follows the convolution, in float64."""
    total = convolved + bias + (0 if residual is None else residual)
    total = {"elu": np.where(total > 0, total, np.expm1(np.minimum(total, 0))), "relu": np.maximum(total, 0),
             "none": total}[activation]  # fmt: skip
    return total if affine is None else total * affine[0] + affine[1]


def by_tensorflow(volume, kernel, precision):
    """TensorFlow's own convolution, 'valid' along x and 'same' along y and z, of numbers of this precision; float64."""
    import tensorflow

    half = len(kernel) // 2
    padded = np.pad(volume, ((0, 0), (half, half), (half, half), (0, 0)))[None]
    given = (tensorflow.cast(one, precision) for one in (padded, kernel))
    return tensorflow.cast(tensorflow.nn.conv3d(*given, [1] * 5, "VALID")[0], "float64").numpy()


@pytest.mark.parametrize("precision", sorted(TOLERANCE))
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("size", "activation", "with_affine", "with_residual"),
    [(3, "elu", False, False), (3, "elu", True, False), (3, "relu", False, True), (5, "relu", False, False),
     (1, "none", True, False)],
)  # fmt: skip
def test_a_layer_is_the_plain_one(precision, large, size, activation, with_affine, with_residual):
    from keras import ops

    from SynthSegPlusLib.networks.lean._compile import fusion_of, largest_tile
    from SynthSegPlusLib.networks.lean._layers import Affine, Arithmetic, Convolutions
    from SynthSegPlusLib.networks.lean._stream import Window

    random, half = np.random.default_rng(0), size // 2
    volume = random.standard_normal((4 + 2 * half, 6, 5, 8)).astype(np.float32)
    kernel = (random.standard_normal((size, size, size, 8, 8)) / np.sqrt(8 * size**3)).astype(np.float32)
    bias, scale, shift = random.standard_normal((3, 8)).astype(np.float32)
    residual = random.standard_normal((4, 6, 5, 8)).astype(np.float32) if with_residual else None
    arithmetic = Arithmetic(precision, largest_tile("tensorflow", "cpu", precision), fusion_of("tensorflow", "cpu"))
    layer = Convolutions(arithmetic, [kernel], [False], bias, activation, Affine(scale, shift) if with_affine else None)
    chunk = arithmetic.tensor(volume)
    window = Window(chunk[:half], chunk[half : half + 4], chunk[half + 4 :])
    waiting = None if residual is None else arithmetic.tensor(residual)
    found = ops.convert_to_numpy(ops.cast(layer(window, residual=waiting, large=large), "float32"))
    expected = plain(volume, kernel, bias, activation, (scale, shift) if with_affine else None, residual)
    assert np.abs(found - expected).max() < TOLERANCE[precision] * np.abs(expected).max()


@pytest.mark.parametrize("precision", sorted(TOLERANCE))
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("with_affine", [True, False])
def test_a_decoder_step_is_the_plain_convolution_of_skip_and_upsampled(precision, large, size, skips, with_affine):
    from keras import ops

    from SynthSegPlusLib.networks.lean._compile import fusion_of, largest_tile
    from SynthSegPlusLib.networks.lean._layers import Affine, Arithmetic, Convolutions
    from SynthSegPlusLib.networks.lean._stream import Window

    random, features, planes = np.random.default_rng(1), 6, 4
    inputs = (features if skips else 0) + 2 * features
    kernel = random.standard_normal((size, size, size, inputs, features)).astype(np.float32) / np.sqrt(inputs * size**3)
    kernel = kernel.astype(np.float32)
    bias, scale, shift = random.standard_normal((3, features)).astype(np.float32)
    kernels = np.split(kernel, [features], axis=3) if skips else [kernel]
    arithmetic = Arithmetic(precision, largest_tile("tensorflow", "cpu", precision), fusion_of("tensorflow", "cpu"))
    layer = Convolutions(arithmetic, kernels, [False, True] if skips else [True], bias, "elu",
                         Affine(scale, shift) if with_affine else None)  # fmt: skip
    coarse_halo, half = layer.halos[-1], size // 2
    coarse = random.standard_normal((planes // 2 + 2 * coarse_halo, 3, 5, 2 * features)).astype(np.float32)
    fine = random.standard_normal((planes + 2 * half, 6, 10, features)).astype(np.float32)

    def window(volume, halo):
        chunk = arithmetic.tensor(volume)
        return Window(chunk[:halo], chunk[halo : len(volume) - halo], chunk[len(volume) - halo :])

    given = ([window(fine, half)] if skips else []) + [window(coarse, coarse_halo)]
    found = ops.convert_to_numpy(ops.cast(layer(*given, large=large), "float32"))
    upsampled = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    surplus = 2 * coarse_halo - half
    whole = upsampled[surplus : len(upsampled) - surplus]
    whole = np.concatenate([fine, whole], axis=-1) if skips else whole
    after = (bias, "elu", (scale, shift) if with_affine else None, None)
    expected = plain(whole, kernel, *after)
    # A processor that adds in float16 does so in TensorFlow's own convolution as well: no worse than that.
    own = np.abs(finished(by_tensorflow(whole, kernel, precision), *after) - expected).max()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < max(TOLERANCE[precision] * np.abs(expected).max(), 1.25 * own)


def test_sums_are_one_convolution_where_products_are_cheap():
    from SynthSegPlusLib.networks.lean._compile import Fusion
    from SynthSegPlusLib.networks.lean._layers import Arithmetic

    assert Arithmetic("bfloat16", 2, Fusion.AROUND).joins
    assert not Arithmetic("float32", 4, Fusion.AROUND).joins
    assert not Arithmetic("bfloat16", 1, Fusion.NONE).joins


def test_minimal_filtering_is_kept_for_where_it_pays():
    from SynthSegPlusLib.networks.lean._compile import Fusion
    from SynthSegPlusLib.networks.lean._layers import Arithmetic

    single, half = Arithmetic("float32", 4, Fusion.AROUND), Arithmetic("bfloat16", 2, Fusion.AROUND)
    assert single.filters(3, 24, Fusion.AROUND)
    assert not half.filters(3, 24, Fusion.AROUND)
    assert half.filters(5, 64, Fusion.AROUND)
    assert not half.filters(5, 24, Fusion.AROUND)
    assert not single.filters(3, 96, Fusion.NONE)
    assert single.filters(3, 192, Fusion.NONE)
    assert not half.filters(5, 192, Fusion.NONE)
