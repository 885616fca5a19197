"""A coarse network as the deeper levels of a fine one: begins by doing what the coarse one does."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.networks import UNetSpec, build_unet, save_weights
from SynthSegPlusLib.training.command import CONFIGS, load
from SynthSegPlusLib.training.grow import grow, levels
from SynthSegPlusLib.training.tasks import role_spec
from SynthSegPlusLib.training.warm_start import warm_start

COARSE = {"features": 6, "levels": 2, "norm": "instance"}
FINE = {**COARSE, "levels": 3, "plateau": 1}
SIDE = 16
STARTS = CONFIGS.with_name("starts")


def numpy(tensor):
    import keras

    return keras.ops.convert_to_numpy(tensor)


def coarse(folder, channels=1, seed=3):
    import keras

    keras.utils.set_random_seed(seed)
    model = build_unet(UNetSpec("unet", channels, 4, **COARSE), False)
    rng = np.random.default_rng(seed)
    for layer in model.layers:  # gammas and betas of a trained network are not 1 and 0
        if "_bn_" in layer.name:
            for weight, mean in zip(layer.weights, (1.0, 0.0), strict=True):
                weight.assign(mean + 0.3 * rng.standard_normal(weight.shape))
    save_weights(model, folder / "coarse.h5")
    return model


def mask_like(rng, channels):
    """Two values whose mean and deviation are those that the new level's norm gives its input."""
    return np.where(rng.random((1, SIDE, SIDE, SIDE, channels)) < 0.41, 0.61, 0.0).astype(np.float32)


def repeated(values):
    for axis in (1, 2, 3):
        values = np.repeat(values, 2, axis)
    return values


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("prefix", ["unet", "unet2"])
def test_a_grown_network_begins_as_the_coarse_one_on_merged_voxels(tmp_path, channels, prefix):
    old = coarse(tmp_path, channels)
    new = build_unet(UNetSpec(prefix, channels, 4, **FINE), False)
    image = mask_like(np.random.default_rng(1), channels)
    wanted = repeated(numpy(old(image)))
    fresh = numpy(new(repeated(image)))
    filled = warm_start(new, tmp_path / "coarse.h5")
    assert len(filled) == len([layer for layer in new.layers if layer.weights])
    found = numpy(new(repeated(image)))
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.97
    assert np.mean(found.argmax(-1) == wanted.argmax(-1)) > 0.9
    assert np.corrcoef(fresh.ravel(), wanted.ravel())[0, 1] < 0.8


def test_two_levels_can_be_added(tmp_path):
    old = coarse(tmp_path)
    new = build_unet(UNetSpec("unet", 1, 4, **{**FINE, "levels": 4, "plateau": 2}), False)
    image = mask_like(np.random.default_rng(2), 1)
    assert len(warm_start(new, tmp_path / "coarse.h5")) == len([layer for layer in new.layers if layer.weights])
    found, wanted = numpy(new(repeated(repeated(image)))), repeated(repeated(numpy(old(image))))
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("convolutions", [1, 3])
def test_levels_may_have_other_numbers_of_convolutions(tmp_path, convolutions):
    shape = {"convolutions": convolutions, "skips": "none"}
    old = build_unet(UNetSpec("unet", 1, 4, **COARSE, **shape), False)
    save_weights(old, tmp_path / "coarse.h5")
    new = build_unet(UNetSpec("unet", 1, 4, **FINE, **shape), False)
    image = mask_like(np.random.default_rng(3), 1)
    warm_start(new, tmp_path / "coarse.h5")
    found, wanted = numpy(new(repeated(image))), repeated(numpy(old(image)))
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.95


