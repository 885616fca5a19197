"""An array with its place in the world."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding


@dataclass
class Volume:
    """A scan, label map or posteriors.

    data: [x, y, z], or [x, y, z, channel] for posteriors; any real dtype. affine: float64 [4, 4], voxel to RAS in mm.
    name: file name without folder and extension, for messages and outputs; source: where it was read from.
    header: nibabel header of the file, None for other formats; header_sizes: voxel sizes (mm) as the file's header
    states them, which need not agree with the affine. findings: what reading noticed (frames, units, geometry).

    Raises InputError when the shape has fewer than three axes, an axis is empty, or the affine is unusable.
    """

    data: np.ndarray
    affine: np.ndarray
    name: str = ""
    source: Path | None = None
    header: Any = None
    header_sizes: np.ndarray | None = None
    findings: tuple[Finding, ...] = field(default=())

    def __post_init__(self) -> None:
        self.data = np.asarray(self.data)
        self.affine = np.array(self.affine, np.float64)
        title = self.name or "the volume"
        if self.data.ndim < 3:
            raise InputError(f"{title} has {self.data.ndim} axes {self.data.shape}; a 3-D volume is needed.")
        if 0 in self.data.shape:
            raise InputError(f"{title} holds no voxels: its shape is {self.data.shape}. Export the scan again.")
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise InputError(
                f"The voxel-to-world matrix of {title} has entries that are not numbers; convert the scan again from "
                "its DICOM files."
            )
        sizes = self.spacing
        # Judged on unit directions, so that tiny voxels are not taken for a collapsed axis.
        if np.any(sizes <= 0) or abs(np.linalg.det(self.affine[:3, :3] / sizes)) < 1e-3:
            raise InputError(
                f"The voxel-to-world matrix of {title} collapses an axis (voxel sizes {_sizes(sizes)} mm); convert "
                "the scan again from its DICOM files."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return self.data.shape

    @property
    def spacing(self) -> np.ndarray:
        """Voxel sizes in mm along the three axes of the array, float64 [3]: column norms of the affine."""
        return np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0))

    @property
    def stated_sizes(self) -> np.ndarray:
        """Voxel sizes in mm as the header states them, float64 [3]; those of the affine where there is no header."""
        return self.spacing if self.header_sizes is None else np.asarray(self.header_sizes, np.float64)

    @classmethod
    def read(cls, path: str | Path, frame: int = 0) -> Volume:
        """Read NIfTI, MGZ/MGH, NRRD, MetaImage, npz or a DICOM folder; of a series of volumes one frame.

        Raises InputError with one sentence that says what is wrong with the file and what to do.
        """
        from SynthSegPlusLib.volume._reading import read

        return read(Path(path), frame)

    def write(self, path: str | Path, dtype: Any = None) -> Path:
        """Write as NIfTI, MGZ/MGH, NRRD, MetaImage or npz by the file's extension; return the path.

        dtype: of the stored numbers, default the data's own; "header" keeps the type of the input's NIfTI header and
        lets it scale (the reference's rule for resampled scans). A NIfTI header is carried over from the input. The
        file appears under its name only when it is complete. Raises OutputError.
        """
        from SynthSegPlusLib.volume._writing import write

        return write(self, Path(path), dtype)


def _sizes(values: np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
