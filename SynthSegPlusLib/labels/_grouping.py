"""Groupings of labels: tissue classes, QC regions, lobes."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from SynthSegPlusLib.labels._data import rows
from SynthSegPlusLib.labels._table import LabelTable


@dataclass(frozen=True)
class Grouping:
    """Labels gathered in groups. names[0] is "background": what belongs to no group.

    group_of: label value -> group index, for structures of both tables and for parcels.
    """

    kind: str
    scheme: str
    names: tuple[str, ...]
    group_of: dict[int, int] = field(hash=False)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, value: int) -> int:
        """Group index of a label value; KeyError for an unknown label."""
        return self.group_of[int(value)]

    def name_of(self, value: int) -> str | None:
        """Name of the group of a label value, None where it belongs to none."""
        group = self.group_of.get(int(value), 0)
        return self.names[group] if group else None

    def members(self, group: int | str, table: LabelTable) -> tuple[int, ...]:
        """Label values of a table in one group (by index or name), ascending."""
        index = self.names.index(group) if isinstance(group, str) else group
        return tuple(label.value for label in table if self.group_of[label.value] == index)

    def channels(self, table: LabelTable) -> np.ndarray:
        """Group index of every channel of a table, intp [n]."""
        return np.array([self.group_of[label.value] for label in table], np.intp)


def tissues(scheme: str = "published") -> Grouping:
    """Tissue classes of S1, D and S2: "published" (released code) or "paper" (PNAS 2023, Methods); background + 4."""
    return _grouping("tissue", scheme)


def qc_regions(scheme: str = "published") -> Grouping:
    """Regions scored by R: "published" (released code, 8) or "paper" (PNAS 2023, 10)."""
    return _grouping("qc", scheme)


@cache
def lobes() -> Grouping:
    """Lobes of the 68 parcels (left and right together); structures belong to none."""
    members = {int(row["value"]): row["lobe"] or "background" for row in rows("parcels")}
    names = ("background", *dict.fromkeys(name for name in members.values() if name != "background"))
    group_of = {int(row["value"]): 0 for row in rows("structures")}
    group_of.update({value: names.index(name) for value, name in members.items()})
    return Grouping("lobe", "desikan-killiany", names, group_of)


@cache
def _grouping(kind: str, scheme: str) -> Grouping:
    listed = sorted(
        (int(row["index"]), row["name"])
        for row in rows("groupings")
        if row["kind"] == kind and row["scheme"] == scheme
    )
    if not listed:
        raise ValueError(f"scheme must be 'published' or 'paper', not {scheme!r}")
    names = tuple(name for _, name in listed)
    column = f"{kind}_{scheme}"
    group_of = {int(row["value"]): names.index(row[column] or "background") for row in rows("structures")}
    group_of.update({int(row["value"]): group_of[int(row["structure"])] for row in rows("parcels")})
    return Grouping(kind, scheme, names, group_of)
