"""Pictures of synthetic scans: one row per scan, three middle slices of the image and of its labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import OutputError
from SynthSegPlusLib.labels import structures


def colours(channels: np.ndarray) -> np.ndarray:
    """Colours (float [..., 3]) of structure channels."""
    table = np.array([label.colour for label in structures("2.0")], float) / 255
    table[0] = 0
    return table[channels]


def mosaic(path: str | Path, scans: Sequence[tuple[str, np.ndarray, np.ndarray]], columns: int = 2) -> None:
    """Write a PNG of scans, each a title, an image [x, y, z] in [0, 1] and structure channels [x, y, z].

    Axes are RAS; each scan shows its sagittal, coronal and axial middle slice, the labels below. `OutputError` where
    the picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(scans) // columns)
    figure = Figure(figsize=(6 * columns, 4.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * rows, 3 * columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, (title, image, labels) in enumerate(scans):
        row, column = 2 * (number // columns), 3 * (number % columns)
        for plane in range(3):
            middle = image.shape[plane] // 2
            axes[row, column + plane].imshow(
                np.take(image, middle, plane).T, cmap="gray", origin="lower", vmin=0, vmax=1
            )
            shown = colours(np.take(labels, middle, plane)).transpose(1, 0, 2)
            axes[row + 1, column + plane].imshow(shown, origin="lower")
        axes[row, column + 1].set_title(title, fontsize=8)
    path = Path(path)
    partial = path.with_name(f".{path.stem}.part.png")
    try:
        figure.savefig(partial, dpi=70)
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"The picture {path} cannot be written ({error}); choose another folder.") from error
