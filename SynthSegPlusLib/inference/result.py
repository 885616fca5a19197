"""What a segmentation gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from SynthSegPlusLib.contract import Finding, MeasuresTable, QualityReport, Verdict
from SynthSegPlusLib.volume import Volume


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Result:
    """One segmented scan. It can be pickled, and sent to another process.

    Attributes
    ----------
    labels
        FreeSurfer label values of the structures, int32, on the grid that the options ask for.
    parcellation
        The same with the cortex replaced by parcels (1001-2035); None when it was not asked for.
    volumes
        Soft volumes (mm3, float64) with scores and verdicts, per structure and parcel.
    icv_mm3
        Intracranial volume: the sum of all structures with the extracerebral CSF; None for tables without it.
    quality
        Predicted Dice per region; None when it was not asked for.
    denoiser_quality
        Dice between D's tissues and the structures', the paper's comparator; None when it was not asked for.
    posteriors
        float32 [x, y, z, structures], channel 0 the background; None when it was not asked for.
    findings
        What the checks of the scan saw, and what is implausible about the result or cannot be seen in the scan.
    record
        How the result came about, JSON-ready.
    """

    labels: Volume
    parcellation: Volume | None
    volumes: MeasuresTable
    icv_mm3: float | None
    quality: QualityReport | None
    denoiser_quality: QualityReport | None
    posteriors: Volume | None
    findings: tuple[Finding, ...]
    record: dict[str, Any]
    _resample: Callable[[], Volume | None] = field(repr=False, default=_nothing)

    def __getstate__(self) -> dict[str, Any]:
        """With the resampled scan instead of the way to make it."""
        return {**self.__dict__, "resampled": self.resampled, "_resample": _nothing}

    @property
    def verdict(self) -> Verdict:
        """Of the whole scan: rejected when any region fails."""
        return Verdict.NOT_SCORED if self.quality is None else self.quality.verdict

    @cached_property
    def resampled(self) -> Volume | None:
        """The scan on the 1 mm grid of the labels; None when its own grid was used. Made when first asked for."""
        return self._resample()
