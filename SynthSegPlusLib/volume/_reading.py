"""Choosing the reader of a file, and what all of them share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume._volume import Volume

NIFTI = (".nii", ".nii.gz")
MGH = (".mgz", ".mgh")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
DICOM = (".dcm", ".ima", ".dicom")
NUMPY = (".npz",)
READABLE = NIFTI + MGH + ITK + DICOM + NUMPY


def extension(path: Path) -> str:
    """Extension among the known ones, in lower case (".nii.gz" as a whole); empty where unknown."""
    name = path.name.lower()
    return max((ext for ext in READABLE if name.endswith(ext)), key=len, default="")


def stem(path: Path) -> str:
    """File name without folder and known extension."""
    return path.name[: len(path.name) - len(extension(path))] or path.name


def read(path: Path, frame: int = 0) -> Volume:
    """Read a volume; see Volume.read."""
    ext = _checked_extension(path)
    try:
        if path.is_dir() or ext in DICOM:
            from SynthSegPlusLib.volume._dicom import read_dicom as reader
        elif ext in NIFTI:
            from SynthSegPlusLib.volume._nifti import read_nifti as reader
        elif ext in MGH:
            from SynthSegPlusLib.volume._mgh import read_mgh as reader
        elif ext in ITK:
            from SynthSegPlusLib.volume._itk import read_itk as reader
        else:
            from SynthSegPlusLib.volume._npz import read_npz as reader
        return reader(path, frame)
    except MemoryError as error:
        raise InputError(
            f"{path.name} needs more memory than there is; if the scan is not that large, its header is damaged."
        ) from error
    except PermissionError as error:
        raise InputError(f"{path.name} may not be read: permission denied. Check the rights of the file.") from error


def one_frame(data: np.ndarray, frame: int, name: str) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """Three spatial axes of an array that may have more (time, echoes, components): one frame of the rest."""
    if 0 in data.shape:
        raise InputError(f"{name} holds no voxels: its shape is {data.shape}. Export the scan again.")
    if data.ndim < 3 or 1 in data.shape[:3]:
        raise InputError(
            f"{name} is a single 2-D slice (shape {' x '.join(map(str, data.shape))}); a 3-D scan is needed."
        )
    if np.issubdtype(data.dtype, np.complexfloating):
        raise InputError(f"{name} holds complex numbers; give the magnitude image instead.")
    if data.dtype.fields is not None:
        raise InputError(f"{name} is a colour (RGB) picture; give the original scan with one intensity per voxel.")
    if not (np.issubdtype(data.dtype, np.number) or data.dtype == bool):
        raise InputError(f"{name} holds values of type {data.dtype}, which are not intensities.")
    rest = data.reshape(*data.shape[:3], -1)
    count = rest.shape[3]
    if not -count <= frame < count:
        raise InputError(f"{name} has {count} frames, numbered 0 to {count - 1}; frame {frame} does not exist.")
    if count == 1:
        return rest[..., 0], ()
    found = Finding(
        "several-frames",
        "warning",
        f"The file holds {count} volumes; number {frame % count} (counted from 0) is used.",
        "Give the volume you mean as a file of its own, or choose the frame.",
    )
    return rest[..., frame], (found,)


def _checked_extension(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_dir():
        return ""
    ext = extension(path)
    if not ext:
        raise InputError(
            f"{path.name} has an extension that is not supported; give one of {', '.join(READABLE)}, or a folder of "
            "DICOM files."
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty (0 bytes); copy or export it again.")
    return ext