def test_everything_that_the_coarse_network_was_is_still_there(tmp_path):
    old = coarse(tmp_path)
    new = build_unet(UNetSpec("unet", 1, 4, **FINE), False)
    warm_start(new, tmp_path / "coarse.h5")
    for name, source in (("unet_conv_downarm_2_1", "unet_conv_downarm_1_1"), ("unet_bn_down_1", "unet_bn_down_0"),
                         ("unet_conv_uparm_3_0", "unet_conv_uparm_2_0"), ("unet_bn_up_0", "unet_bn_up_0"),
                         ("unet_likelihood", "unet_likelihood")):  # fmt: skip
        for ours, theirs in zip(new.get_layer(name).weights, old.get_layer(source).weights, strict=True):
            assert np.array_equal(numpy(ours), numpy(theirs)), name
    entrance = numpy(new.get_layer("unet_conv_downarm_1_0").kernel)
    assert np.array_equal(entrance[..., :1, :], numpy(old.get_layer("unet_conv_downarm_0_0").kernel))
    assert not entrance[..., 1:, :].any()


def test_a_narrower_finest_level_takes_what_fits(tmp_path):
    coarse(tmp_path)
    new = build_unet(UNetSpec("unet", 1, 4, features=3, levels=3, norm="instance"), False)
    filled = warm_start(new, tmp_path / "coarse.h5")
    assert "unet_conv_downarm_1_1" in filled
    assert "unet_likelihood" not in filled  # its three features are not the coarse network's six


@pytest.mark.parametrize("features", [3, 12])
def test_old_levels_of_other_widths_are_refused(tmp_path, features):
    coarse(tmp_path)
    new = build_unet(UNetSpec("unet", 1, 4, **{**FINE, "features": features}), False)
    with pytest.raises(ModelError, match=f"at conv_downarm_1_0 the file has 6 features and the network {features}"):
        warm_start(new, tmp_path / "coarse.h5")


def test_a_network_with_fewer_levels_is_not_grown(tmp_path):
    model = build_unet(UNetSpec("unet", 1, 4, **{**COARSE, "levels": 3}), False)
    save_weights(model, tmp_path / "deep.h5")
    small = build_unet(UNetSpec("other", 2, 5, features=5, levels=2, norm="instance"), False)
    with pytest.raises(ModelError, match="another architecture"):
        warm_start(small, tmp_path / "deep.h5")


def test_the_levels_of_a_deeper_network_are_not_lost_without_a_word(tmp_path):
    save_weights(build_unet(UNetSpec("unet", 1, 4, **{**COARSE, "levels": 3}), False), tmp_path / "deep.h5")
    with pytest.raises(ModelError, match="at conv_downarm_2_0 the file has a convolution that the network lacks"):
        warm_start(build_unet(UNetSpec("unet", 1, 4, **COARSE), False), tmp_path / "deep.h5")


def test_a_damaged_file_to_start_from_is_refused(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"no weights at all")
    with pytest.raises(ModelError, match="cannot be read"):
        warm_start(build_unet(UNetSpec("unet", 1, 4, **COARSE), False), tmp_path / "broken.h5")


def test_grown_weights_have_the_shapes_of_the_fine_network(tmp_path):
    def layers(model):
        return {
            layer.name.removeprefix("unet"): {weight.name: numpy(weight) for weight in layer.weights}
            for layer in model.layers
            if layer.weights
        }

    old, fresh = layers(coarse(tmp_path)), layers(build_unet(UNetSpec("unet", 1, 4, **FINE), False))
    found = grow(old, fresh)
    assert (levels(old), levels(found)) == (2, 3)
    assert {name: {key: value.shape for key, value in values.items()} for name, values in found.items()} == {
        name: {key: value.shape for key, value in values.items()} for name, values in fresh.items()
    }


@pytest.mark.parametrize("role", ["segmenter", "tissue", "denoiser", "structure", "parcellation"])
def test_the_kept_weights_fill_the_networks_of_their_configurations(role):
    config = load(f"grown_1mm/{role}", role, STARTS / "grown_1mm")
    model = build_unet(role_spec(role, config.network), False)
    filled = warm_start(model, config.warm_start)
    assert len(filled) == len([layer for layer in model.layers if layer.weights])
