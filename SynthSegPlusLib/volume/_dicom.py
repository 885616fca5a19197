"""Reading the scan in a folder of DICOM files."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume._itk import from_itk, quiet_itk, read_image
from SynthSegPlusLib.volume._volume import Volume

_ORIENTATION = "0020|0037"
_POSITION = "0020|0032"
# Slices of one stack lie this close to even spacing (mm).
_EVEN_MM = 0.1


@dataclass(frozen=True)
class _Slice:
    path: str
    orientation: tuple[float, ...]
    along: float  # position along the slice normal, mm


def read_dicom(path: Path, frame: int = 0) -> Volume:
    """Read the series with most images in a folder and its subfolders, or the series that a DICOM file belongs to."""
    folder = path if path.is_dir() else path.parent
    series = _all_series(folder, deep=path.is_dir())
    if not path.is_dir():
        series = [files for files in series if any(Path(file).name == path.name for file in files)]
    if not series:
        raise InputError(f"{path} holds no DICOM images; give a folder of one scan, or an image file.")
    files = max(series, key=len)
    findings: tuple[Finding, ...] = ()
    if len(series) > 1:
        findings = (
            Finding(
                "several-series",
                "warning",
                f"The folder holds {len(series)} DICOM series; the one with most images ({len(files)}) is used.",
                "Put the series you mean into a folder of its own.",
            ),
        )
    if len(files) == 1:
        image = read_image(path.name, files[0])
        return from_itk(image, path, frame, findings)
    stack, more = _stack(files, frame, path.name)
    return from_itk(read_image(path.name, stack), path, 0, findings + more)


def _all_series(folder: Path, deep: bool) -> list[list[str]]:
    itk = quiet_itk()
    found = []
    folders = [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())] if deep else [folder]
    for place in folders:
        for uid in itk.ImageSeriesReader.GetGDCMSeriesIDs(str(place)):
            found.append(list(itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place), uid)))
    return [files for files in found if files]


def _stack(files: list[str], frame: int, name: str) -> tuple[list[str], tuple[Finding, ...]]:
    """Files of one stack of slices in order: the commonest orientation, one image per position."""
    by_orientation: dict[tuple[float, ...], list[_Slice]] = defaultdict(list)
    for file in files:
        if (one := _slice(file)) is not None:
            by_orientation[one.orientation].append(one)
    if not by_orientation:
        return files, ()
    slices = max(by_orientation.values(), key=len)
    by_position: dict[float, list[_Slice]] = defaultdict(list)
    for one in slices:
        by_position[round(one.along, 2)].append(one)
    positions = sorted(by_position)
    findings: list[Finding] = []
    frames = max(len(group) for group in by_position.values())
    if frames > 1:
        findings.append(
            Finding(
                "several-frames",
                "warning",
                f"The series holds up to {frames} images per position; number {frame} (counted from 0) is used.",
                "Give the volume you mean as a series of its own.",
            )
        )
    if not -frames <= frame < frames:
        raise InputError(f"{name} has {frames} frames, numbered 0 to {frames - 1}; frame {frame} does not exist.")
    gaps = np.diff(positions)
    if len(gaps) and gaps.max() - gaps.min() > _EVEN_MM:
        findings.append(
            Finding(
                "uneven-slices",
                "warning",
                f"The slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; even spacing is assumed.",
                "Look for missing files in the folder.",
            )
        )
    chosen = [group[min(frame % frames, len(group) - 1)] for _, group in sorted(by_position.items())]
    return [one.path for one in chosen], tuple(findings)


def _slice(file: str) -> _Slice | None:
    """Place of one image; None where the file does not state it."""
    itk = quiet_itk()
    reader = itk.ImageFileReader()
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
        numbers = [[float(v) for v in reader.GetMetaData(key).split("\\")] for key in (_ORIENTATION, _POSITION)]
    except (RuntimeError, ValueError):
        return None
    if len(numbers[0]) != 6 or len(numbers[1]) != 3:
        return None
    orientation = tuple(round(v, 3) for v in numbers[0])
    normal = np.cross(numbers[0][:3], numbers[0][3:])
    return _Slice(file, orientation, float(normal @ numbers[1]))
