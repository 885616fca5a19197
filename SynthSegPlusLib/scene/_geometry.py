"""Between volume nodes and arrays with an affine. Geometry is the node's own, before any parent transform."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from SynthSegPlusLib.contract.errors import InputError

LABEL_TYPE = np.int16
"""Parcels go up to 2035, which needs more than eight bits."""


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
