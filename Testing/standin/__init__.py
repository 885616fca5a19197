"""Stand-in weight files: named and laid out as the published ones, filled with reproducible random numbers.

The reference's outputs for exactly these weights are stored as fixtures, so that parity is tested
without the published weights. Run ``python -m Testing.standin FOLDER`` to write the files by hand.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from SynthSegPlusLib.networks import PUBLISHED

_DESCRIPTION = Path(__file__).with_name("last_layers.json")

ROLES: dict[str, tuple[str, ...]] = {
    "synthseg_1.0.h5": ("S 1.0",),
    "synthseg_2.0.h5": ("S 2.0",),
    "synthseg_robust_2.0.h5": ("S1", "D", "S2"),
    "synthseg_parc_2.0.h5": ("S3",),
    "synthseg_qc_2.0.h5": ("R",),
}
"""File name -> networks of `PUBLISHED` that it holds."""


def file_of(role: str) -> str:
    """Name of the weight file that holds a network."""
    return next(name for name, roles in ROLES.items() if role in roles)


def write_standin(folder: Path, *names: str) -> Path:
    """Write the stand-in files (all five, or those named) into ``folder``; existing ones are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ROLES:
        if not (folder / name).exists():
            _write(folder / name)
    return folder


def checksum(name: str) -> str:
    """SHA-256 over all datasets of a stand-in file: path and little-endian float32 values, by path."""
    digest = hashlib.sha256()
    for path, value in sorted(_datasets(name), key=lambda pair: pair[0]):
        digest.update(path.encode())
        digest.update(value.astype("<f4").tobytes())
    return digest.hexdigest()


def expected_checksum(name: str) -> str:
    """The checksum of the file that the reference was run with."""
    return json.loads(_DESCRIPTION.read_text())[name]["sha256"]


def _datasets(name: str) -> Iterator[tuple[str, np.ndarray]]:
    last_layers = json.loads(_DESCRIPTION.read_text())[name]["last_layers"]
    for role in ROLES[name]:
        for layer in PUBLISHED[role].layers():
            special = last_layers.get(layer.name, {})
            for weight, shape in layer.shapes.items():
                path = f"{layer.name}/{layer.name}/{weight}:0"
                yield path, _value(f"{name}:{path}", weight, shape, special)


def _value(seed: str, weight: str, shape: tuple[int, ...], special: dict) -> np.ndarray:
    if weight == "bias" and "bias" in special:
        return np.asarray(special["bias"], np.float64).astype(np.float32)
    z = np.random.Generator(np.random.PCG64(zlib.crc32(seed.encode()))).standard_normal(shape)
    match weight:
        case "kernel":
            z = z * np.sqrt(2.0 / np.prod(shape[:-1])) * special.get("kernel_scale", 1.0)
        case "bias":
            z = z * 0.05
        case "gamma":
            z = 1 + 0.1 * z
        case "moving_variance":
            z = 1 + 0.2 * np.abs(z)
        case _:
            z = 0.1 * z
    return z.astype(np.float32)


def _write(path: Path) -> None:
    import h5py

    temporary = path.with_suffix(".part")
    with h5py.File(temporary, "w") as file:
        whole_model = json.loads(_DESCRIPTION.read_text())[path.name]["layout"] == "model.save"
        root = file.create_group("model_weights") if whole_model else file
        layers: dict[str, list[bytes]] = {}
        for name, value in _datasets(path.name):
            layer, _, weight = name.split("/")
            root.create_dataset(name, data=value)
            layers.setdefault(layer, []).append(f"{layer}/{weight}".encode())
        root.attrs["layer_names"] = np.array([layer.encode() for layer in layers])
        for layer, weights in layers.items():
            root[layer].attrs["weight_names"] = np.array(weights)
    temporary.replace(path)
