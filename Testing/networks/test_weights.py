"""Weight files are read completely or not at all."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import ModelError, OutputError
from SynthSegPlusLib.networks import UNetSpec, read_weights, write_weights

SPEC = UNetSpec("unet", 2, 3, features=4, levels=2)


def some_weights(spec=SPEC, seed=0):
    rng = np.random.default_rng(seed)
    return {
        layer.name: {weight: rng.normal(size=shape).astype(np.float32) for weight, shape in layer.shapes.items()}
        for layer in spec.layers()
    }


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "weights.h5"
    write_weights(some_weights(), path)
    return path


def assert_equal(ours, theirs, tolerance=0.0):
    assert list(ours) == list(theirs)
    for layer, values in theirs.items():
        for weight, value in values.items():
            assert np.allclose(ours[layer][weight], value, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 1e-3)])
def test_what_was_written_is_read(tmp_path, dtype, tolerance):
    write_weights(some_weights(), tmp_path / "w.h5", dtype)
    assert_equal(read_weights(tmp_path / "w.h5", SPEC.layers()), some_weights(), tolerance)


def test_a_file_lists_its_layers_and_weights_as_published_files_do(stored):
    with h5py.File(stored) as file:
        assert file.attrs["layer_names"][0] == b"unet_conv_downarm_0_0"
        names = file["unet_bn_up_0"].attrs["weight_names"]
        assert names.tolist() == [
            f"unet_bn_up_0/{weight}:0".encode() for weight in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        assert file["unet_likelihood/unet_likelihood/kernel:0"].shape == (1, 1, 1, 4, 3)


def test_the_layout_of_a_whole_saved_model_is_read_too(stored, tmp_path):
    with h5py.File(stored) as source, h5py.File(tmp_path / "model.h5", "w") as file:
        group = file.create_group("model_weights")
        for name in source:
            source.copy(name, group)
        file.create_group("optimizer_weights")
    assert_equal(read_weights(tmp_path / "model.h5", SPEC.layers()), some_weights())


def test_layer_names_that_were_split_into_pieces_mark_the_root(stored, tmp_path):
    with h5py.File(stored, "r+") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:3], names[3:]
        file.create_group("model_weights")
    assert_equal(read_weights(stored, SPEC.layers()), some_weights())


def test_very_many_layer_names_are_split_when_written(tmp_path):
    path = tmp_path / "many.h5"
    write_weights({f"layer_with_a_rather_long_name_{number:06d}": {} for number in range(3000)}, path)
    with h5py.File(path) as file:
        assert "layer_names" not in file.attrs
        pieces = [file.attrs[name] for name in sorted(file.attrs) if name.startswith("layer_names")]
        assert sum(map(len, pieces)) == 3000


def test_a_missing_weight_is_named_with_its_file(stored):
    with h5py.File(stored, "r+") as file:
        del file["unet_bn_up_0/unet_bn_up_0/beta:0"]
    with pytest.raises(ModelError, match=r"weights\.h5 lacks 1 of the 26 weights .*unet_bn_up_0/beta"):
        read_weights(stored, SPEC.layers())


def test_a_file_of_another_network_names_only_the_first_that_it_lacks(stored):
    with pytest.raises(ModelError, match=r"lacks 26 of .*l2l_conv_downarm_0_0/kernel, .*, \.\.\."):
        read_weights(stored, UNetSpec("l2l", 2, 3, features=4, levels=2).layers())


def test_a_weight_of_another_shape_is_named_with_both_shapes(stored):
    with pytest.raises(ModelError, match=r"downarm_0_0/kernel has shape \(3, 3, 3, 2, 4\) .* \(3, 3, 3, 1, 4\)"):
        read_weights(stored, UNetSpec("unet", 1, 3, features=4, levels=2).layers())


def test_weights_that_are_not_numbers_are_refused(stored):
    with h5py.File(stored, "r+") as file:
        file["unet_likelihood/unet_likelihood/bias:0"][0] = np.nan
    with pytest.raises(ModelError, match="unet_likelihood/bias holds NaN"):
        read_weights(stored, SPEC.layers())


def test_a_file_that_is_missing_truncated_or_something_else_is_refused_in_words(stored, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        read_weights(tmp_path / "nowhere.h5", SPEC.layers())
    whole = stored.read_bytes()
    for content in (b"", b"not HDF5 at all", whole[: len(whole) // 2]):
        stored.write_bytes(content)
        with pytest.raises(ModelError, match="cannot be read as HDF5"):
            read_weights(stored, SPEC.layers())


def test_what_overflows_half_precision_is_not_written(tmp_path):
    weights = some_weights()
    weights["unet_bn_up_0"]["gamma"][0] = 1e6
    with pytest.raises(ModelError, match="unet_bn_up_0/gamma is not finite as float16"):
        write_weights(weights, tmp_path / "w.h5", "float16")
    assert not os.listdir(tmp_path)


def test_an_unwritable_place_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        write_weights(some_weights(), tmp_path / "nowhere" / "w.h5")


def test_the_starter_file_fits_its_description(shared):
    path = shared / "weights" / "starter_2mm" / "starter_s_2mm.h5"
    spec = UNetSpec("unet", 1, 33, features=16, levels=4)
    weights = read_weights(path, spec.layers())
    assert sum(value.size for values in weights.values() for value in values.values()) == 1_461_537
