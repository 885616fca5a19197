"""Where results lie: beside their scan in the subject hierarchy, under its transform."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer


def placeBeside(nodes: Iterable[Any], inputNode: Any) -> None:
    """Put the nodes' subject-hierarchy items under the parent of the input's."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(inputNode.GetScene())
    if hierarchy is None:
        return
    invalid = slicer.vtkMRMLSubjectHierarchyNode.GetInvalidItemID()
    inputItem = hierarchy.GetItemByDataNode(inputNode)
    parent = hierarchy.GetItemParent(inputItem) if inputItem != invalid else hierarchy.GetSceneItemID()
    for node in nodes:
        item = hierarchy.GetItemByDataNode(node)
        if item == invalid:
            hierarchy.CreateItem(parent, node)
        else:
            hierarchy.SetItemParent(item, parent)


def followTransform(nodes: Iterable[Any], inputNode: Any) -> None:
    """Put the nodes under the input's parent transform."""
    for node in nodes:
        node.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
