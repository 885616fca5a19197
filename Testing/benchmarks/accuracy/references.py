"""Real scans with reference labels, in FreeSurfer's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.labels import parcels
from SynthSegPlusLib.volume import READABLE, Volume

IGNORED = -1
NEUROMORPHOMETRICS = {
    4: 14, 11: 15, 23: 58, 30: 26, 31: 54, 32: 18, 35: 16, 36: 50, 37: 11, 38: 47, 39: 8, 40: 46, 41: 7, 44: 41,
    45: 2, 47: 53, 48: 17, 49: 44, 50: 5, 51: 43, 52: 4, 55: 52, 56: 13, 57: 51, 58: 12, 59: 49, 60: 10, 61: 60,
    62: 28, **{value: 42 if value % 2 == 0 else 3 for value in range(100, 208)},
    71: IGNORED, 72: IGNORED, 73: IGNORED,
}  # fmt: skip
"""Neuromorphometrics ids as FreeSurfer labels; cortical ids from 100: even right, odd left. The cerebellar vermis
(71 to 73), which FreeSurfer gives to the cerebellar cortex of either side, is left out of the comparison."""
_FREESURFER = {31: 4, 63: 43, 77: 2, 78: 2, 79: 41}
CORPUS_CALLOSUM = (251, 252, 253, 254, 255)
"""White matter without a side in FreeSurfer; left out of the comparison."""
_GIF_WHITE = {**dict.fromkeys(range(81, 87), 41), **dict.fromkeys(range(89, 95), 2)}
_GIF_PONS, _GIF_CALLOSUM = 35, 87


@dataclass(frozen=True)
class RealScan:
    """A scan and its reference: structures (IGNORED: no statement), and parcels or None, on the reference's grid."""

    name: str
    scan: Path
    reference: Volume
    structures: np.ndarray
    parcels: np.ndarray | None = None


def real_scans(folder: Path) -> Iterator[RealScan]:
    """The scans of a folder that have a reference beside them (``NAME_REF_KIND``).

    `InputError` for a reference of a kind that is not known, or without its scan.
    """
    for path in sorted(folder.glob("*_REF_*")):
        stem, _, kind = path.name.split(".nii")[0].split(".mgz")[0].partition("_REF_")
        if kind not in _KINDS:
            raise InputError(f"{path} is a reference of an unknown kind {kind!r}; use {', '.join(_KINDS)}.")
        scan = _scan_of(folder, stem)
        volume = Volume.read(path)
        found, cortex = _KINDS[kind](np.round(volume.data).astype(int))
        yield RealScan(stem, scan, volume, found, cortex)


def _scan_of(folder: Path, stem: str) -> Path:
    """The image called ``stem``, else the first whose name begins with it and an underscore."""
    images = [one for one in sorted(folder.iterdir()) if one.name.endswith(tuple(READABLE)) and "_REF_" not in one.name]
    for follows in (".", "_"):
        for one in images:
            if one.name.startswith(stem + follows):
                return one
    raise InputError(f"There is no scan {stem} beside its reference in {folder}; put it there.")


def _manual(values: np.ndarray) -> tuple[np.ndarray, None]:
    found = np.zeros_like(values)
    for value, label in NEUROMORPHOMETRICS.items():
        found[values == value] = label
    return found, None


def _gif(values: np.ndarray) -> tuple[np.ndarray, None]:
    """GIF: Neuromorphometrics + 1, but white matter by lobes (81-86 right, 89-94 left) and a pons of its own."""
    found, _ = _manual(values - 1)
    for value, label in {**_GIF_WHITE, _GIF_PONS: 16, _GIF_CALLOSUM: IGNORED}.items():
        found[values == value] = label
    return found, None


def _freesurfer(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, cortex = values.copy(), np.zeros_like(values)
    for value, label in _FREESURFER.items():
        found[values == value] = label
    for label in parcels():
        if label.value:
            here = values == label.value
            found[here] = label.cortex
            cortex[here] = label.value
    found[np.isin(values, (1000, 2000))] = IGNORED  # cortex that belongs to no parcel
    found[np.isin(values, CORPUS_CALLOSUM)] = IGNORED
    return found, cortex


_KINDS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]] = {
    "manual": _manual,
    "gif": _gif,
    "aparc+aseg": _freesurfer,
    "aparc.DKT+aseg": _freesurfer,
}


def on_grid_of(labels: Volume, reference: Volume) -> np.ndarray:
    """Label values at the reference's voxels: nearest neighbour, 0 outside."""
    matrix = np.linalg.inv(labels.affine) @ reference.affine
    shape = reference.shape[:3]
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    index = np.round(grid @ matrix[:3, :3].T + matrix[:3, 3]).astype(int)
    inside = ((index >= 0) & (index < labels.shape[:3])).all(-1)
    index[~inside] = 0
    return np.where(inside, labels.data[tuple(np.moveaxis(index, -1, 0))], 0)
