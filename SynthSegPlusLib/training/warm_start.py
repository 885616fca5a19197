"""Start a network from the weights of another role's: what is shared is copied, what is not stays fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.training.grow import Layers, grow, is_unet, levels
from SynthSegPlusLib.training.widen import is_narrower, widen


def warm_start(model: Any, path: str | Path) -> list[str]:
    """Copy into ``model`` every weight of the file at ``path`` that fits, and return the layers that were filled.

    Layers correspond by name without the prefix (unet, unet2, unet_parc). The first convolution may have more input
    channels than the file's: the file's channels come first (the image), the new ones start at zero, so that the
    network begins by doing exactly what the other did. A head of another size stays fresh. A U-Net with more levels
    than the file's goes on from it as from one that sees larger voxels (`grow`); one with as many levels and
    more features begins by doing exactly what the file's did (`widen`). `ModelError` where the file cannot be read,
    nothing fits, or a convolution of the file's encoder has no place: the rest makes no sense without it.
    """
    path = need_source(path)
    sources = _read(path)
    fresh = {
        _stem(layer.name): {weight.name: _numpy(weight) for weight in layer.weights}
        for layer in model.layers
        if layer.weights
    }
    if is_unet(fresh) and is_unet(sources):
        if levels(fresh) > levels(sources):
            sources = grow(sources, fresh)
        elif is_narrower(sources, fresh):
            sources = widen(sources, fresh)
    filled = [layer.name for layer in model.layers if layer.weights and _fill(layer, sources)]
    if not filled:
        raise ModelError(f"No weight of {path} fits this network; it belongs to another architecture.")
    _need_encoder(path, sources, fresh, {_stem(name) for name in filled})
    return filled


def need_source(path: str | Path) -> Path:
    """The weight file to start from; `ModelError` where it is missing."""
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"The weight file {path} to start from does not exist; train it first or remove warm_start.")
    return path


def _need_encoder(path: Path, sources: Layers, fresh: Layers, filled: set[str]) -> None:
    left_out = sorted(name for name in sources if name.startswith("_conv_downarm_") and name not in filled)
    if left_out:
        name = left_out[0]
        raise ModelError(
            f"The encoder in {path} does not fit this network: at {name.lstrip('_')} the file has "
            f"{_difference(sources[name], fresh.get(name))}; give the network the file's numbers (such as features, "
            f"levels, plateau), or remove warm_start."
        )


def _difference(old: dict[str, np.ndarray], new: dict[str, np.ndarray] | None) -> str:
    if new is None:
        return "a convolution that the network lacks"
    ours, theirs = new["kernel"].shape, old["kernel"].shape
    if theirs[0] != ours[0]:
        return f"kernels of {theirs[0]} voxels a side and the network of {ours[0]}"
    if theirs[3] > ours[3]:  # fewer would have been given room
        return f"{theirs[3]} input channels and the network {ours[3]}"
    return f"{theirs[4]} features and the network {ours[4]}"


def _read(path: Path) -> Layers:
    import h5py

    found: Layers = {}
    try:
        with h5py.File(path) as file:
            root = file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file
            for name, layer in root.items():
                for inner in layer.values() if isinstance(layer, h5py.Group) else ():
                    weights = inner.items() if isinstance(inner, h5py.Group) else ()
                    values = {key.split(":")[0]: np.asarray(one[()], np.float32)
                              for key, one in weights if isinstance(one, h5py.Dataset)}  # fmt: skip
                    found.setdefault(_stem(name), {}).update(values)
    except OSError as error:
        raise ModelError(f"The weight file {path} to start from cannot be read ({error}); train it again.") from error
    return {name: values for name, values in found.items() if values}


def _numpy(variable: Any) -> np.ndarray:
    import keras

    values: np.ndarray = keras.ops.convert_to_numpy(variable)
    return values


def _stem(name: str) -> str:
    for part in ("_conv_", "_bn_", "_likelihood"):
        if part in name:
            return name[name.index(part) :]
    return name


def _fill(layer: Any, sources: Layers) -> bool:
    source = sources.get(_stem(layer.name))
    if source is None:
        return False
    new = {}
    for weight in layer.weights:
        values = source.get(weight.name)
        shape = tuple(weight.shape)
        if values is None:
            return False
        if values.shape != shape and values.ndim == 5 and values.shape[3] < shape[3] and values.shape[4] == shape[4]:
            if "downarm_0_0" not in layer.name:
                return False
            extra = np.zeros((*shape[:3], shape[3] - values.shape[3], shape[4]), np.float32)
            values = np.concatenate([values, extra], 3)
        if values.shape != shape:
            return False
        new[weight.name] = values
    for weight in layer.weights:
        weight.assign(new[weight.name])
    return True
