"""What `--i` means: one image, a folder of images, a folder with a DICOM series, or a list of paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from SynthSegPlusLib.contract import InputError, OptionsError

# What an image may be called, and the format its results take where they follow its name.
OUTPUT_EXTENSION = {
    ".nii.gz": ".nii.gz", ".nii": ".nii", ".mgz": ".mgz", ".npz": ".npz",
    ".mgh.gz": ".mgz", ".mgh": ".mgz", ".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha",
    ".dcm": ".nii.gz", ".ima": ".nii.gz", ".dicom": ".nii.gz",
}  # fmt: skip
DICOM = (".dcm", ".ima", ".dicom")

SEGMENTATION_SUFFIX, POSTERIORS_SUFFIX, RESAMPLED_SUFFIX = "_synthseg", "_posteriors", "_resampled"
RESULT_SUFFIXES = (SEGMENTATION_SUFFIX, POSTERIORS_SUFFIX, RESAMPLED_SUFFIX)

# What may lie among the slices of a series without being one: results, and what is written beside them.
NO_SLICES = (
    *(extension for extension in OUTPUT_EXTENSION if extension not in DICOM),
    ".json", ".csv", ".txt", ".png", ".pdf", ".svg",
)  # fmt: skip

Kind = Literal["image", "folder", "list"]


def split_name(name: str) -> tuple[str, str]:
    """("scan", ".nii.gz") of "scan.nii.gz"; the extension is "" when it is not one of an image."""
    for extension in OUTPUT_EXTENSION:
        if name.lower().endswith(extension) and len(name) > len(extension):
            return name[: -len(extension)], name[-len(extension):]
    return name, ""


def absolute(path: str) -> Path:
    """A path as the user gave it, made absolute; `OptionsError` when it cannot be one."""
    if not path.strip() or "\0" in path:
        raise OptionsError(f"The path {path!r} names no file; give the path of a file or folder.")
    return Path(os.path.abspath(os.path.expanduser(path)))


def kind_of(source: Path) -> Kind:
    """What `--i` is; a folder is a folder whatever its name. `InputError` when it is nothing that can be used."""
    try:
        if source.is_dir():
            return "folder"
        if not source.exists():
            raise InputError(f"There is no file or folder {source}; check the path given with --i.")
    except OSError as error:
        raise InputError(f"{source} cannot be looked at ({error.strerror}); check the path given with --i.") from error
    if source.name.lower().endswith(".txt"):
        return "list"
    if not split_name(source.name)[1]:
        known = ", ".join(OUTPUT_EXTENSION)
        raise InputError(f"{source} has no extension of an image; use one of {known}, a folder or a .txt list.")
    return "image"


def scans_of(source: Path, kind: Kind) -> list[Path]:
    """The scans in their order: of a list as it is written, of a folder sorted by path, hidden files left out."""
    if kind == "image":
        return [source]
    if kind == "list":
        return [absolute(line) for line in lines_of(source, "--i")]
    try:
        names = sorted(entry for entry in source.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"The folder {source} cannot be read ({error.strerror}); check its permissions.") from error
    images = [entry for entry in names if split_name(entry.name)[1] and entry.is_file()]
    # The files of a DICOM series are slices of one scan.
    scans = [entry for entry in images if split_name(entry.name)[1].lower() not in DICOM]
    own = [f"{source.name}{suffix}" for suffix in RESULT_SUFFIXES]
    if all(split_name(entry.name)[0] in own for entry in scans):  # none, or results of a series among its slices
        if len(images) > len(scans) or any(_is_dicom(entry) for entry in names):
            return [source]
    if scans:
        return scans
    known = ", ".join(OUTPUT_EXTENSION)
    raise InputError(f"The folder {source} holds no images ({known}) and no DICOM series; give another folder.")


def lines_of(path: Path, flag: str) -> list[str]:
    """Lines of a list without the blank ones; `InputError` when it is no text or has none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The list {path} of {flag} cannot be read ({error}); give a text file of paths.") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError(f"The list {path} of {flag} is empty; write one path per line.")
    return found


def holds_series(path: Path) -> bool:
    """Whether a scan is a folder or a slice, and so read from more than one file."""
    return path.is_dir() or split_name(path.name)[1].lower() in DICOM


def slices_of(path: Path) -> list[Path]:
    """Files that may be slices of the scan in a folder and its subfolders, or of the series of a slice, sorted."""
    if path.is_dir():
        return sorted(entry for entry in path.rglob("*") if entry.is_file() and not _is_result(entry))
    beside = (entry for entry in path.parent.iterdir() if entry.is_file())
    return sorted(entry for entry in beside if entry.suffix == path.suffix or _is_dicom(entry))


def _is_result(path: Path) -> bool:
    return path.name.lower().endswith(NO_SLICES)


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False
