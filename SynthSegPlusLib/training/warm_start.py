"""Start a network from the weights of another role's: what is shared is copied, what is not stays fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import ModelError


def warm_start(model: Any, path: str | Path) -> list[str]:
    """Copy into ``model`` every weight of the file at ``path`` that fits, and return the layers that were filled.

    Layers correspond by name without the prefix (unet, unet2, unet_parc). The first convolution may have more input
    channels than the file's: the file's channels come first (the image), the new ones start at zero, so that the
    network begins by doing exactly what the other did. A head of another size stays fresh. `ModelError` where the
    file cannot be read or nothing fits.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise ModelError(f"The weight file {path} to start from does not exist; train it first or remove warm_start.")
    with h5py.File(path) as file:
        root = file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file
        sources = {_stem(name): root[name] for name in root}
        filled = [layer.name for layer in model.layers if layer.weights and _fill(layer, sources)]
    if not filled:
        raise ModelError(f"No weight of {path} fits this network; it belongs to another architecture.")
    return filled


def _stem(name: str) -> str:
    for part in ("_conv_", "_bn_", "_likelihood"):
        if part in name:
            return name[name.index(part) :]
    return name


def _fill(layer: Any, sources: dict[str, Any]) -> bool:
    group = sources.get(_stem(layer.name))
    if group is None:
        return False
    inner = next(iter(group.values()))
    new = {}
    for weight in layer.weights:
        values = np.asarray(inner[f"{weight.name}:0"][()], np.float32)
        shape = tuple(weight.shape)
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
