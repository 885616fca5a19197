"""Between volume nodes and arrays with an affine. Geometry is the node's own, before any parent transform."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.findings import Finding

LABEL_TYPE = np.int16
"""Parcels go up to 2035, which needs more than eight bits."""

RIGID_TOLERANCE = 1e-3
"""Deviation from a rotation (relative lengths, cosines of angles) that is no more than rounding."""

SAME_PLACE = 1e-4
"""Difference of two affines (mm) that is no more than rounding."""


def arrayAndAffine(volumeNode: Any) -> tuple[np.ndarray, np.ndarray]:
    """Voxels [i, j, k] (a view, not a copy) and the voxel-to-RAS affine (float64 4x4, mm) of a scalar volume.

    Slicer flips left-handed volumes when it loads them, so both come from the node and never from the file.
    """
    image = volumeNode.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"The volume {volumeNode.GetName()!r} holds no image; load the scan again.")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f"The volume {volumeNode.GetName()!r} has {image.GetNumberOfScalarComponents()} values a voxel; "
            "choose a volume with one, such as a T1 scan."
        )
    array = slicer.util.arrayFromVolume(volumeNode)
    return array.transpose(2, 1, 0), affineOf(volumeNode)


def affineOf(volumeNode: Any) -> np.ndarray:
    """Voxel-to-RAS affine of a volume node, float64 4x4, mm, parent transforms left out."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return _array(matrix)


def transformFindings(volumeNode: Any) -> list[Finding]:
    """What a volume's parent transforms do to its size, which a segmentation of the node's own voxels leaves out."""
    transform = volumeNode.GetParentTransformNode()
    if transform is None:
        return []
    if not transform.IsTransformToWorldLinear():
        # Slicer's DICOM import puts such a one over scans with a tilted gantry or uneven slices.
        return [Finding("non-linear-transform", "warning",
                        f"The scan lies under the non-linear transform {transform.GetName()!r}; it is segmented and "
                        "measured without it.", "Harden the transform first.")]
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    linear = _array(matrix)[:3, :3]
    if np.allclose(linear.T @ linear, np.eye(3), atol=RIGID_TOLERANCE):
        return []
    return [Finding("scaling-transform", "info",
                    f"The transform {transform.GetName()!r} scales or shears the scan (volumes times "
                    f"{abs(np.linalg.det(linear)):.4g}); volumes are those of the scan without it.")]


class Place:
    """Where a volume's voxels lay at one time, before any parent transform."""

    def __init__(self, volumeNode: Any) -> None:
        self._affine, self._size = affineOf(volumeNode), _sizeOf(volumeNode)

    def isOf(self, volumeNode: Any) -> bool:
        """Whether they still lie there."""
        return _sizeOf(volumeNode) == self._size and np.allclose(affineOf(volumeNode), self._affine, atol=SAME_PLACE)


def _sizeOf(volumeNode: Any) -> tuple[int, ...]:
    image = volumeNode.GetImageData()
    return () if image is None else tuple(image.GetDimensions())


def _array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def fillLabelmap(node: Any, labels: np.ndarray, affine: np.ndarray) -> None:
    """Give a labelmap node its voxels [i, j, k] of label values and its voxel-to-RAS affine (4x4, mm)."""
    fillVolume(node, inSlicersOrder(labels, LABEL_TYPE), affine)


def inSlicersOrder(data: np.ndarray, dtype: Any = None) -> np.ndarray:
    """Voxels [i, j, k] whose memory runs as in Slicer (i fastest), so that a node takes them with one plain copy."""
    transposed = np.transpose(data, (2, 1, 0))
    return np.ascontiguousarray(transposed, dtype or data.dtype).transpose(2, 1, 0)


def fillVolume(node: Any, data: np.ndarray, affine: np.ndarray) -> None:
    """Give a scalar volume node its voxels [i, j, k] and its voxel-to-RAS affine (4x4, mm)."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(affine[row][column]))
    node.SetIJKToRASMatrix(matrix)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(np.transpose(data, (2, 1, 0))))


def toWorld(node: Any, point: np.ndarray) -> np.ndarray:
    """A point in the node's RAS (mm) where the parent transforms put it in the world."""
    moved = [0.0, 0.0, 0.0]
    node.TransformPointToWorld([float(value) for value in point], moved)
    return np.array(moved)
