"""A segmentation node on demand: names, colours, coded terminology, closed surfaces."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from SynthSegPlusLib.scene._batch import NodeBatch
from SynthSegPlusLib.scene._colours import labelOf
from SynthSegPlusLib.scene._display import Which
from SynthSegPlusLib.scene._placement import followTransform, placeBeside
from SynthSegPlusLib.scene._result import ResultNodes
from SynthSegPlusLib.scene._terminology import terminologyTag

CSF = 24
"""Label of the fluid between brain and skull."""

_LABEL = "SynthSegPlus.Label"
"""Tag of a segment with its label; Slicer gives an edited segment another label value."""


def segmentsOf(result: ResultNodes, which: Which = "segmentation") -> Any:
    """The segmentation node made of a labelmap before; None where there is none in the scene, or no more."""
    node = getattr(result, f"{_source(result, which)}Node")
    return node if node is not None and node.GetScene() is not None else None


def makeSegmentation(result: ResultNodes, which: Which = "segmentation") -> Any:
    """A segmentation node of one labelmap, with a segment per label value that occurs."""
    source = _source(result, which)
    labelmap = getattr(result, source)
    logic = slicer.modules.segmentations.logic()
    with NodeBatch(labelmap.GetScene()) as batch:
        node = batch.add("vtkMRMLSegmentationNode", f"{labelmap.GetName()} segments")
        # Both before the import: it brings the labels into the space of the segmentation's own transform.
        followTransform([node], labelmap)
        node.SetReferenceImageGeometryParameterFromVolumeNode(labelmap)
        if not logic.ImportLabelmapToSegmentationNode(labelmap, node):
            raise RuntimeError(f"Slicer made no segments of {labelmap.GetName()!r}; see its error log.")
        node.CreateDefaultDisplayNodes()
        _describe(node)
        placeBeside([node], result.input or labelmap)
        # The label layer shows the same already; the segments are for the 3D view and the Segment Editor.
        node.GetDisplayNode().SetVisibility2D(False)
        setattr(result, f"{source}Node", node)
        result.remember()
    return node


def showSurfaces(segmentationNode: Any) -> None:
    """Make closed surfaces and show them in the 3D views, without the fluid around the brain, which would hide it."""
    segmentationNode.CreateClosedSurfaceRepresentation()
    display, segmentation = segmentationNode.GetDisplayNode(), segmentationNode.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        if labelOfSegment(segmentation.GetNthSegment(index)) == CSF:
            display.SetSegmentVisibility3D(segmentation.GetNthSegmentID(index), False)
    display.SetVisibility3D(True)


def labelOfSegment(segment: Any) -> int:
    """Label that a segment was made of, whatever became of it; 0 for one that a person added."""
    value = vtk.reference("")
    return int(str(value)) if segment.GetTag(_LABEL, value) else 0


def _source(result: ResultNodes, which: Which) -> Which:
    """The labelmap that segments are made of: without parcels, the segmentation."""
    return "parcellation" if which == "parcellation" and result.parcellation is not None else "segmentation"


def _describe(node: Any) -> None:
    """Give every segment the title, colour and code of its label value; the import left colour-table names."""
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(index)
        segment.SetTag(_LABEL, str(segment.GetLabelValue()))
        label = labelOf(segment.GetLabelValue())
        if label is None:
            continue
        segment.SetName(label.title)
        segment.SetColor(*(part / 255.0 for part in label.colour))
        tag = terminologyTag(label)
        if tag:
            segment.SetTag(segment.GetTerminologyEntryTagName(), tag)
