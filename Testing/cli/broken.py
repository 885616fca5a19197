"""Files that are broken in many ways, made from whole ones."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np

from SynthSegPlusLib.inference import ModelSet
from Testing.cli.conftest import write_scan

# Byte offsets in a NIfTI-1 header.
DIM, DATATYPE, PIXDIM, SFORM_CODE, SROW, MAGIC = 40, 70, 76, 254, 280, 344


def nifti_with(offset: int, layout: str, *values: object) -> Callable[[Path], Path]:
    """A scan whose header has other bytes at an offset."""

    def make(folder: Path) -> Path:
        raw = bytearray(gzip.decompress(write_scan(folder / "s.nii.gz").read_bytes()))
        struct.pack_into(layout, raw, offset, *values)
        path = folder / "s.nii"
        path.write_bytes(bytes(raw))
        return path

    return make


def nifti_of(data: np.ndarray, affine: np.ndarray | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "s.nii.gz"
        nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
        return path

    return make


def raw_file(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return folder / name

    return make


def cut(name: str, share: float = 0.6) -> Callable[[Path], Path]:
    """A file in some format that ends too early."""

    def make(folder: Path) -> Path:
        path = write_scan(folder / name)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return make


def npz_of(**arrays: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "s.npz", **arrays)
        return folder / "s.npz"

    return make


def rgb(folder: Path) -> Path:
    colours = np.zeros((16, 16, 16), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return nifti_of(colours)(folder)


def folder_with(name: str | None, content: bytes = b"") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "series").mkdir(parents=True)
        if name is not None:
            (folder / "series" / name).write_bytes(content)
        return folder / "series"

    return make


def model_set(change: Callable[[Path, dict], None]) -> Callable[[Path], Path]:
    """A copy of the bundled set, changed: `change(folder, description)` may edit both."""

    def make(folder: Path) -> Path:
        target = folder / "set"
        shutil.copytree(ModelSet.find().folder, target)
        description = json.loads((target / "model_set.json").read_text())
        change(target, description)
        (target / "model_set.json").write_text(json.dumps(description))
        return target

    return make


def edited_weights(edit: Callable[[h5py.File], None], with_checksum: bool = True) -> Callable[[Path], Path]:
    """The bundled set with weights that were edited, and a checksum that agrees with the edited file."""

    def change(folder: Path, description: dict) -> None:
        role = next(iter(description["roles"].values()))
        path = folder / role["file"]
        with h5py.File(path, "r+") as file:
            edit(file)
        if with_checksum:
            role["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()

    return model_set(change)


def first_kernel(file: h5py.File) -> str:
    names: list[str] = []
    file.visit(lambda name: names.append(name) if "conv_downarm_0_0" in name and name.endswith("kernel:0") else None)
    return names[0]


def reshape_kernel(file: h5py.File) -> None:
    name = first_kernel(file)
    del file[name]
    file[name] = np.zeros((3, 3, 3, 2, 16), np.float32)


def drop_kernel(file: h5py.File) -> None:
    del file[first_kernel(file)]


def poison_kernel(file: h5py.File) -> None:
    file[first_kernel(file)][0, 0, 0, 0, 0] = np.nan


def not_hdf5(folder: Path, description: dict) -> None:
    role = next(iter(description["roles"].values()))
    (folder / role["file"]).write_bytes(b"<html>moved</html>" * 100)
    role["sha256"] = ""


def cut_weights(folder: Path, description: dict) -> None:
    role = next(iter(description["roles"].values()))
    path = folder / role["file"]
    path.write_bytes(path.read_bytes()[:100_000])


def without_weights(folder: Path, description: dict) -> None:
    role = next(iter(description["roles"].values()))
    (folder / role["file"]).unlink()


def setting(key: str, value: object) -> Callable[[Path, dict], None]:
    return lambda folder, description: description.__setitem__(key, value)
