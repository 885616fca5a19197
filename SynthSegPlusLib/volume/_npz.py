"""Reading numpy archives: key `vol_data`, optionally `affine`."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume._reading import one_frame, stem
from SynthSegPlusLib.volume._volume import Volume


def read_npz(path: Path, frame: int = 0) -> Volume:
    """Read one npz file; without an affine its axes are taken as R, A, S at 1 mm."""
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            raise InputError(f"{path.name} is not a readable npz archive; save it again with numpy.savez.")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if "vol_data" not in archive:
                raise InputError(f"{path.name} has no array named vol_data; save the scan under that name.")
            data = archive["vol_data"]
            affine = archive["affine"] if "affine" in archive else None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path.name} is not a readable npz archive ({error}); save it again.") from error
    data, findings = one_frame(data, frame, path.name)
    if affine is None:
        findings += (
            Finding(
                "no-orientation",
                "warning",
                "The archive states no orientation: its axes are taken as right, anterior, superior at 1 mm.",
                "Save the voxel-to-RAS matrix as `affine` beside `vol_data`.",
            ),
        )
    return Volume(data, np.eye(4) if affine is None else affine, stem(path), path, findings=findings)
