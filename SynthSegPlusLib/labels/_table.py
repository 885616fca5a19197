"""Label, and the table of labels whose order is the channel order of the posteriors."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from SynthSegPlusLib.labels._data import rows

# SNOMED CT qualifiers of laterality (DICOM CID 244).
LATERALITY = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}


@dataclass(frozen=True)
class Terminology:
    """A coded concept: `scheme` "SCT" (SNOMED CT) or "DCM" (DICOM), and the qualifier of its side, if it has one."""

    code: str
    meaning: str
    laterality: tuple[str, str] | None = None
    scheme: str = "SCT"


@dataclass(frozen=True)
class Label:
    """One structure or parcel.

    value: FreeSurfer number; name: published name ("left hippocampus", "ctx-lh-insula"); title: for people
    ("Left hippocampus"); hemisphere: "left", "right" or "none"; partner: value on the other side (itself if "none");
    colour: red, green, blue in 0..255; topology: class of the topology postprocessing, 0 = unconstrained;
    snomed: its code, None where no code is known for certain; cortex: for a parcel, the cortex label it divides;
    lobe: for a parcel, its lobe.
    """

    value: int
    name: str
    title: str
    hemisphere: str
    partner: int
    colour: tuple[int, int, int]
    topology: int = 0
    snomed: Terminology | None = None
    cortex: int | None = None
    lobe: str | None = None


class LabelTable:
    """Labels in ascending order of value; position = channel of the posteriors; channel 0 is the background."""

    def __init__(self, name: str, labels: tuple[Label, ...]):
        self.name = name
        self._labels = tuple(sorted(labels, key=lambda label: label.value))
        self._channels = {label.value: channel for channel, label in enumerate(self._labels)}
        if len(self._channels) != len(self._labels) or 0 not in self._channels:
            raise ValueError(f"labels of table {name!r} must be unique and include the background 0")
        self.values = _frozen(np.array([label.value for label in self._labels], np.int32))
        self.partners = _frozen(np.array([self._channels[label.partner] for label in self._labels], np.intp))
        first = np.minimum(np.arange(len(self._labels)), self.partners)
        self.kinds = _frozen(np.unique(first, return_inverse=True)[1].astype(np.intp))
        """Kind of every channel: a structure is of the same kind on both sides."""

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self._labels)

    def __contains__(self, value: object) -> bool:
        return value in self._channels

    def __getitem__(self, value: int) -> Label:
        """Label of this value; KeyError where the table lacks it."""
        return self._labels[self.channel(value)]

    def __repr__(self) -> str:
        return f"LabelTable({self.name!r}, {len(self)} labels)"

    def channel(self, value: int) -> int:
        """Channel of the posteriors that holds this label value; KeyError where the table lacks it."""
        try:
            return self._channels[int(value)]
        except KeyError:
            raise KeyError(f"label {value} is not in the table {self.name!r}") from None

    def channels(self, values: list[int] | tuple[int, ...] | np.ndarray) -> np.ndarray:
        """Channels of several label values, intp [n]."""
        return np.array([self.channel(value) for value in values], np.intp)

    def select(self, hemisphere: str | None = None) -> tuple[Label, ...]:
        """Labels without the background, of one hemisphere ("left", "right", "none") if given, in channel order."""
        return tuple(
            label for label in self._labels if label.value != 0 and hemisphere in (None, label.hemisphere)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Published names in channel order."""
        return tuple(label.name for label in self._labels)

    @property
    def topology(self) -> np.ndarray:
        """Topology class of every channel, intp [n]."""
        return np.array([label.topology for label in self._labels], np.intp)

    @property
    def cortex(self) -> dict[str, int]:
        """Label value of the cerebral cortex of each hemisphere, {"left": 3, "right": 42}; empty for parcels."""
        return {
            label.hemisphere: label.value for label in self._labels if label.name.endswith(" cerebral cortex")
        }


@cache
def structures(version: str = "2.0") -> LabelTable:
    """Table of the segmentation networks: "2.0" (33 channels) or "1.0" (32, without extracerebral CSF)."""
    if version not in ("1.0", "2.0"):
        raise ValueError(f"version must be '1.0' or '2.0', not {version!r}")
    return LabelTable(
        f"structures {version}",
        tuple(_label(row) for row in rows("structures") if version in row["tables"].split()),
    )


@cache
def parcels() -> LabelTable:
    """Table of the parcellation network: background and 2 x 34 parcels of the Desikan-Killiany atlas, 69 channels."""
    return LabelTable("parcels", tuple(_label(row) for row in rows("parcels")))


def _label(row: dict[str, str]) -> Label:
    side = row["hemisphere"]
    code = Terminology(row["code"], row["meaning"], LATERALITY.get(side), row["scheme"]) if row["code"] else None
    return Label(
        value=int(row["value"]),
        name=row["name"],
        title=row["title"],
        hemisphere=side,
        partner=int(row["partner"]),
        colour=(int(row["red"]), int(row["green"]), int(row["blue"])),
        topology=int(row.get("topology", 0)),
        snomed=code,
        cortex=int(row["structure"]) or None if "structure" in row else None,
        lobe=row.get("lobe") or None,
    )


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
