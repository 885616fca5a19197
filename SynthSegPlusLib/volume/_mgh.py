"""Reading FreeSurfer's MGH and MGZ."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume._nifti import BROKEN, damaged, open_maybe_gzip, stored_numbers
from SynthSegPlusLib.volume._reading import one_frame, stem
from SynthSegPlusLib.volume._volume import Volume


def read_mgh(path: Path, frame: int = 0) -> Volume:
    """Read one MGH or MGZ file."""
    compressed = path.name.lower().endswith(".mgz")
    try:
        with open_maybe_gzip(path, compressed) as stream:
            block = stream.read(284)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, error) from error
    if block[:4] != b"\0\0\0\1" or len(block) < 42:
        raise InputError(f"{path.name} is not an MGH file: it lacks the format's signature. Export the scan again.")
    dims = np.frombuffer(block, ">i4", 4, 4)
    if np.any(dims <= 0):
        raise InputError(f"{path.name} holds no voxels: its header states the shape {dims.tolist()}.")
    placed = int.from_bytes(block[28:30], "big") > 0
    sizes = np.frombuffer(block, ">f4", 3, 30).astype(np.float64)
    if placed and not (np.isfinite(sizes).all() and np.all(sizes > 0)):
        raise InputError(f"{path.name} states voxel sizes of {sizes.tolist()}; they must be above 0 mm.")
    try:
        # From a stream that is closed here: nibabel would leave the file open.
        with open_maybe_gzip(path, compressed) as stream:
            image: Any = nib.MGHImage.from_stream(stream)
            data = np.array(stored_numbers(image))
    except BROKEN as error:
        raise damaged(path, error) from error
    data, findings = one_frame(data, frame, path.name)
    if not placed:
        findings += (
            Finding(
                "no-orientation",
                "warning",
                "The header states no orientation, so left and right are a guess.",
                "Check the sides by eye.",
            ),
        )
    sizes = np.array(image.header["delta"], np.float64)
    return Volume(data, image.affine, stem(path), path, image.header, sizes, findings)
