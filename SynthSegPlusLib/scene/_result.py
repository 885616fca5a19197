"""The nodes of one result: made together from the worker's reply, found again by their references."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.exchange import read_array_volume
from SynthSegPlusLib.contract.measures import MeasuresTable, QualityReport, Verdict
from SynthSegPlusLib.contract.protocol import SegmentReply
from SynthSegPlusLib.scene._batch import NodeBatch
from SynthSegPlusLib.scene._colours import anatomyTable, qualityTable
from SynthSegPlusLib.scene._geometry import fillLabelmap, fillVolume
from SynthSegPlusLib.scene._placement import followTransform, placeBeside
from SynthSegPlusLib.scene._tables import fillSummaryTable, fillVolumesTable, readSummary, readVolumesTable

RESULT = "SynthSegPlus.Result"
RECORD = "SynthSegPlus.Record"
QUALITY = "SynthSegPlus.Quality"
_ROLE = "SynthSegPlus."
ROLES = ("input", "segmentation", "parcellation", "volumes", "resampled", "anatomyColours", "qualityColours",
         "segmentationNode")


@dataclass
class ResultNodes:
    """One result in the scene. `parcellation`, `resampled` and `segmentationNode` are None where there is none.

    The summary table refers to all others, so a result survives saving, loading and renaming.
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
               self.qualityColours, self.segmentationNode)
        return (node for node in own if node is not None)

    def remember(self) -> None:
        """Write the references that `resultOf` reads."""
        self.summary.SetAttribute(RESULT, "1")
        for field in dataclasses.fields(self):
            node = getattr(self, field.name)
            if field.name in ROLES:
                self.summary.SetNodeReferenceID(_ROLE + field.name, node.GetID() if node is not None else None)


def makeNodes(inputNode: Any, reply: SegmentReply) -> ResultNodes:
    """Bring a reply into the input's scene: labelmaps, colours, tables, placement, in one batch.

    Everything is read before the first node is made, and a failure takes back what was made.
    """
    labels = read_array_volume(Path(reply.labels))
    parcellation = read_array_volume(Path(reply.parcellation)) if reply.parcellation else None
    resampled = read_array_volume(Path(reply.resampled)) if reply.resampled else None
    name = inputNode.GetName()
    with NodeBatch(inputNode.GetScene()) as batch:
        nodes = ResultNodes(
            input=inputNode,
            segmentation=_labelmap(batch, f"{name} segmentation", labels),
            parcellation=_labelmap(batch, f"{name} parcellation", parcellation) if parcellation else None,
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
        if resampled:
            nodes.resampled = _volume(batch, f"{name} resampled", resampled)
        for node in nodes.labelmaps:
            node.GetDisplayNode().SetAndObserveColorNodeID(nodes.anatomyColours.GetID())
        spatial = [*nodes.labelmaps, *([nodes.resampled] if nodes.resampled else [])]
        followTransform(spatial, inputNode)
        placeBeside([*spatial, nodes.volumes, nodes.summary], inputNode)
        nodes.remember()
    return nodes


def _labelmap(batch: NodeBatch, name: str, volume: tuple[Any, Any]) -> Any:
    node = batch.add("vtkMRMLLabelMapVolumeNode", name)
    fillLabelmap(node, *volume)
    node.CreateDefaultDisplayNodes()
    return node


def _volume(batch: NodeBatch, name: str, volume: tuple[Any, Any]) -> Any:
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
