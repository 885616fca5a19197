"""Label maps that scans are generated from: reading, checking, and the tables that relate their labels.

Inside the generator a label is its position in the generation table (uint8), so every relation is a small array.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.labels import generation_labels, structures, tissues

_NAMED_IN_MESSAGES = 8
_MAP_SPACING_TOLERANCE = 0.05
HEAD = (502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)
"""What a brain extraction removes: arteries, eyes, soft tissue, muscles, mucosa, skin, cord, veins, bone, nerve."""
IMAGE_SUFFIXES = (".nii.gz", ".nii", ".mgz")


@dataclass(frozen=True)
class LabelMap:
    """An anatomy to generate scans of.

    Attributes
    ----------
    name
        File name without suffix.
    index
        uint8 [x, y, z], axes RAS, 1 mm: positions in the generation table.
    centre
        Centre of mass of the brain, voxels, float64 [3].
    parcels
        None, or uint8 [x, y, z]: for every voxel (not only cortex) the number 1..34 of the nearest cortical parcel
        of either side, so that a deformed or thickened cortex always finds one.
    """

    name: str
    index: np.ndarray
    centre: np.ndarray
    parcels: np.ndarray | None = None


@dataclass(frozen=True)
class LabelSpace:
    """Relations between generation labels, as arrays indexed by position in the generation table (n = 54)."""

    values: np.ndarray
    partner: np.ndarray
    classes: np.ndarray
    channel: np.ndarray
    tissue: np.ndarray
    hemisphere: np.ndarray
    extracerebral: np.ndarray

    def position(self, value: int) -> int:
        """Position of a label value."""
        return int(np.flatnonzero(self.values == value)[0])

    def members(self, *values: int) -> np.ndarray:
        """Boolean [n]: labels whose segmentation value is one of ``values``."""
        table = structures("2.0")
        return np.isin(self.channel, [table.channel(value) for value in values])


@cache
def label_space(tissue_scheme: str = "published") -> LabelSpace:
    """Tables for segmentation 2.0: channel of the 33 structures and tissue class of every generation label.

    ``extracerebral`` marks the labels of the head around the brain; ``hemisphere`` is 0 none, 1 left, 2 right.
    """
    table, space = generation_labels(), structures("2.0")
    segmentation = table.segmentation_values("2.0")
    channel = space.channels(segmentation)
    position = {int(value): index for index, value in enumerate(table.values)}
    sides = {"none": 0, "left": 1, "right": 2}
    hemisphere = np.array([sides[label.hemisphere] for label in table], np.uint8)
    return LabelSpace(
        values=table.values,
        partner=np.array([position[int(value)] for value in table.partner_values()], np.uint8),
        classes=table.classes,
        channel=channel.astype(np.uint8),
        tissue=tissues(tissue_scheme).channels(space)[channel].astype(np.uint8),
        hemisphere=hemisphere,
        extracerebral=np.isin(table.values, HEAD),
    )


def to_positions(labels: np.ndarray, name: str = "label map") -> np.ndarray:
    """Positions (uint8) of label values [x, y, z] in the generation table; `InputError` names unknown values."""
    table = generation_labels()
    found = np.unique(labels)
    unknown = sorted(int(value) for value in np.setdiff1d(found, table.values))
    if unknown:
        some = ", ".join(map(str, unknown[:_NAMED_IN_MESSAGES]))
        raise InputError(
            f"{name} contains {len(unknown)} labels that the generative model does not know ({some}); "
            f"map them to the {len(table)} generation labels first."
        )
    lookup = np.zeros(int(found.max()) + 1, np.uint8)
    for position, value in enumerate(table.values):
        if value < len(lookup):
            lookup[value] = position
    return lookup[labels]


def make_label_map(labels: np.ndarray, name: str = "label map", parcels: np.ndarray | None = None) -> LabelMap:
    """A `LabelMap` from label values [x, y, z], axes RAS, 1 mm. `InputError` where it holds no brain."""
    index = to_positions(labels, name)
    brain = np.argwhere(label_space().channel[index] > 0)
    if not len(brain):
        raise InputError(f"{name} contains no brain label; a generator of brain scans cannot use it.")
    return LabelMap(name, index, brain.mean(0), parcels)


def read_label_map(path: str | Path, parcels: str | Path | None = None) -> LabelMap:
    """Read a label map (and its parcels) from image files; `InputError` where it is not 3-D, not 1 mm, or unknown."""
    labels = _read(path)
    parcel_map = None
    if parcels is not None and Path(parcels).is_file():
        parcel_map = _read(parcels).astype(np.uint8)
        if parcel_map.shape != labels.shape:
            raise InputError(
                f"The parcels {Path(parcels).name} have shape {parcel_map.shape}, their label map {labels.shape}; "
                f"make them again from this label map."
            )
    return make_label_map(labels, _stem(path), parcel_map)


def _read(path: str | Path) -> np.ndarray:
    import nibabel

    path = Path(path)
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
    except (OSError, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path} cannot be read as an image ({error}); give a NIfTI or MGZ label map.") from error
    labels = np.asarray(image.dataobj)
    spacing = np.array(image.header.get_zooms()[:3])
    if labels.ndim != 3 or np.abs(spacing - 1).max() > _MAP_SPACING_TOLERANCE:
        raise InputError(
            f"{path} has shape {labels.shape} and spacing {spacing.round(3).tolist()} mm; a label map is 3-D with 1 mm."
        )
    return np.round(labels).astype(np.int32)


def _stem(path: str | Path) -> str:
    name = Path(path).name
    return next((name[: -len(suffix)] for suffix in IMAGE_SUFFIXES if name.endswith(suffix)), name)


def _is_map(path: Path) -> bool:
    return path.name.endswith(IMAGE_SUFFIXES) and "aseg" not in path.name


def find_label_maps(folder: str | Path, only: Iterable[str] | None = None) -> list[Path]:
    """Label map files of a folder whose names end in "seg_<id>", sorted; ``only`` keeps the given ids ("01", ...).

    `InputError` where the folder holds none of them.
    """
    folder = Path(folder)
    found = sorted(path for path in folder.glob("*") if re.search(r"seg_\w+$", _stem(path)) and _is_map(path))
    if only is not None:
        wanted = {str(one) for one in only}
        found = [path for path in found if _stem(path).rpartition("_")[2] in wanted]
    if not found:
        raise InputError(f"{folder} holds no label map named *seg_<id>.nii.gz" + (f" with id in {sorted(wanted)}."
                         if only is not None else "; give the folder of the training label maps."))
    return found
