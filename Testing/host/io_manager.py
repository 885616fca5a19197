"""Reading and writing of nodes and scenes: what `slicer.util.load*` and `save*` ask `qSlicerCoreIOManager` for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk

FILE_TYPES = {
    ".seg.nrrd": "SegmentationFile",
    ".seg.nhdr": "SegmentationFile",
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
    ".ctbl": "ColorTableFile",
    ".tsv": "TableFile",
    ".csv": "TableFile",
    ".vtk": "ModelFile",
    ".vtp": "ModelFile",
    ".stl": "ModelFile",
    ".ply": "ModelFile",
    ".tfm": "TransformFile",
    ".h5": "TransformFile",
    ".txt": "TextFile",
}
WRITER_TYPES = {
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLVolumeNode": "VolumeFile",
    "vtkMRMLTableNode": "TableFile",
    "vtkMRMLColorNode": "ColorTableFile",
    "vtkMRMLModelNode": "ModelFile",
    "vtkMRMLTransformNode": "TransformFile",
    "vtkMRMLTextNode": "TextFile",
}
# Bits of vtkSlicerVolumesLogic::AddArchetypeVolume's loading options.
VOLUME_OPTIONS = {"labelmap": 1, "center": 2, "singleFile": 4, "autoWindowLevel": 8, "discardOrientation": 16}


class IOManager:
    """The part of `qSlicerCoreIOManager` that scripts use."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def fileType(self, filename: str) -> str:
        name = str(filename).lower()
        return next((kind for ending, kind in FILE_TYPES.items() if name.endswith(ending)), "VolumeFile")

    def fileWriterFileType(self, node: Any) -> str:
        return next((kind for name, kind in WRITER_TYPES.items() if node.IsA(name)), "NoFile")

    # ---- loading ----------------------------------------------------------------------------------------

    def loadNodes(self, file_type: str, properties: dict, loaded: Any = None, messages: Any = None) -> bool:
        filename = str(properties["fileName"])
        if not Path(filename).exists():
            _say(messages, f"File not found: {filename}")
            return False
        if file_type == "SceneFile":
            return self._load_scene(filename, bool(properties.get("clear", False)))
        readers = {
            "VolumeFile": self._load_volume,
            "SegmentationFile": self._load_segmentation,
            "TableFile": self._load_table,
            "ColorTableFile": lambda name, _: self._core.logic("Colors").LoadColorFile(name),
            "ModelFile": self._load_model,
            "TransformFile": lambda name, _: self._core.logic("Transforms").AddTransform(name, self._core.scene),
            "TextFile": self._load_text,
        }
        if file_type not in readers:
            _say(messages, f"The test host reads no {file_type}.")
            return False
        node = readers[file_type](filename, properties)
        if node is None:
            _say(messages, f"{filename} could not be read as {file_type}.")
            return False
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def _load_volume(self, filename: str, properties: dict) -> Any:
        options = sum(bit for name, bit in VOLUME_OPTIONS.items() if properties.get(name, name == "autoWindowLevel"))
        logic = self._core.logic("Volumes")
        name = properties.get("name") or _base_name(filename)
        node = logic.AddArchetypeVolume(filename, name, options, None)
        if node is not None and properties.get("colorNodeID"):
            node.GetDisplayNode().SetAndObserveColorNodeID(properties["colorNodeID"])
        if node is not None and properties.get("show", True):
            self._show_volume(node)
        return node

    def _show_volume(self, node: Any) -> None:
        selection = self._core.application_logic.GetSelectionNode()
        if node.IsA("vtkMRMLLabelMapVolumeNode"):
            selection.SetReferenceActiveLabelVolumeID(node.GetID())
        else:
            selection.SetReferenceActiveVolumeID(node.GetID())
        self._core.application_logic.PropagateVolumeSelection()

    def _load_segmentation(self, filename: str, properties: dict) -> Any:
        return self._core.logic("Segmentations").LoadSegmentationFromFile(
            filename, True, properties.get("name", ""), None
        )

    def _load_table(self, filename: str, properties: dict) -> Any:
        return self._core.logic("Tables").AddTable(filename, properties.get("name", _base_name(filename)))

    def _load_model(self, filename: str, properties: dict) -> Any:
        return self._core.logic("Models").AddModel(filename, slicer.vtkMRMLStorageNode.CoordinateSystemLPS)

    def _load_text(self, filename: str, properties: dict) -> Any:
        node = self._core.scene.AddNewNodeByClass("vtkMRMLTextNode", properties.get("name", _base_name(filename)))
        node.SetText(Path(filename).read_text(encoding="utf-8"))
        return node

    def _load_scene(self, filename: str, clear: bool) -> bool:
        scene = self._core.scene
        if filename.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(filename, clear))
        scene.SetURL(filename)
        return bool(scene.Connect() if clear else scene.Import())

    # ---- saving -----------------------------------------------------------------------------------------

    def saveNodes(self, file_type: str, properties: dict, messages: Any = None) -> bool:
        filename = str(properties["fileName"])
        if file_type == "SceneFile":
            return self._save_scene(filename)
        node = self._core.scene.GetNodeByID(properties["nodeID"])
        if node is None or not node.IsA("vtkMRMLStorableNode"):
            _say(messages, f"{properties['nodeID']} is no node that can be saved.")
            return False
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(filename)
        storage = node.GetStorageNode()
        storage.SetFileName(filename)
        storage.SetUseCompression(int(properties.get("useCompression", True)))
        return bool(storage.WriteData(node))

    def exportNodes(
        self, ids: list[str], filenames: list[str], properties: dict, harden: bool = False, messages: Any = None
    ) -> bool:
        """Write nodes without touching their own storage nodes."""
        written = []
        for node_id, filename in zip(ids, filenames, strict=True):
            node = self._core.scene.GetNodeByID(node_id)
            storage = node.CreateDefaultStorageNode()
            storage.SetFileName(str(filename))
            written.append(bool(storage.WriteData(node)))
        return all(written)

    def fileWriterExtensions(self, node: Any) -> list[str]:
        types = node.CreateDefaultStorageNode().GetSupportedWriteFileTypes()
        return [types.GetValue(index) for index in range(types.GetNumberOfValues())]

    def extractKnownExtension(self, filename: str, node: Any) -> str:
        return node.CreateDefaultStorageNode().GetSupportedFileExtension(str(filename), False, True)

    def _save_scene(self, filename: str) -> bool:
        scene = self._core.scene
        if filename.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(filename))
        if filename.lower().endswith(".mrml"):
            return bool(scene.Commit(filename))
        Path(filename).mkdir(parents=True, exist_ok=True)
        return bool(self._core.application_logic.SaveSceneToSlicerDataBundleDirectory(filename, None))


def _base_name(filename: str) -> str:
    name = Path(filename).name
    for ending in (".nii.gz", *FILE_TYPES):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return Path(filename).stem


def _say(messages: Any, text: str) -> None:
    if messages is not None:
        messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
