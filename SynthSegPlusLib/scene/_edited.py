"""What a person changed in the segments of a result, found by comparing them with the label map they were made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from SynthSegPlusLib.scene._colours import labelOf
from SynthSegPlusLib.scene._geometry import LABEL_TYPE, arrayAndAffine, fillLabelmap
from SynthSegPlusLib.scene._result import ResultNodes
from SynthSegPlusLib.scene._segmentation import labelOfSegment

ADDED = 30001
"""Label of the first segment that a person added: beyond FreeSurfer's values, within sixteen bits."""

EDITED_COLUMNS = ("label", "name", "hemisphere", "voxels", "volume_mm3", "edited")


@dataclass(frozen=True)
class Edit:
    """Edited segments as label values [i, j, k] on the grid of `labelmap`, which holds the untouched ones.

    `names` has the segments' own names by label value.
    """

    labelmap: Any
    labels: np.ndarray
    names: dict[int, str]

    def rows(self) -> list[list[str]]:
        """A volume per label that is there or was, by counting voxels (mm3), ascending; the first row is the header."""
        original, affine = arrayAndAffine(self.labelmap)
        changed = self.labels != original
        touched = {*np.unique(self.labels[changed]), *np.unique(original[changed])}
        counts, voxel = np.bincount(self.labels.ravel(order="K")), float(abs(np.linalg.det(affine[:3, :3])))
        rows = [list(EDITED_COLUMNS)]
        for value in sorted({*self.names, *np.unique(original).tolist()} - {0}):
            label, count = labelOf(value), int(counts[value]) if value < len(counts) else 0
            name, side = (self.names.get(value, ""), "none") if label is None else (label.name, label.hemisphere)
            rows.append([str(value), name, side, str(count), repr(count * voxel), "yes" if value in touched else "no"])
        return rows

    def node(self) -> Any:
        """A label map of the edited segments, in no scene."""
        node = slicer.vtkMRMLLabelMapVolumeNode()
        fillLabelmap(node, self.labels, arrayAndAffine(self.labelmap)[1])
        return node


def editsOf(result: ResultNodes) -> list[Edit]:
    """The label maps of a result whose segments say otherwise now; empty when nobody edited them.

    Voxels are compared, and not times: an edit outlasts saving and loading, and one that was undone is none.
    """
    pairs = ((result.segmentation, result.segmentationNode), (result.parcellation, result.parcellationNode))
    edits = (_edit(labelmap, node) for labelmap, node in pairs
             if labelmap is not None and node is not None and node.GetScene() is not None)
    return [edit for edit in edits if edit is not None]


def _edit(labelmap: Any, node: Any) -> Edit | None:
    segmentation = node.GetSegmentation()
    values: dict[str, int] = {}
    names: dict[int, str] = {}
    for index in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(index)
        value = labelOfSegment(segment) or ADDED + sum(number >= ADDED for number in names)
        values[segmentation.GetNthSegmentID(index)] = value
        names[value] = segment.GetName()
    labels = _merged(node, labelmap, values)
    return None if np.array_equal(labels, arrayAndAffine(labelmap)[0]) else Edit(labelmap, labels, names)


def _merged(node: Any, labelmap: Any, values: dict[str, int]) -> np.ndarray:
    """Label values of segments by ID, brought to the grid of a label map; both lie under the same transform."""
    grid, matrix, merged = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4(), slicer.vtkOrientedImageData()
    labelmap.GetIJKToRASMatrix(matrix)
    grid.SetExtent(labelmap.GetImageData().GetExtent())
    grid.SetGeometryFromImageToWorldMatrix(matrix)
    identifiers, labels = vtk.vtkStringArray(), vtk.vtkIntArray()
    for identifier, value in values.items():
        identifiers.InsertNextValue(identifier)
        labels.InsertNextValue(value)
    if not values:
        return np.zeros(labelmap.GetImageData().GetDimensions(), LABEL_TYPE)
    whole = slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    if not (node.CreateBinaryLabelmapRepresentation()
            and node.GenerateMergedLabelmapForAllSegments(merged, whole, grid, identifiers, labels)):
        raise OSError(f"Slicer could not merge the segments of {node.GetName()!r}")
    return vtk_to_numpy(merged.GetPointData().GetScalars()).reshape(merged.GetDimensions(), order="F").copy(order="K")
