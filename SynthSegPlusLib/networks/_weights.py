"""Weight files: the published HDF5 layouts, read completely or not at all, and written in the same layout."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from SynthSegPlusLib.contract.errors import ModelError, OutputError
from SynthSegPlusLib.networks._specs import WeightedLayer

Weights = dict[str, dict[str, np.ndarray]]
"""Layer name -> weight name -> float32 array."""

_NAMED_IN_MESSAGES = 3
_CHUNK_BYTES = 64000  # HDF5 keeps attributes of at most 64 kB in the object header; Keras splits longer lists.


def read_weights(path: str | Path, layers: Iterable[WeightedLayer]) -> Weights:
    """Read the weights of ``layers`` from an HDF5 file as float32.

    Both layouts are understood: layers at the file's root, or below ``/model_weights`` (a whole saved
    model). Layers that are not asked for are ignored.

    Raises
    ------
    ModelError
        The file is missing, is not HDF5, lacks a weight, or holds one of another shape or with values
        that are not finite. The message names the first of them.
    """
    path, layers = Path(path), list(layers)
    import h5py

    if not path.is_file():
        raise ModelError(f"The weight file {path} does not exist; fetch it or choose another model set.")
    try:
        with h5py.File(path, "r") as file:
            root = _weight_root(file)
            wanted = [(layer, weight) for layer in layers for weight in layer.shapes]
            missing = [f"{layer.name}/{weight}" for layer, weight in wanted if not _find(root, layer, weight)]
            if missing:
                raise ModelError(
                    f"The weight file {path} lacks {len(missing)} of the {len(wanted)} weights of this network "
                    f"({_some(missing)}); it is damaged or belongs to another network."
                )
            return {layer.name: _read_layer(path, root, layer) for layer in layers}
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"The weight file {path} cannot be read as HDF5 ({error}); fetch it again.") from error


def _weight_root(file: Any) -> Any:
    has_names = any(name in file.attrs for name in ("layer_names", "layer_names0"))
    return file["model_weights"] if not has_names and "model_weights" in file else file


def _find(root: Any, layer: WeightedLayer, weight: str) -> str | None:
    import h5py

    for path in (f"{layer.name}/{layer.name}/{weight}:0", f"{layer.name}/{layer.name}/{weight}"):
        if isinstance(root.get(path), h5py.Dataset):
            return path
    return None


def _read_layer(path: Path, root: Any, layer: WeightedLayer) -> dict[str, np.ndarray]:
    values = {}
    for weight, shape in layer.shapes.items():
        dataset = root[_find(root, layer, weight)]
        if dataset.shape != shape:
            raise ModelError(
                f"In the weight file {path}, {layer.name}/{weight} has shape {dataset.shape} where the network needs "
                f"{shape}; the file belongs to another network, or the model set describes this one wrongly."
            )
        values[weight] = np.asarray(dataset[()], np.float32)
        if not np.isfinite(values[weight]).all():
            raise ModelError(f"In the weight file {path}, {layer.name}/{weight} holds NaN or infinity; fetch it again.")
    return values


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED_IN_MESSAGES]) + (", ..." if len(names) > _NAMED_IN_MESSAGES else "")


def model_layers(model: Any, prefix: str | None = None) -> list[WeightedLayer]:
    """The weighted layers of a Keras model, of one network (``prefix``) if it holds several."""
    return [
        WeightedLayer(layer.name, {weight.name: tuple(weight.shape) for weight in layer.weights})
        for layer in model.layers
        if layer.weights and (prefix is None or layer.name.startswith(f"{prefix}_"))
    ]


def load_weights(model: Any, path: str | Path, prefix: str | None = None) -> None:
    """Fill a Keras model from a weight file, by layer name; every weight must be there (`ModelError`)."""
    weights = read_weights(path, model_layers(model, prefix))
    for name, values in weights.items():
        for variable in model.get_layer(name).weights:
            variable.assign(values[variable.name])


def save_weights(
    models: Any | Sequence[Any], path: str | Path, dtype: Literal["float16", "float32"] = "float32"
) -> None:
    """Write the weights of one or several Keras models in the published layout (layers at the root).

    The file appears under its name only when it is complete.

    Raises
    ------
    ModelError
        A weight is not finite, or overflows ``dtype``.
    OutputError
        The file cannot be written.
    """
    models = list(models) if isinstance(models, (list, tuple)) else [models]
    weights: Weights = {
        layer.name: {variable.name: np.asarray(_numpy(variable)) for variable in layer.weights}
        for model in models
        for layer in model.layers
    }
    write_weights(weights, path, dtype)


def _numpy(variable: Any) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(variable)


def write_weights(weights: Weights, path: str | Path, dtype: Literal["float16", "float32"] = "float32") -> None:
    """Write plain arrays as `save_weights` does; a layer with no weights is listed only."""
    import h5py

    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"Cannot write weights to {path}: {error.strerror}; choose another folder.") from error
    temporary = Path(name)
    try:
        with h5py.File(temporary, "w") as file:
            _write_layers(file, weights, dtype)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"Cannot write weights to {path}: {error}; check space and permissions.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_layers(file: Any, weights: Weights, dtype: str) -> None:
    file.attrs["backend"] = b"tensorflow"
    file.attrs["keras_version"] = b"2.3.1"  # what readers of this layout expect to see
    _write_names(file, "layer_names", list(weights))
    for layer, values in weights.items():
        group = file.create_group(layer)
        _write_names(group, "weight_names", [f"{layer}/{weight}:0" for weight in values])
        for weight, value in values.items():
            with np.errstate(over="ignore"):  # the check below says it in words
                stored = np.asarray(value, dtype)
            if not np.isfinite(stored).all():
                raise ModelError(f"{layer}/{weight} is not finite as {dtype}; the training diverged, or use float32.")
            group.create_dataset(f"{layer}/{weight}:0", data=stored)


def _write_names(group: Any, attribute: str, names: list[str]) -> None:
    array = np.array([name.encode() for name in names]) if names else np.zeros((0,), "S1")
    if array.nbytes <= _CHUNK_BYTES:
        group.attrs[attribute] = array
        return
    pieces = np.array_split(array, array.nbytes // _CHUNK_BYTES + 1)
    for index, piece in enumerate(pieces):
        group.attrs[f"{attribute}{index}"] = piece
