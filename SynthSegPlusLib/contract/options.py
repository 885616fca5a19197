"""What a door asks of the engine for one scan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from SynthSegPlusLib.contract.errors import OptionsError

Mode = Literal["robust", "default", "fast", "s1-s2", "s-d", "s1-s2-d"]
Precision = Literal["float32", "bfloat16", "float16"]
Scheme = Literal["published", "centred"]
Grid = Literal["1mm", "native"]

QC_THRESHOLD = 0.65
"""Predicted Dice below which a region fails (Billot et al., PNAS 2023, automated QC)."""

MODE_MEANINGS: dict[str, str] = {
    "robust": "S1, denoiser and S2: for clinical scans of any quality",
    "default": "single network with left-right averaging and topology correction: for good scans",
    "fast": "single network alone: quickest",
    "s1-s2": "study: S1 and S2 without the denoiser",
    "s-d": "study: single network, its tissues corrected by the denoiser",
    "s1-s2-d": "study: S1 and S2, the result corrected by the denoiser",
}


@dataclass(frozen=True)
class SegmentOptions:
    """Options of one segmentation, checked when made.

    Attributes
    ----------
    mode
        Which chain of networks runs; see ``MODE_MEANINGS``. The last three are the comparators of
        the paper (PNAS 2023, "Competing methods"), for studies.
    parcellation
        Add the 68 cortical parcels (network S3).
    quality
        Predict Dice per region (network R) and give verdicts.
    quality_from_denoiser
        Also give the quality estimate of the paper's comparator: Dice between D's and S2's tissues.
    ct
        Clip intensities to [0, 80] HU before scaling.
    crop
        Size in mm, R x A x S, of a centred patch to process, or None for the whole field of view.
    qc_threshold
        Score in [0, 1] below which a region fails.
    label_version
        Label table of the single network: "2.0" (with CSF) or "1.0".
    grid
        Grid of the label maps: "1mm" (in the input's orientation) or "native" (the input's own).
    precision
        Arithmetic of the networks.
    scheme
        How to conform; None takes what the model set was trained for.
    compatibility
        Reproduce the known defects of the reference implementation in the numbers: parcel volumes
        scaled to white matter, and parcels left unsmoothed when quality is asked for.
    posteriors
        Keep the soft segmentation in the result (33 channels, large).
    """

    mode: Mode = "robust"
    parcellation: bool = False
    quality: bool = False
    quality_from_denoiser: bool = False
    ct: bool = False
    crop: tuple[int, int, int] | None = None
    qc_threshold: float = QC_THRESHOLD
    label_version: Literal["2.0", "1.0"] = "2.0"
    grid: Grid = "1mm"
    precision: Precision = "float32"
    scheme: Scheme | None = None
    compatibility: bool = False
    posteriors: bool = False

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, get_args(Mode))
        _one_of("grid", self.grid, get_args(Grid))
        _one_of("precision", self.precision, get_args(Precision))
        _one_of("label_version", self.label_version, ("2.0", "1.0"))
        if self.scheme is not None:
            _one_of("scheme", self.scheme, get_args(Scheme))
        if not 0.0 <= self.qc_threshold <= 1.0:
            raise OptionsError(
                f"The quality threshold is {self.qc_threshold}; give a Dice score from 0 to 1, such as {QC_THRESHOLD}."
            )
        if self.label_version == "1.0" and self.mode not in ("default", "fast"):
            raise OptionsError(
                f"Mode {self.mode!r} has no 1.0 model; choose mode 'default' or 'fast' with label version 1.0."
            )
        if self.crop is not None:
            object.__setattr__(self, "crop", _crop(self.crop))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SegmentOptions:
        """Inverse of `to_dict`; an unknown name is an `OptionsError`."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionsError(f"Unknown option {', '.join(unknown)}; known are {', '.join(sorted(known))}.")
        return cls(**values)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionsError(f"Option {name} is {value!r}; choose one of {', '.join(allowed)}.")


def _crop(crop: object) -> tuple[int, int, int]:
    sizes = tuple(crop) if isinstance(crop, (tuple, list)) else (crop,)
    if len(sizes) == 1:
        sizes *= 3
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise OptionsError(f"Crop is {crop!r}; give one or three positive whole numbers of millimetres.")
    return sizes  # type: ignore[return-value]
