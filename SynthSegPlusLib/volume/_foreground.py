"""Whether the head touches the border of the image."""

from __future__ import annotations

import numpy as np

from SynthSegPlusLib.volume._intensity import finite
from SynthSegPlusLib.volume._orientation import nearest_orientation
from SynthSegPlusLib.volume._volume import Volume

CONTACT = 0.3
"""Part of the largest cross-section that the border may cut before a brain is likely to be cut: ears, nose and the
scalp above the vertex stay below it."""

BRAIN_HEIGHT_MM = 125.0
"""From the vertex down to below the cerebellum: a neck that is cut lower than this is harmless."""

_STRIDE_MM = 3.0


def border_contact(volume: Volume) -> list[str]:
    """Sides ("left", "right", "back", "front", "bottom", "top") at which the head is probably cut.

    The head is what Otsu's threshold leaves of the scan, sampled every 3 mm.
    """
    orientation = nearest_orientation(volume.affine)
    spacing = volume.spacing[list(orientation.axes)]
    steps = tuple(slice(None, None, max(1, int(_STRIDE_MM / s))) for s in spacing)
    full = orientation.apply(volume.data)
    data = finite(full[steps], np.float32)
    threshold = otsu(data)
    head = data > threshold
    found = []
    for axis, (low, high) in enumerate((("left", "right"), ("back", "front"), ("bottom", "top"))):
        areas = head.sum(axis=tuple(k for k in range(3) if k != axis))
        if areas.max() == 0:
            return []
        # The outermost planes themselves, which the stride may have passed over.
        ends = [finite(np.take(full, end, axis), np.float32)[_other(steps, axis)] for end in (0, -1)]
        for name, plane in zip((low, high), ends, strict=True):
            if (plane > threshold).sum() > CONTACT * areas.max() and not _harmless_neck(name, areas, spacing[2]):
                found.append(name)
    return found


def otsu(data: np.ndarray) -> float:
    """Threshold that splits intensities into two classes of least variance (Otsu 1979), robust to outliers."""
    low, high = np.percentile(data, (0.5, 99.5))
    counts, edges = np.histogram(np.clip(data, low, high), bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    mass = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass[:-1] / below - (mass[-1] - mass[:-1]) / above) ** 2
    between = np.nan_to_num(between)
    # Empty bins between the classes give a plateau: take its middle.
    return float(centres[np.flatnonzero(between == between.max())].mean())


def _harmless_neck(side: str, areas: np.ndarray, spacing_mm: float) -> bool:
    if side != "bottom":
        return False
    step = max(1, int(_STRIDE_MM / spacing_mm)) * spacing_mm
    vertex = np.flatnonzero(areas > 0.05 * areas.max())[-1]
    return bool((vertex + 1) * step >= BRAIN_HEIGHT_MM)


def _other(steps: tuple[slice, ...], axis: int) -> tuple[slice, ...]:
    return tuple(step for k, step in enumerate(steps) if k != axis)
