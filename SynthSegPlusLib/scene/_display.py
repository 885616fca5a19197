"""What the slice views show of a result. Works through the scene's nodes alone, so also where no window is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from SynthSegPlusLib.scene._result import ResultNodes

Colouring = Literal["anatomy", "quality"]
Which = Literal["segmentation", "parcellation"]


def colourBy(result: ResultNodes, colouring: Colouring) -> bool:
    """Colour both labelmaps by anatomy or by quality; False when the result has no quality to show."""
    colours = result.qualityColours if colouring == "quality" else result.anatomyColours
    if colours is None:
        return False
    for node in result.labelmaps:
        # A node that is being deleted may lose its display first.
        if node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetAndObserveColorNodeID(colours.GetID())
    return True


def colouringOf(result: ResultNodes) -> Colouring:
    """By what the result is coloured now."""
    shown = result.segmentation.GetDisplayNode().GetColorNodeID()
    quality = result.qualityColours
    return "quality" if quality is not None and shown == quality.GetID() else "anatomy"


def showInSlices(result: ResultNodes, which: Which = "segmentation", opacity: float = 0.5,
                 outline: bool = False) -> None:
    """Lay one labelmap over the input in every slice view."""
    labelmap = result.parcellation if which == "parcellation" and result.parcellation else result.segmentation
    for composite in _nodes(labelmap.GetScene(), "vtkMRMLSliceCompositeNode"):
        if result.input is not None:
            composite.SetBackgroundVolumeID(result.input.GetID())
        composite.SetLabelVolumeID(labelmap.GetID())
    setLook(labelmap.GetScene(), opacity, outline)


def setLook(scene: Any, opacity: float, outline: bool) -> None:
    """Opacity (0..1) of the label layer, and outlines in place of filled areas."""
    for composite in _nodes(scene, "vtkMRMLSliceCompositeNode"):
        composite.SetLabelOpacity(opacity)
    for view in _nodes(scene, "vtkMRMLSliceNode"):
        view.SetUseLabelOutline(outline)


def isShown(result: ResultNodes) -> bool:
    """Whether any slice view shows a labelmap of this result."""
    shown = {node.GetID() for node in result.labelmaps}
    scene = result.segmentation.GetScene()
    return any(view.GetLabelVolumeID() in shown for view in _nodes(scene, "vtkMRMLSliceCompositeNode"))


def _nodes(scene: Any, className: str) -> Iterator[Any]:
    for index in range(scene.GetNumberOfNodesByClass(className)):
        yield scene.GetNthNodeByClass(index, className)
