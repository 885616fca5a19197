"""Bringing the slice views to a structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from SynthSegPlusLib.scene._geometry import arrayAndAffine, toWorld
from SynthSegPlusLib.scene._result import ResultNodes


def centreOf(labelmap: Any, label: int) -> np.ndarray | None:
    """World position (RAS, mm) of the structure's voxel nearest to its centroid; None where it has no voxel.

    The centroid itself may lie outside a curved structure such as the cortex.
    """
    labels, affine = arrayAndAffine(labelmap)
    # Found in the memory's own order, which is k, j, i.
    voxels = np.argwhere(labels.transpose(2, 1, 0) == label)[:, ::-1]
    if len(voxels) == 0:
        return None
    nearest = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]
    return toWorld(labelmap, affine[:3, :3] @ nearest + affine[:3, 3])


def jumpTo(result: ResultNodes, label: int) -> np.ndarray | None:
    """Move all slice views and the crosshair to a structure or parcel; its position, or None where it is absent."""
    position = None
    for labelmap in result.labelmaps:
        position = centreOf(labelmap, label)
        if position is not None:
            break
    if position is None:
        return None
    scene = result.segmentation.GetScene()
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *position)
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*position)
    return position
