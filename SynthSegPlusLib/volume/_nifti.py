"""Reading NIfTI-1 and NIfTI-2, and what their headers give away."""

from __future__ import annotations

import gzip
import warnings
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume._reading import one_frame, stem
from SynthSegPlusLib.volume._volume import Volume

_GZIP = b"\x1f\x8b"
# Millimetres per unit, by NIfTI's code of the spatial unit.
_UNIT_MM = {1: ("metre", 1000.0), 3: ("micrometre", 0.001)}
# Voxel sizes a head scan can have; a unit code that leads out of this range is not believed.
_PLAUSIBLE_MM = (0.05, 30.0)
# A corner of the volume may differ by this much between qform and sform (quaternions round).
_CONFLICT_MM = 1.0

# What nibabel raises on damaged files.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    KeyError,
    zlib.error,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.spatialimages.ImageDataError,
)


def read_nifti(path: Path, frame: int = 0) -> Volume:
    """Read one NIfTI file (single file, compressed or not)."""
    raw = _raw_header(path)
    _check_header(raw, path.name)
    try:
        with warnings.catch_warnings():
            # Extensions are not used; what nibabel says of odd ones would only worry.
            warnings.filterwarnings("ignore", message="Extension size", category=UserWarning)
            image: Any = nib.load(path, mmap=False)
        data = stored_numbers(image)
    except BROKEN as error:
        raise damaged(path, error) from error
    data, findings = one_frame(data, frame, path.name)
    affine = np.array(image.affine, np.float64)
    factor, more = _millimetres(affine, raw, path.name)
    affine[:3] *= factor
    sizes = np.array(raw["pixdim"][1:4], np.float64) * factor
    return Volume(
        data, affine, stem(path), path, image.header, sizes, findings + more + _form_findings(image, data.shape)
    )


def stored_numbers(image: Any) -> np.ndarray:
    """Voxels of a nibabel image: in their stored type where that is exact, float64 where a slope applies."""
    proxy = image.dataobj
    dtype = image.get_data_dtype()
    plain = (getattr(proxy, "slope", 1.0), getattr(proxy, "inter", 0.0)) == (1.0, 0.0)
    if plain or dtype.fields is not None or np.issubdtype(dtype, np.complexfloating):
        data = np.asarray(proxy)
        return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))
    return image.get_fdata(dtype=np.float64, caching="unchanged")


def damaged(path: Path, error: Exception) -> InputError:
    """The error of a file whose header is fine and whose voxels are not."""
    return InputError(
        f"{path.name} is damaged or incomplete ({_first_sentence(error)}); copy or export it again."
    )


def open_maybe_gzip(path: Path, compressed: bool) -> Any:
    """Open a file for reading bytes; InputError where its name says gzip and its content does not, or the reverse."""
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == _GZIP
    if compressed and not is_gzip:
        raise InputError(f"{path.name} is named as gzip-compressed but is not; rename it or compress it.")
    if is_gzip and not compressed:
        raise InputError(f"{path.name} is gzip-compressed; add .gz to its name.")
    return gzip.open(path, "rb") if is_gzip else path.open("rb")


def _raw_header(path: Path) -> Any:
    """Header as stored: nibabel mends bad voxel sizes in silence, which must not happen here."""
    try:
        with open_maybe_gzip(path, path.name.lower().endswith(".gz")) as stream:
            block = stream.read(540)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, error) from error
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        size = kind.sizeof_hdr
        if len(block) >= size and block[:4] in (size.to_bytes(4, "little"), size.to_bytes(4, "big")):
            header = kind(block[:size], check=False)
            if bytes(header["magic"].tobytes())[:3].rstrip(b"\0") in (b"n+1", b"n+2"):
                return header
    raise InputError(f"{path.name} is not a NIfTI file: it lacks the format's signature. Export the scan again.")


def _check_header(header: Any, name: str) -> None:
    rank = int(header["dim"][0])
    if not 1 <= rank <= 7:
        raise InputError(f"{name} is damaged: its header states {rank} axes. Copy or export it again.")
    dims = [int(d) for d in header["dim"][1 : 1 + rank]]
    if any(d <= 0 for d in dims):
        raise InputError(f"{name} holds no voxels: its header states the shape {dims}. Export the scan again.")
    if len(dims) < 3:
        raise InputError(f"{name} has {len(dims)} axes ({' x '.join(map(str, dims))}); a 3-D scan is needed.")
    sizes = [float(s) for s in header["pixdim"][1:4]]
    if not all(np.isfinite(s) and s > 0 for s in sizes):
        raise InputError(
            f"{name} states voxel sizes of {', '.join(f'{s:g}' for s in sizes)}; they must be above 0 mm. Convert the "
            "scan again from its DICOM files."
        )


def _millimetres(affine: np.ndarray, header: Any, name: str) -> tuple[float, tuple[Finding, ...]]:
    """Millimetres per unit of the header. Metres or micrometres are believed only where they make a possible scan."""
    code = int(header["xyzt_units"]) & 7
    if code not in _UNIT_MM:
        return 1.0, ()
    unit, factor = _UNIT_MM[code]
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = _PLAUSIBLE_MM
    if np.all((sizes * factor >= low) & (sizes * factor <= high)) and not np.all((sizes >= low) & (sizes <= high)):
        text = f"The header of {name} is in {unit}s; it was converted to millimetres."
    else:
        factor = 1.0
        text = f"The header of {name} says {unit}s, which no head scan has; its numbers were taken as millimetres."
    return factor, (Finding("units", "warning", text, "Check that the result has the right size."),)


def _form_findings(image: Any, shape: tuple[int, ...]) -> tuple[Finding, ...]:
    qform, q_code = image.header.get_qform(coded=True)
    sform, s_code = image.header.get_sform(coded=True)
    if not q_code and not s_code:
        return (
            Finding(
                "no-orientation",
                "warning",
                "The header states no orientation (qform and sform codes are 0), so left and right are a guess.",
                "Convert the scan again from its DICOM files, or check the sides by eye.",
            ),
        )
    if not (q_code and s_code) or qform is None or sform is None or not np.isfinite([qform, sform]).all():
        return ()  # an orientation that is not a number is refused when the volume is made
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1)
    apart = np.abs((qform - sform)[:3, :3] @ corners + (qform - sform)[:3, 3:]).max()
    if not apart > _CONFLICT_MM:
        return ()
    return (
        Finding(
            "orientation-conflict",
            "warning",
            f"The header's two orientations (qform and sform) disagree by up to {apart:.0f} mm; the sform is used.",
            "Convert the scan again from its DICOM files, or check the sides by eye.",
        ),
    )


def _first_sentence(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")
