"""The nodes of one result: made together from the worker's reply, found again by their references."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.exchange import read_array_volume
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.contract.measures import MeasuresTable, QualityReport, Verdict
from SynthSegPlusLib.contract.protocol import SegmentReply
from SynthSegPlusLib.scene._batch import NodeBatch
from SynthSegPlusLib.scene._colours import anatomyTable, qualityTable
from SynthSegPlusLib.scene._geometry import LABEL_TYPE, fillVolume, inSlicersOrder, transformFindings
from SynthSegPlusLib.scene._placement import followTransform, placeBeside
from SynthSegPlusLib.scene._tables import fillSummaryTable, fillVolumesTable, readSummary, readVolumesTable

RESULT = "SynthSegPlus.Result"
RECORD = "SynthSegPlus.Record"
QUALITY = "SynthSegPlus.Quality"
_ROLE = "SynthSegPlus."
ROLES = ("input", "segmentation", "parcellation", "volumes", "resampled", "anatomyColours", "qualityColours",
         "segmentationNode", "parcellationNode")


@dataclass
class ResultNodes:
    """One result in the scene. `parcellation`, `resampled` and the segments are None where there is none.

    `segmentationNode` and `parcellationNode` hold the segments of the labelmap of that name. The summary table refers
    to all others, so a result survives saving, loading and renaming.
    """

    input: Any
    segmentation: Any
    parcellation: Any
    volumes: Any
    summary: Any
    resampled: Any = None
    anatomyColours: Any = None
    qualityColours: Any = None
    segmentationNode: Any = None
    parcellationNode: Any = None

    @property
    def labelmaps(self) -> list[Any]:
        return [node for node in (self.segmentation, self.parcellation) if node is not None]

    @property
    def measures(self) -> MeasuresTable:
        return readVolumesTable(self.volumes)

    @property
    def quality(self) -> QualityReport | None:
        text = self.summary.GetAttribute(QUALITY)
        return QualityReport.from_dict(json.loads(text)) if text else None

    @property
    def verdict(self) -> Verdict:
        quality = self.quality
        return Verdict.NOT_SCORED if quality is None else quality.verdict

    @property
    def icvMm3(self) -> float | None:
        text = readSummary(self.summary, "intracranial volume")
        return float(text) if text else None

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self.summary.GetAttribute(RECORD) or "{}")

    def __iter__(self) -> Iterator[Any]:
        """The nodes that belong to this result alone; not its input and not the scene's anatomy colours."""
        own = (self.segmentation, self.parcellation, self.volumes, self.summary, self.resampled,
               self.qualityColours, self.segmentationNode, self.parcellationNode)
        return (node for node in own if node is not None)

    def remember(self) -> None:
        """Write the references that `resultOf` reads."""
        self.summary.SetAttribute(RESULT, "1")
        for field in dataclasses.fields(self):
            node = getattr(self, field.name)
            if field.name in ROLES:
                self.summary.SetNodeReferenceID(_ROLE + field.name, node.GetID() if node is not None else None)


ArrayVolume = tuple[np.ndarray, np.ndarray]
"""Voxels [i, j, k] and voxel-to-RAS affine."""


def readArrays(reply: SegmentReply) -> dict[str, ArrayVolume]:
    """The volumes of a reply, ready for nodes: touches no node, so that a thread can do it."""
    paths = {"segmentation": reply.labels, "parcellation": reply.parcellation, "resampled": reply.resampled}
    found = {}
    for role, path in paths.items():
        if path:
            data, affine = read_array_volume(Path(path), mapped=True)
            found[role] = (inSlicersOrder(data, None if role == "resampled" else LABEL_TYPE), affine)
    return found


def makeNodes(inputNode: Any, reply: SegmentReply, arrays: Mapping[str, ArrayVolume] | None = None) -> ResultNodes:
    """Bring a reply into the input's scene: labelmaps, colours, tables, placement, in one batch.

    Everything is read before the first node is made (`arrays` when it was read already), and a failure takes back
    what was made.
    """
    arrays = readArrays(reply) if arrays is None else arrays
    reply = _with(reply, transformFindings(inputNode))
    name = inputNode.GetName()
    with NodeBatch(inputNode.GetScene()) as batch:
        nodes = ResultNodes(
            input=inputNode,
            segmentation=_labelmap(batch, f"{name} segmentation", arrays["segmentation"]),
            parcellation=(_labelmap(batch, f"{name} parcellation", arrays["parcellation"])
                          if "parcellation" in arrays else None),
            volumes=batch.add("vtkMRMLTableNode", f"{name} volumes"),
            summary=batch.add("vtkMRMLTableNode", f"{name} summary"),
            anatomyColours=anatomyTable(batch),
        )
        fillVolumesTable(nodes.volumes, reply.measures)
        fillSummaryTable(nodes.summary, reply, name)
        nodes.summary.SetAttribute(RECORD, json.dumps(dict(reply.record)))
        if reply.quality is not None:
            nodes.summary.SetAttribute(QUALITY, json.dumps(reply.quality.to_dict()))
            nodes.qualityColours = qualityTable(batch, f"{name} quality", reply.measures, reply.quality.threshold)
        if "resampled" in arrays:
            nodes.resampled = _volume(batch, f"{name} resampled", arrays["resampled"])
        for node in nodes.labelmaps:
            node.GetDisplayNode().SetAndObserveColorNodeID(nodes.anatomyColours.GetID())
        spatial = [*nodes.labelmaps, *([nodes.resampled] if nodes.resampled else [])]
        followTransform(spatial, inputNode)
        placeBeside([*spatial, nodes.volumes, nodes.summary], inputNode)
        nodes.remember()
    return nodes


def _with(reply: SegmentReply, findings: list[Finding]) -> SegmentReply:
    """A reply and its record with what the worker, which knows of no scene, could not find."""
    if not findings:
        return reply
    found = [*reply.record.get("findings", []), *(finding.to_dict() for finding in findings)]
    return dataclasses.replace(reply, findings=(*reply.findings, *findings), record={**reply.record, "findings": found})


def _labelmap(batch: NodeBatch, name: str, volume: ArrayVolume) -> Any:
    node = batch.add("vtkMRMLLabelMapVolumeNode", name)
    fillVolume(node, *volume)
    node.CreateDefaultDisplayNodes()
    return node


def _volume(batch: NodeBatch, name: str, volume: ArrayVolume) -> Any:
    node = batch.add("vtkMRMLScalarVolumeNode", name)
    fillVolume(node, *volume)
    node.CreateDefaultDisplayNodes()
    return node


def resultOf(summary: Any) -> ResultNodes | None:
    """The result that a summary table stands for; None when it is not one or its nodes were deleted."""
    if summary is None or summary.GetAttribute(RESULT) != "1":
        return None
    found = {role: summary.GetNodeReference(_ROLE + role) for role in ROLES}
    if found["segmentation"] is None or found["volumes"] is None:
        return None
    return ResultNodes(summary=summary, **found)


def resultsIn(scene: Any, inputNode: Any = None) -> list[ResultNodes]:
    """Results of a scene, oldest first; of one input when it is given."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLTableNode")
    tables = (scene.GetNthNodeByClass(index, "vtkMRMLTableNode") for index in range(count))
    results = [result for table in tables if (result := resultOf(table)) is not None]
    return [result for result in results if inputNode is None or _same(result.input, inputNode)]


def _same(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one.GetID() == other.GetID()
