"""A narrow network as the first features of a wide one: begins by doing what the narrow one does."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.networks import UNetSpec, build_unet, save_weights
from SynthSegPlusLib.training.command import CONFIGS, load
from SynthSegPlusLib.training.tasks import role_spec
from SynthSegPlusLib.training.warm_start import warm_start

NARROW = {"features": 4, "levels": 3, "norm": "instance"}
WIDE = {**NARROW, "features": 7}
LABELS = 5
BUNDLED = CONFIGS.parents[1] / "models" / "starter_cascade_2mm"


def numpy(tensor):
    import keras

    return keras.ops.convert_to_numpy(tensor)


def network(prefix="unet", channels=1, labels=LABELS, **shape):
    return build_unet(UNetSpec(prefix, channels, labels, **shape), False)


def narrow(folder, channels=1, **shape):
    """A network whose weights, those of its norms too, are nobody's defaults; its file is ``narrow.h5``."""
    model = network(channels=channels, **{**NARROW, **shape})
    rng = np.random.default_rng(5)
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(numpy(weight) + 0.2 * rng.standard_normal(weight.shape))
    save_weights(model, folder / "narrow.h5")
    return model


def image(channels=1):
    return np.random.default_rng(6).random((1, 16, 24, 16, channels)).astype(np.float32)


def with_weights(model):
    return [layer.name for layer in model.layers if layer.weights]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("skips", ["all", "none"])
@pytest.mark.parametrize("convolutions", [1, 2])
def test_a_wide_network_begins_by_computing_what_the_narrow_one_does(tmp_path, channels, skips, convolutions):
    shape = {"skips": skips, "convolutions": convolutions}
    old, new = narrow(tmp_path, channels, **shape), network("unet2", channels, **WIDE, **shape)
    wanted = numpy(old(image(channels)))
    assert np.abs(numpy(new(image(channels))) - wanted).max() > 0.1
    assert warm_start(new, tmp_path / "narrow.h5") == with_weights(new)
    np.testing.assert_allclose(numpy(new(image(channels))), wanted, atol=2e-4)


def test_more_inputs_and_more_features_at_once(tmp_path):
    """S2 from a narrower S: what it is given besides the scan changes nothing yet."""
    old, new = narrow(tmp_path), network("unet2", 3, **WIDE)
    warm_start(new, tmp_path / "narrow.h5")
    given = np.concatenate([image(), image(2)], -1)
    np.testing.assert_allclose(numpy(new(given)), numpy(old(image())), atol=2e-4)


def test_new_features_see_the_old_ones_and_the_scan(tmp_path):
    narrow(tmp_path)
    new = network(**WIDE)
    warm_start(new, tmp_path / "narrow.h5")
    for layer in new.layers:
        if "_conv_" in layer.name:
            kernel = numpy(layer.kernel)
            old = NARROW["features"] * kernel.shape[-1] // WIDE["features"]
            assert np.all(np.abs(kernel[..., old:]).sum(axis=(0, 1, 2, 4)) > 0), layer.name


def test_nothing_is_stuck_at_zero(tmp_path):
    """The head hears of the new features at the first step, what is before it then."""
    import keras

    narrow(tmp_path)
    new = network(**WIDE)
    warm_start(new, tmp_path / "narrow.h5")
    before = [numpy(weight).copy() for weight in new.trainable_variables]
    new.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    truth = np.random.default_rng(7).integers(LABELS, size=(1, 16, 24, 16))
    for _ in range(2):
        new.train_on_batch(image(), truth)
    still = [
        weight.name for weight, old in zip(new.trainable_variables, before, strict=True)
        if weight.name == "kernel" and np.mean(numpy(weight) == old) > 0.01  # a step may round to nothing
    ]  # fmt: skip
    assert not still


def test_another_head_stays_fresh(tmp_path):
    narrow(tmp_path)
    new = network("unet_parc", labels=LABELS + 2, **WIDE)
    fresh = numpy(new.get_layer("unet_parc_likelihood").kernel).copy()
    filled = warm_start(new, tmp_path / "narrow.h5")
    assert filled == with_weights(new)[:-1]
    np.testing.assert_array_equal(numpy(new.get_layer("unet_parc_likelihood").kernel), fresh)


def test_a_narrower_network_cannot_go_on_from_a_wide_one(tmp_path):
    save_weights(network(**WIDE), tmp_path / "wide.h5")
    with pytest.raises(ModelError, match="another architecture"):
        warm_start(network(**NARROW, labels=LABELS + 1), tmp_path / "wide.h5")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"convolutions": 1}, "a convolution that the network lacks"),
        ({"kernel": 5}, "kernels of 3 voxels a side and the network of 5"),
        ({"plateau": 1}, "8 features and the network 7"),
        ({"channels": 1}, "2 input channels and the network 1"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(tmp_path, other, words):
    narrow(tmp_path, channels=1 + ("channels" in other))
    with pytest.raises(ModelError, match=rf"encoder in .* does not fit this network: .*{words}"):
        warm_start(network(**{**WIDE, **other}), tmp_path / "narrow.h5")


@pytest.mark.parametrize("role", ["segmenter", "tissue", "denoiser", "structure", "parcellation"])
def test_the_configurations_of_the_bundled_set_go_on_from_it(role):
    config = load(f"cpu_2mm/{role}", role, BUNDLED)
    model = build_unet(role_spec(role, config.network), False)
    assert warm_start(model, config.warm_start) == with_weights(model)


@pytest.mark.parametrize("role", ["segmenter", "structure"])
def test_networks_that_were_grown_narrow_can_go_on_wide(role):
    kept = CONFIGS.with_name("starts") / "grown_1mm"
    config = load(f"grown_1mm/{role}", role, kept)
    model = build_unet(role_spec(role, {**config.network, "features": 32}), False)
    assert warm_start(model, config.warm_start) == with_weights(model)
