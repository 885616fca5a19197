"""What a look at a scan finds out before anything runs."""

from __future__ import annotations

import numpy as np

from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume._foreground import border_contact
from SynthSegPlusLib.volume._intensity import CT_RANGE_HU
from SynthSegPlusLib.volume._volume import Volume, _sizes

SHEAR_COSINE = 1e-3
"""Cosine between two voxel axes above which a scan counts as sheared (0.06 degrees; headers round)."""

THIN_VOXELS = 10
THIN_MM = 60.0
"""Fewer voxels or less coverage than this along an axis is a slab, not a head."""

COARSE_MM = 10.0
"""Spacing above which no training scan lay (the reference: at most 9 mm)."""

HUGE_MM = 500.0
"""A field of view beyond this is no head: units are wrong or it is a whole body."""

AIR_HU = -900.0
BONE_HU = 300.0

SIZE_DISAGREEMENT = 0.01
"""Relative difference between the header's voxel sizes and the affine's that is more than rounding."""

_SAMPLES = 2_000_000


def check(volume: Volume, ct: bool = False) -> list[Finding]:
    """Findings about a scan, those of reading first; one of severity "error" means that running is pointless.

    ct: whether the scan will be treated as CT.
    """
    findings = list(volume.findings) + _geometry(volume)
    sample = _sample(volume.data)
    good = np.isfinite(sample)
    if not good.all():
        bad = volume.data.size - int(np.count_nonzero(np.isfinite(volume.data)))
        findings.append(
            Finding(
                "not-finite",
                "warning",
                f"{bad} voxels ({100 * bad / volume.data.size:.2g} %) are NaN or infinite; they were set to 0.",
                "Check how the scan was made.",
            )
        )
    if _constant(volume.data, ct):
        seen = f" inside {CT_RANGE_HU[0]:g} to {CT_RANGE_HU[1]:g} HU" if ct else ""
        findings.append(
            Finding(
                "constant",
                "error",
                f"Every voxel has the same intensity{seen}; there is nothing to segment.",
                "Give another scan" + (", or leave CT off." if ct else "."),
            )
        )
        return findings
    findings += _intensity(sample[good].astype(np.float64), ct)
    findings += _field_of_view(volume)
    return findings


def _geometry(volume: Volume) -> list[Finding]:
    found = []
    sizes = volume.spacing
    extent = sizes * volume.shape
    stated = volume.stated_sizes
    if np.any(np.abs(stated - sizes) > SIZE_DISAGREEMENT * sizes):
        found.append(
            Finding(
                "voxel-size-conflict",
                "warning",
                f"The header states voxels of {_sizes(stated)} mm, its matrix {_sizes(sizes)} mm.",
                "Convert the scan again from its DICOM files; volumes may be wrong.",
            )
        )
    directions = volume.affine[:3, :3] / sizes
    cosine = np.abs(directions.T @ directions - np.eye(3)).max()
    if cosine > SHEAR_COSINE:
        angle = np.degrees(np.arcsin(min(cosine, 1.0)))
        found.append(
            Finding(
                "shear",
                "warning",
                f"The voxel axes are not perpendicular (off by {angle:.1f} degrees, as with a tilted CT gantry).",
                "Resample the scan to a perpendicular grid for exact volumes.",
            )
        )
    if sizes.max() > COARSE_MM:
        found.append(
            Finding(
                "coarse",
                "warning",
                f"The spacing reaches {sizes.max():.1f} mm, more than the networks were trained for.",
                "Expect coarse results; use the robust mode and look at the quality scores.",
            )
        )
    axis = int(np.argmin(extent))
    if min(volume.shape) < THIN_VOXELS or extent.min() < THIN_MM:
        found.append(
            Finding(
                "thin",
                "warning",
                f"The scan covers {extent[axis]:.0f} mm along one axis ({volume.shape[axis]} voxels), less than a "
                "brain.",
                "Only what is inside can be segmented; volumes of cut structures are too small.",
            )
        )
    if extent.max() > HUGE_MM:
        found.append(
            Finding(
                "field-of-view-large",
                "warning",
                f"The field of view reaches {extent.max():.0f} mm, more than a head.",
                "Check the units of the header, or cut out the head.",
            )
        )
    return found


def _intensity(sample: np.ndarray, ct: bool) -> list[Finding]:
    low, high = np.percentile(sample, (1, 99))
    hounsfield = low <= AIR_HU and high >= BONE_HU
    if hounsfield and not ct:
        return [
            Finding(
                "looks-like-ct",
                "warning",
                f"Intensities from {low:.0f} to {high:.0f} look like Hounsfield units.",
                "If this is a CT, switch CT on.",
            )
        ]
    if ct and low >= 0:
        return [
            Finding(
                "not-like-ct",
                "warning",
                f"CT is on, but intensities ({low:.0f} to {high:.0f}) have no air below 0 HU.",
                "Switch CT off if this is an MR scan.",
            )
        ]
    return []


def _field_of_view(volume: Volume) -> list[Finding]:
    cut = border_contact(volume)
    if not cut:
        return []
    return [
        Finding(
            "field-of-view-cut",
            "warning",
            f"The head seems to be cut off at the edge of the image ({', '.join(cut)}).",
            "Volumes of structures at that edge may be too small, and so may the intracranial volume.",
        )
    ]


def _constant(data: np.ndarray, ct: bool) -> bool:
    finite = np.isfinite(data)
    values = data if finite.all() else np.where(finite, data, 0)
    low, high = values.min(), values.max()
    if ct:
        low, high = np.clip((low, high), *CT_RANGE_HU)
    return bool(low == high)


def _sample(data: np.ndarray) -> np.ndarray:
    """Every n-th voxel, so that percentiles of a large scan take no time."""
    return data.reshape(-1, order="A")[:: max(1, data.size // _SAMPLES)]
