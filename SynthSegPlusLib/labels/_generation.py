"""Labels of the training maps (the reference implementation's generation labels), which become synthetic scans."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from SynthSegPlusLib.labels._data import rows


@dataclass(frozen=True)
class GenerationLabel:
    """A label of a training map: its side and partner, what the segmentation of each version makes of it, and the
    class whose Gaussian draws its intensity (labels of one class share one Gaussian; sides are not tied).

    segmentation: {"1.0": value, "2.0": value}, 0 where the label becomes background.
    """

    value: int
    name: str
    hemisphere: str
    partner: int
    segmentation: dict[str, int] = field(hash=False)
    intensity_class: int


class GenerationTable:
    """The training maps' labels: neutral ones first, then left, then right in matching order (unsorted on purpose:
    the published tables are aligned with this order)."""

    def __init__(self, labels: tuple[GenerationLabel, ...]):
        self.labels = labels
        self.values = np.array([label.value for label in labels], np.int32)
        self.classes = np.array([label.intensity_class for label in labels], np.intp)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[GenerationLabel]:
        return iter(self.labels)

    def __getitem__(self, value: int) -> GenerationLabel:
        """Label of this value; KeyError where there is none."""
        for label in self.labels:
            if label.value == value:
                return label
        raise KeyError(f"{value} is not a label of the training maps")

    def segmentation_values(self, version: str = "2.0") -> np.ndarray:
        """Segmentation value of every label in this table's order, int32 [n]; version "1.0" or "2.0"."""
        return np.array([label.segmentation[version] for label in self.labels], np.int32)

    def partner_values(self) -> np.ndarray:
        """Value on the other side of every label in this table's order, int32 [n]."""
        return np.array([label.partner for label in self.labels], np.int32)


@cache
def generation_labels() -> GenerationTable:
    """Table of the training maps' labels: 54, of which 18 neutral, 18 left, 18 right."""
    return GenerationTable(
        tuple(
            GenerationLabel(
                value=int(row["value"]),
                name=row["name"],
                hemisphere=row["hemisphere"],
                partner=int(row["partner"]),
                segmentation={version: int(row[f"segmentation_{version}"]) for version in ("1.0", "2.0")},
                intensity_class=int(row["intensity_class"]),
            )
            for row in rows("generation")
        )
    )
