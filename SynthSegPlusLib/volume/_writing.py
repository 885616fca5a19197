"""Writing volumes: a file appears under its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from SynthSegPlusLib.contract.errors import OutputError
from SynthSegPlusLib.volume._itk import LPS_TO_RAS, quiet_itk
from SynthSegPlusLib.volume._reading import MGH, NIFTI, NUMPY, extension
from SynthSegPlusLib.volume._volume import Volume

WRITABLE = (*NIFTI, *MGH, ".nrrd", ".mha", *NUMPY)

# Types that MGH can hold, by what they are cast from.
_MGH_TYPES = {"u1": np.uint8, "i2": np.int16, "f4": np.float32}


def write(volume: Volume, path: Path, dtype: Any = None) -> Path:
    """Write a volume; see Volume.write."""
    ext = extension(path)
    if ext not in WRITABLE:
        raise OutputError(f"{path.name} has an extension that cannot be written; use one of {', '.join(WRITABLE)}.")
    if ext in NIFTI:
        writer: Callable[[Volume, Path, Any], None] = _write_nifti
    elif ext in MGH:
        writer = _write_mgh
    elif ext in NUMPY:
        writer = _write_npz
    else:
        writer = _write_itk
    # Always the same name, so that the next run replaces what a killed one left.
    partial = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer(volume, partial, dtype)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1].strip().rstrip(".")
        raise OutputError(
            f"{path} cannot be written ({reason}); check that the folder exists, is writable and has space."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def _write_nifti(volume: Volume, path: Path, dtype: Any) -> None:
    header = volume.header if isinstance(volume.header, nib.Nifti1Header) else None
    large = isinstance(header, nib.Nifti2Header) or max(volume.shape) > 32767
    kind = nib.Nifti2Image if large else nib.Nifti1Image
    if dtype == "header" and header is not None:
        image = kind(volume.data, volume.affine, header)
    else:
        data = _cast(volume.data, dtype)
        image = kind(data, volume.affine, header, dtype=data.dtype)
    if header is None or header.get_xyzt_units()[0] in ("meter", "micron"):
        image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _write_mgh(volume: Volume, path: Path, dtype: Any) -> None:
    data = _cast(volume.data, dtype)
    stored = _MGH_TYPES.get(data.dtype.str[1:])
    if stored is None:
        stored = np.float32 if data.dtype.kind == "f" else np.int32
    nib.save(nib.MGHImage(data.astype(stored, copy=False), volume.affine), path)


def _write_npz(volume: Volume, path: Path, dtype: Any) -> None:
    data = _cast(volume.data, dtype)
    np.savez_compressed(path, vol_data=data, affine=volume.affine)


def _write_itk(volume: Volume, path: Path, dtype: Any) -> None:
    itk = quiet_itk()
    data = _cast(volume.data, dtype)
    array = np.ascontiguousarray(data.transpose(2, 1, 0, *range(3, data.ndim)))
    image = itk.GetImageFromArray(array, isVector=data.ndim > 3)
    directions = LPS_TO_RAS @ volume.affine[:3, :3] / volume.spacing
    image.SetSpacing([float(s) for s in volume.spacing])
    image.SetDirection([float(v) for v in directions.ravel()])
    image.SetOrigin([float(v) for v in LPS_TO_RAS @ volume.affine[:3, 3]])
    itk.WriteImage(image, str(path), True)


def _cast(data: np.ndarray, dtype: Any) -> np.ndarray:
    """Data as dtype; by default a type that every reader knows (no booleans, half floats, needless 64-bit integers)."""
    if dtype not in (None, "header"):
        return data.astype(dtype, copy=False)  # posteriors fill gigabytes
    if data.dtype == bool:
        return data.astype(np.uint8)
    if data.dtype == np.float16:
        return data.astype(np.float32)
    if data.dtype in (np.int64, np.uint64) and (data.size == 0 or np.abs(data).max() < 2**31):
        return data.astype(np.int32)
    return data
