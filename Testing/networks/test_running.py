"""Lean execution gives what the plain Keras models give, piece by piece, and can be watched and stopped."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import Cancelled, InputError
from SynthSegPlusLib.networks import (
    Inputs,
    RegressorSpec,
    UNetSpec,
    build_regressor,
    build_unet,
    choose_backend,
    estimate_memory,
    load_network,
    load_regressor,
    load_weights,
    write_weights,
)
from SynthSegPlusLib.networks.lean import _body

TOLERANCE = 2e-5
"""Rounding of float32 through a network; an error in a kernel, a halo or a norm is a thousand times larger."""

UNETS = {
    "two levels": UNetSpec("unet", 2, 4, features=4, levels=2),
    "one level": UNetSpec("unet", 1, 3, features=4, levels=1),
    "published kind": UNetSpec("unet", 3, 5, features=4, levels=4),
    "published denoiser's kind": UNetSpec("l2l", 3, 3, features=4, levels=4, kernel=5, skips="deepest:1"),
    "paper's denoiser's kind": UNetSpec(
        "l2l", 3, 3, features=4, levels=3, convolutions=1, constant_features=True, skips="deepest:1"
    ),
    "no skips, three convolutions": UNetSpec("x", 1, 3, features=4, levels=3, convolutions=3, skips="none"),
    "a plateau": UNetSpec("unet", 2, 4, features=4, levels=4, plateau=1, norm="instance"),
    "kernel of one": UNetSpec("x", 1, 3, features=4, levels=2, kernel=1),
    "instance norm": UNetSpec("unet", 3, 5, features=4, levels=4, norm="instance"),
    "instance norm, one level": UNetSpec("unet", 1, 3, features=4, levels=1, norm="instance"),
    "instance norm, no skips": UNetSpec("l2l", 3, 3, features=4, levels=3, skips="none", norm="instance"),
}
REGRESSORS = {
    "published": RegressorSpec("qc", 4, 3, features=4, levels=3),
    "published, one convolution": RegressorSpec("qc", 4, 3, features=4, levels=2, convolutions=1),
    "published, three convolutions": RegressorSpec("qc", 4, 3, features=4, levels=2, kernel=3, convolutions=3),
    "paper": RegressorSpec("qc", 4, 3, features=4, levels=3, variant="paper"),
    "published, instance norm": RegressorSpec("qc", 4, 3, features=4, levels=3, norm="instance"),
    "paper, instance norm": RegressorSpec("qc", 4, 3, features=4, levels=3, variant="paper", norm="instance"),
}


@pytest.fixture(scope="module", autouse=True)
def backend():
    choose_backend(device="cpu")


def random_weights(spec, path):
    """Weights that leave posteriors undecided; some norms have a negative scale, where pooling must come last."""
    rng = np.random.default_rng(7)
    weights = {}
    for layer in spec.layers():
        values = {}
        for weight, shape in layer.shapes.items():
            value = rng.normal(size=shape)
            if weight == "kernel":
                value *= np.sqrt(2 / np.prod(shape[:-1]))
            values[weight] = np.abs(value) + 0.5 if weight == "moving_variance" else value
        weights[layer.name] = values
    write_weights(weights, path)
    return path


def plain(model, path, channels):
    from keras import ops

    load_weights(model, path)
    return ops.convert_to_numpy(model(channels[None], training=False)[0])


CASES = [(kind, chunk_voxels, False) for kind in UNETS for chunk_voxels in (300, 10**6)]
CASES += [
    (kind, 300, True)
    for kind in ("published kind", "published denoiser's kind", "paper's denoiser's kind", "instance norm")
]


@pytest.mark.parametrize(("kind", "chunk_voxels", "compiled"), CASES)
def test_a_network_equals_its_keras_model(tmp_path, monkeypatch, kind, chunk_voxels, compiled):
    spec = UNETS[kind]
    path = random_weights(spec, tmp_path / "w.h5")
    image = np.random.default_rng(1).random((24, 16, 8, spec.in_channels)).astype(np.float32)
    if compiled:
        monkeypatch.setattr(_body, "LARGE", 0)
    network = load_network(spec, path, chunk_voxels=chunk_voxels)
    assert np.abs(network.softmax(image) - plain(build_unet(spec), path, image)).max() < TOLERANCE


def test_an_instance_norm_does_at_test_time_what_a_batch_norm_does_with_one_scan_in_training(tmp_path):
    from keras import ops

    spec = UNETS["published kind"]
    path = random_weights(spec, tmp_path / "w.h5")
    model = build_unet(spec)
    load_weights(model, path)
    image = np.random.default_rng(1).random((24, 16, 8, 3)).astype(np.float32)
    trained = ops.convert_to_numpy(model(image[None], training=True)[0])
    own = load_network(UNETS["instance norm"], path, chunk_voxels=300).softmax(image)
    assert np.abs(own - trained).max() < TOLERANCE
    assert np.abs(load_network(spec, path).softmax(image) - trained).max() > 0.01


@pytest.mark.parametrize("chunk_voxels", [300, 10**6])
@pytest.mark.parametrize("kind", list(REGRESSORS))
def test_a_regressor_equals_its_keras_model(tmp_path, kind, chunk_voxels):
    spec = REGRESSORS[kind]
    path = random_weights(spec, tmp_path / "w.h5")
    groups = np.random.default_rng(1).integers(0, spec.in_channels, (32, 16, 16)).astype(np.uint8)
    expected = plain(build_regressor(spec), path, np.eye(spec.in_channels, dtype=np.float32)[groups])
    scores = load_regressor(spec, path, chunk_voxels=chunk_voxels).predict(groups)
    assert scores.shape == (3,)
    assert np.allclose(scores, expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.fixture
def network(tmp_path):
    spec = UNETS["published kind"]
    return load_network(spec, random_weights(spec, tmp_path / "w.h5"), chunk_voxels=300)


@pytest.fixture
def image():
    return np.random.default_rng(1).random((24, 16, 8, 3)).astype(np.float32)


def test_label_maps_are_encoded_after_the_images_channels():
    rng = np.random.default_rng(0)
    image, groups = rng.random((6, 4, 2)).astype(np.float32), rng.integers(0, 3, (6, 4, 2))
    inputs = Inputs(image=image, groups=groups, n_groups=3)
    expected = np.concatenate([image[..., None], np.eye(3, dtype=np.float32)[groups]], axis=-1)
    assert inputs.channels == 4
    assert np.array_equal(inputs.slab(0, 6), expected)
    padded = np.pad(expected, ((2, 1), (0, 0), (0, 0), (0, 0)))
    assert np.array_equal(inputs.slab(-2, 7), padded)


def test_encoded_label_maps_and_plain_channels_give_the_same(network, image):
    groups = image.argmax(axis=-1).astype(np.uint8)
    whole = network.softmax(np.eye(3, dtype=np.float32)[groups])
    assert np.array_equal(network.softmax(Inputs(groups=groups, n_groups=3)), whole)


def test_slabs_cover_the_volume_once_and_in_order(network, image):
    slabs = list(network.slabs(image))
    assert len(slabs) > 1
    assert slabs[0][0].start == 0
    assert slabs[-1][0].stop == 24
    assert all(a.stop == b.start for (a, _), (b, _) in zip(slabs, slabs[1:], strict=False))
    posteriors = np.concatenate([posteriors for _, posteriors in slabs])
    assert posteriors.dtype == np.float32
    assert np.array_equal(posteriors, network.softmax(image))
    assert np.allclose(posteriors.sum(-1), 1, atol=1e-6)


def test_argmax_is_that_of_the_posteriors(network, image):
    labels = network.argmax(image)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, network.softmax(image).argmax(-1))


def test_ties_go_to_the_lowest_channel(tmp_path):
    spec = UNetSpec("unet", 1, 3, features=4, levels=2)
    path = tmp_path / "w.h5"
    write_weights(
        {layer.name: {w: np.zeros(shape) for w, shape in layer.shapes.items()} for layer in spec.layers()}, path
    )
    assert not load_network(spec, path).argmax(np.ones((8, 8, 8, 1), np.float32)).any()


def test_progress_rises_to_one(network, image):
    seen = []
    network.softmax(image, progress=seen.append)
    assert len(seen) > 20
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_a_run_stops_soon_after_it_was_cancelled(network, image):
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) > 5

    with pytest.raises(Cancelled):
        network.softmax(image, cancelled=cancelled)
    assert len(asked) == 6


def test_a_grid_that_does_not_fit_is_refused_with_the_multiple(network):
    with pytest.raises(InputError, match=r"\(24, 16, 12\); pad each side to a multiple of 8"):
        network.softmax(np.zeros((24, 16, 12, 3), np.float32))


def test_wrong_channels_are_refused(network):
    with pytest.raises(InputError, match="takes 3 channels and was given 1"):
        network.argmax(np.zeros((24, 16, 8, 1), np.float32))
    with pytest.raises(InputError, match="differ in shape"):
        Inputs(image=np.zeros((8, 8, 8)), groups=np.zeros((8, 8, 4)), n_groups=2)
    with pytest.raises(InputError, match="neither image nor groups"):
        Inputs()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sixteen_bits_change_posteriors_little(tmp_path, image, precision):
    spec = UNETS["published kind"]
    path = random_weights(spec, tmp_path / "w.h5")
    exact = load_network(spec, path).softmax(image)
    rough = load_network(spec, path, precision).softmax(image)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).mean() < 0.03


def test_the_memory_estimate_grows_with_the_volume_and_shrinks_with_the_precision():
    spec = UNetSpec("unet", 1, 33)
    full = estimate_memory(spec, (192, 224, 224), "float32")
    assert 1e9 < full < 4e9
    assert estimate_memory(spec, (128, 128, 128), "float32") < full
    assert estimate_memory(spec, (192, 224, 224), "bfloat16") < full
