"""Reading NRRD and MetaImage through SimpleITK, and its geometry (LPS) as ours (RAS)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume._reading import one_frame, stem
from SynthSegPlusLib.volume._volume import Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])

_SIGNATURES = {".nrrd": b"NRRD", ".nhdr": b"NRRD"}


def read_itk(path: Path, frame: int = 0) -> Volume:
    """Read one NRRD or MetaImage file."""
    signature = _SIGNATURES.get(path.suffix.lower())
    with path.open("rb") as stream:
        start = stream.read(4096)
    if signature and not start.startswith(signature):
        raise InputError(f"{path.name} is not an NRRD file: it lacks the format's signature. Export the scan again.")
    if not signature and b"NDims" not in start:
        raise InputError(f"{path.name} is not a MetaImage file: it lacks the format's header. Export the scan again.")
    image = read_image(path.name, str(path))
    findings: tuple[Finding, ...] = ()
    if signature and b"space directions" not in start:
        findings = (
            Finding(
                "no-orientation",
                "warning",
                "The header states no orientation, so left and right are a guess.",
                "Convert the scan again from its DICOM files, or check the sides by eye.",
            ),
        )
    return from_itk(image, path, frame, findings)


def read_image(name: str, source: Any) -> Any:
    """SimpleITK image of a path or a list of slices; InputError instead of ITK's many lines."""
    itk = quiet_itk()
    try:
        return itk.ReadImage(source)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "ERROR" in line] or [type(error).__name__]
        reason = lines[-1].split("):")[-1].split("ERROR:")[-1].strip().rstrip(".") or "it cannot be decoded"
        raise InputError(f"{name} is damaged or incomplete ({reason}); copy or export it again.") from error


def from_itk(image: Any, path: Path, frame: int = 0, findings: tuple[Finding, ...] = ()) -> Volume:
    """Volume of a SimpleITK image; components and further dimensions count as frames, except colours."""
    itk = quiet_itk()
    dimension = image.GetDimension()
    name = path.name
    if dimension < 3:
        raise InputError(f"{name} has {dimension} axes {image.GetSize()}; a 3-D scan is needed.")
    components = image.GetNumberOfComponentsPerPixel()
    array = itk.GetArrayViewFromImage(image)
    if np.issubdtype(array.dtype, np.complexfloating):
        raise InputError(f"{name} holds complex numbers; give the magnitude image instead.")
    if components in (3, 4) and array.dtype == np.uint8:
        raise InputError(f"{name} is a colour (RGB) picture; give the original scan with one intensity per voxel.")
    data = array.transpose(*range(dimension - 1, -1, -1), *range(dimension, array.ndim))
    data, more = one_frame(data, frame, name)
    spacing = np.array(image.GetSpacing()[:3])
    if not (np.isfinite(spacing).all() and np.all(spacing > 0)):
        raise InputError(f"{name} states voxel sizes of {spacing.tolist()}; they must be above 0 mm.")
    directions = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ directions * spacing
    affine[:3, 3] = LPS_TO_RAS @ np.array(image.GetOrigin()[:3])
    return Volume(np.array(data, order="F"), affine, stem(path), path, findings=findings + more)


def quiet_itk() -> Any:
    """SimpleITK with its warnings silenced: they go past Python to the terminal."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK
