"""Pictures to judge results by eye: every real scan in three planes, alone and with its labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.volume import Volume

ROWS_PER_SHEET = 8
SHEET = "sheet"
OPACITY = 0.55
PLANES = ("sagittal", "coronal", "axial")


def write_overlay(path: Path, scan: Volume, result: Any) -> None:
    """Write one strip: three planes through the middle of the labels, each without and with labels, and the verdict."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    image, labels = (canonical(volume) for volume in (result.resampled or scan, result.labels))
    figure = Figure(figsize=(16, 2.8))
    FigureCanvasAgg(figure)
    figure.text(0.005, 0.5, _title(scan.name, result), fontsize=9, va="center")
    axes = figure.subplots(1, 6, gridspec_kw={"left": 0.17, "right": 1, "top": 1, "bottom": 0, "wspace": 0.01})
    grey = _grey(image)
    for plane, at in enumerate(_middle(labels)):
        cut = np.take(grey, at, plane).T
        shown = np.repeat(cut[..., None], 3, axis=2)
        colours, inside = _colours(np.take(labels, at, plane).T)
        mixed = np.where(inside[..., None], (1 - OPACITY) * shown + OPACITY * colours, shown)
        for axis, picture in zip(axes[2 * plane : 2 * plane + 2], (shown, mixed), strict=True):
            axis.imshow(picture, origin="lower", interpolation="nearest")
            axis.set_facecolor("black")
            axis.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.part.png")
    figure.savefig(partial, dpi=100)
    os.replace(partial, path)


def contact_sheets(folder: Path) -> list[Path]:
    """Join the strips of a folder into sheets of eight; the sheets' paths."""
    from matplotlib.image import imread, imsave

    strips = sorted(path for path in folder.glob("*.png") if not path.name.startswith((SHEET, ".")))
    sheets = []
    for first in range(0, len(strips), ROWS_PER_SHEET):
        pictures = [imread(path)[..., :3] for path in strips[first : first + ROWS_PER_SHEET]]
        sheets.append(folder / f"{SHEET}_{first // ROWS_PER_SHEET + 1}.png")
        imsave(sheets[-1], np.concatenate(pictures))
    return sheets


def canonical(volume: Volume) -> np.ndarray:
    """The data [x, y, z] with axes nearest to R, A, S."""
    from nibabel.orientations import apply_orientation, io_orientation

    return apply_orientation(volume.data, io_orientation(volume.affine))


def _title(name: str, result: Any) -> str:
    lines = [name[start : start + 24] for start in range(0, len(name), 24)]
    lines.append(f"verdict: {result.verdict.value}")
    if result.quality is not None and result.quality.regions:
        worst = min(result.quality.regions, key=lambda region: region.score)
        lines.append(f"lowest {worst.text} {worst.name}")
    if result.icv_mm3 is not None:
        lines.append(f"ICV {result.icv_mm3 / 1000:.0f} ml")
    return "\n".join(lines)


def _grey(image: np.ndarray) -> np.ndarray:
    values = image[np.isfinite(image) & (image != 0)]
    low, high = np.percentile(values, [1, 99]) if len(values) else (0.0, 1.0)
    return np.clip((np.nan_to_num(image.astype(np.float32)) - low) / max(high - low, 1e-6), 0, 1)


def _middle(labels: np.ndarray) -> list[int]:
    """Median position of the labelled voxels along each axis; the volume's middle where there are none."""
    found = np.argwhere(labels > 0)
    return [int(np.median(found[:, axis])) if len(found) else labels.shape[axis] // 2 for axis in range(3)]


def _colours(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours (float [..., 3]) of label values, and where there is a structure."""
    table = np.zeros((int(max(label.value for label in structures("2.0"))) + 1, 3))
    for label in structures("2.0"):
        table[label.value] = np.array(label.colour) / 255
    return table[labels], labels > 0
