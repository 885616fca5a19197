"""Items of the subject hierarchy. The node is Slicer's own; in Slicer, Qt plugins put the scene's nodes into it."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

# Owner plugins by node class, as Slicer's plugins claim them; other nodes get no item.
OWNERS = {
    "vtkMRMLLabelMapVolumeNode": "LabelMaps",
    "vtkMRMLVolumeNode": "Volumes",
    "vtkMRMLSegmentationNode": "Segmentations",
    "vtkMRMLTableNode": "Tables",
    "vtkMRMLModelNode": "Models",
    "vtkMRMLMarkupsNode": "Markups",
    "vtkMRMLTransformNode": "Transforms",
    "vtkMRMLTextNode": "Texts",
}


class SubjectHierarchy:
    """Gives each visible data node an item when it enters the scene, and takes it away when it leaves."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        scene.AddObserver(scene.NodeAddedEvent, self._added)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._removed)
        scene.AddObserver(scene.EndImportEvent, self._imported)
        scene.AddObserver(scene.EndCloseEvent, self._resolve)

    def _node(self) -> Any:
        return self._scene.GetSubjectHierarchyNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _added(self, caller: Any, event: str, node: Any) -> None:
        if node.IsA("vtkMRMLSubjectHierarchyNode"):
            self._resolve()
        elif not self._scene.IsImporting():
            self._add(node)

    def _resolve(self, *_: Any) -> None:
        """One hierarchy node: merge what was loaded into it, and make a new one after the scene was closed."""
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self._scene)

    def _add(self, node: Any) -> None:
        owner = next((plugin for name, plugin in OWNERS.items() if node.IsA(name)), None)
        hierarchy = self._node()
        if owner is None or node.GetHideFromEditors() or hierarchy is None or hierarchy.GetItemByDataNode(node):
            return
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
        hierarchy.SetItemOwnerPluginName(item, owner)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _removed(self, caller: Any, event: str, node: Any) -> None:
        hierarchy = self._node()
        if hierarchy is None or node.IsA("vtkMRMLSubjectHierarchyNode") or self._scene.IsClosing():
            return
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _imported(self, *_: Any) -> None:
        self._resolve()
        for index in range(self._scene.GetNumberOfNodes()):
            self._add(self._scene.GetNthNode(index))
