"""Making several nodes as one step: all of them, or none."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import slicer


class NodeBatch:
    """Nodes added through `add` inside the `with` block stay only when the block ends without an error.

    The scene is in batch state meanwhile, so that views and node selectors follow once, at the end.
    """

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.nodes: list[Any] = []

    def __enter__(self) -> NodeBatch:
        self.scene.StartState(slicer.vtkMRMLScene.BatchProcessState)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if kind is not None:
            for node in reversed(self.nodes):
                removeWithCompanions(self.scene, node)
        self.scene.EndState(slicer.vtkMRMLScene.BatchProcessState)

    def add(self, className: str, name: str) -> Any:
        """A new node; a name that is taken gets a number."""
        node = self.scene.AddNewNodeByClass(className, self.scene.GetUniqueNameByString(name))
        if node is None:
            raise RuntimeError(f"The scene made no node of class {className}.")
        self.nodes.append(node)
        return node


def removeWithCompanions(scene: Any, node: Any) -> None:
    """Remove a node with the display and storage nodes that serve it alone."""
    companions = []
    if node.IsA("vtkMRMLDisplayableNode"):
        companions += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        companions.append(node.GetStorageNode())
    for companion in (node, *companions):
        if companion is not None and scene.IsNodePresent(companion):
            scene.RemoveNode(companion)
