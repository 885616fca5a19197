"""Arrays that travel between two processes through a folder of temporary files.

A volume is two files: ``NAME.npy`` (the array) and ``NAME.json`` (the voxel-to-RAS affine). Both are
written under a temporary name and renamed, the JSON last, so a reader never sees half a volume.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError


def write_array_volume(folder: Path, name: str, data: np.ndarray, affine: np.ndarray) -> Path:
    """Store `data` [x, y, z] or [x, y, z, c] with its affine (4x4, voxel to RAS, mm); return the JSON's path."""
    folder = Path(folder)
    array_path, json_path = folder / f"{name}.npy", folder / f"{name}.json"
    partial = folder / f".{name}.partial"
    with partial.open("wb") as stream:
        np.save(stream, np.ascontiguousarray(data), allow_pickle=False)
    os.replace(partial, array_path)
    text = json.dumps({"array": array_path.name, "affine": np.asarray(affine, np.float64).tolist()})
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, json_path)
    return json_path


def read_array_volume(path: Path, mapped: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read what `write_array_volume` stored: (array, affine float64 4x4). `mapped` leaves the array on disk."""
    path = Path(path)
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        data = np.load(path.parent / description["array"], mmap_mode="r" if mapped else None, allow_pickle=False)
        affine = np.asarray(description["affine"], np.float64).reshape(4, 4)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"The exchange file {path} cannot be read ({error}); run the scan again.") from error
    return data, affine
