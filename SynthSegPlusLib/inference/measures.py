"""From sums of posteriors to the table of volumes and verdicts."""

from __future__ import annotations

import math

import numpy as np

from SynthSegPlusLib.contract import MeasuresTable, QualityReport, StructureMeasure, Verdict
from SynthSegPlusLib.inference._parcels import Parcels
from SynthSegPlusLib.labels import Grouping, Label, LabelTable, parcels


def intracranial_volume(volumes: np.ndarray, table: LabelTable) -> float | None:
    """Sum of all structures with the extracerebral CSF, mm3; None for a table without it.

    ``volumes``: mm3 per channel of ``table``, float64; channel 0 is not counted.
    """
    has_csf = any(label.name == "csf" for label in table)
    return float(volumes[1:].sum()) if has_csf else None


def parcel_volumes(
    found: Parcels, volumes: np.ndarray, voxel_mm3: float, table: LabelTable, rule: str, to_white_matter: bool
) -> np.ndarray:
    """Volume of the 68 parcels, mm3, ascending by label.

    With the "conditional" rule the sums are volumes already. With the "published" rule they are scaled to the volume
    of the cortex; ``to_white_matter`` reproduces the reference's off-by-one, which takes white matter instead.
    """
    if rule == "conditional":
        return found.sums * voxel_mm3
    names = "white matter" if to_white_matter else "cortex"
    target = sum(volumes[table.channel(label.value)] for label in table if label.name.endswith(f"cerebral {names}"))
    total = found.sums.sum()
    return found.sums / total * target if total > 0 else np.zeros_like(found.sums)


def table_of(
    volumes: np.ndarray,
    table: LabelTable,
    regions: Grouping,
    quality: QualityReport | None,
    parcel_mm3: np.ndarray | None = None,
) -> MeasuresTable:
    """The table of a scan: structures, then parcels. ``volumes``: mm3 per channel; ``parcel_mm3``: mm3 of the 68."""
    icv = intracranial_volume(volumes, table)
    listed = [(label, float(volume)) for label, volume in zip(table, volumes, strict=True) if label.value]
    if parcel_mm3 is not None:
        listed += [(label, float(volume)) for label, volume in zip(parcels().select(), parcel_mm3, strict=True)]
    return MeasuresTable(tuple(_measure(label, volume, icv, regions, quality) for label, volume in listed))


def _measure(
    label: Label, volume: float, icv: float | None, regions: Grouping, quality: QualityReport | None
) -> StructureMeasure:
    region = regions.name_of(label.value) or ""
    score = quality.score_of(region) if quality and region else None
    verdict = Verdict.of(score, quality.threshold) if quality else Verdict.NOT_SCORED
    fraction = volume / icv if icv else math.nan
    return StructureMeasure(label.value, label.name, label.hemisphere, volume, fraction, region, score, verdict)
