"""A worker that runs in the test's own process: fast, obedient, and as talkative as the real one."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import WorkerError
from SynthSegPlusLib.contract.exchange import read_array_volume, write_array_volume
from SynthSegPlusLib.contract.measures import MeasuresTable, QualityReport, RegionScore, StructureMeasure, Verdict
from SynthSegPlusLib.contract.options import SegmentOptions
from SynthSegPlusLib.contract.protocol import SegmentReply
from SynthSegPlusLib.labels import parcels, qc_regions, structures

STAGES = ("Preparing the scan", "Segmentation (S)", "Postprocessing", "Finishing")
REGIONS = qc_regions("paper")


def scores_of(failing: tuple[str, ...]) -> dict[str, float]:
    """A score for every region: 0.40 where it is to fail, else from 0.70 up."""
    return {name: 0.40 if name in failing else 0.70 + 0.02 * index for index, name in enumerate(REGIONS.names[1:])}


def made_up_labels(shape: tuple[int, int, int]) -> np.ndarray:
    """Every structure as a block of voxels, int32 [i, j, k]: same scan, same labels."""
    values = [int(value) for value in structures("2.0").values[1:]]
    labels = np.zeros(shape, np.int32)
    edges = np.linspace(0, shape[0], len(values) + 1).astype(int)
    quarter = [slice(size // 4, max(size - size // 4, size // 4 + 1)) for size in shape[1:]]
    for value, start, stop in zip(values, edges[:-1], edges[1:], strict=True):
        labels[(slice(start, stop), *quarter)] = value
    return labels


def made_up_parcellation(labels: np.ndarray) -> np.ndarray:
    """Both cortices cut along the last axis into their parcels."""
    result = labels.copy()
    for side, cortex in structures("2.0").cortex.items():
        values = np.array([label.value for label in parcels().select(hemisphere=side)])
        inside = np.argwhere(labels == cortex)
        if len(inside):
            result[tuple(inside.T)] = values[np.arange(len(inside)) * len(values) // len(inside)]
    return result


class StandInWorker:
    """Answers each command over several polls. `hold` keeps a run at its first stage until it is false."""

    def __init__(self, failing: tuple[str, ...] = (), hold: bool = False, error: tuple[str, str] | None = None) -> None:
        self.failing, self.hold, self.error = failing, hold, error
        self.log: list[str] = []
        self.commands: list[dict[str, Any]] = []
        self.alive = False
        self.closed = 0
        self._events: deque[dict[str, Any]] = deque()
        self._job: dict[str, Any] | None = None

    def send(self, kind: str, **fields: Any) -> None:
        self.alive = True
        command = {"kind": kind, **fields}
        self.commands.append(command)
        if kind == "segment":
            self._job = command
            self._events.extend(
                {"kind": "stage", "job": fields["job"], "stage": stage, "fraction": 0.5, "overall": index / len(STAGES)}
                for index, stage in enumerate(STAGES)
            )
        elif kind == "check":
            self._events.append({"kind": "done", "job": fields["job"], "result": CHECKED})

    def poll(self) -> list[dict[str, Any]]:
        if self._events and not (self.hold and self._job is not None and self._events[0].get("stage") != STAGES[0]):
            return [self._events.popleft()]
        if self._job is not None and not self.hold:
            job, self._job = self._job, None
            return [self._answer(job)]
        return []

    def cancel(self, job: str) -> None:
        self._events.clear()
        self._job = None
        self._events.append({"kind": "cancelled", "job": job})

    def close(self) -> None:
        self.alive = False
        self.closed += 1

    def die(self, message: str) -> None:
        """End as a killed process does: the client says so once."""
        job, self._job = self._job, None
        self._events.clear()
        self.alive = False
        if job is not None:
            self._events.append({"kind": "failed", "job": job["job"], "error": "WorkerError", "message": message})
        self.hold = False

    def _answer(self, job: dict[str, Any]) -> dict[str, Any]:
        if self.error is not None:
            return {"kind": "failed", "job": job["job"], "error": self.error[0], "message": self.error[1]}
        try:
            reply = answer(job, self.failing)
        except OSError as error:
            raise WorkerError(str(error)) from error
        return {"kind": "done", "job": job["job"], "result": reply.to_dict()}


CHECKED = {
    "findings": [{"code": "thick-slices", "severity": "warning", "message": "Slices are 5.0 mm thick.",
                  "advice": "Small structures are coarse."}],
    "advice": {"mode": "robust", "reason": "The slices are thick."},
}


def answer(job: dict[str, Any], failing: tuple[str, ...] = (), labels: np.ndarray | None = None) -> SegmentReply:
    """The reply to a `segment` command, with made-up labels unless some are given."""
    options = SegmentOptions.from_dict(job["options"])
    data, affine = read_array_volume(Path(job["input"]))
    outputs = Path(job["outputs"])
    if labels is None:
        labels = made_up_labels(data.shape)
    parcellation = made_up_parcellation(labels) if options.parcellation else None
    quality = None
    if options.quality:
        regions = tuple(
            RegionScore(name, score, Verdict.of(score, options.qc_threshold))
            for name, score in scores_of(failing).items()
        )
        quality = QualityReport(regions, options.qc_threshold)
    voxel = float(abs(np.linalg.det(affine[:3, :3])))
    measures = measured(labels, parcellation, voxel, quality)
    parcels_path = None if parcellation is None else write_array_volume(outputs, "parcels", parcellation, affine)
    return SegmentReply(
        labels=str(write_array_volume(outputs, "labels", labels, affine)),
        parcellation=None if parcels_path is None else str(parcels_path),
        resampled=str(write_array_volume(outputs, "resampled", data, affine)) if job.get("resampled") else None,
        measures=measures,
        icv_mm3=float((labels > 0).sum()) * voxel,
        quality=quality,
        findings=(),
        record={"options": options.to_dict(), "model_set": {"name": "stand-in"}, "warnings": [],
                "timings": {stage: {"wall_s": 0.25} for stage in STAGES}},
    )


def measured(labels: np.ndarray, parcellation: np.ndarray | None, voxel: float,
             quality: QualityReport | None) -> MeasuresTable:
    """Volumes by counting voxels (mm3), with the scores of their regions."""
    icv = max(float((labels > 0).sum()) * voxel, 1e-9)
    rows = []
    entries = [(label, labels) for label in structures("2.0").select()]
    if parcellation is not None:
        entries += [(label, parcellation) for label in parcels().select()]
    for label, where in entries:
        volume = float((where == label.value).sum()) * voxel
        region = REGIONS.name_of(label.value) or ""
        score = quality.score_of(region) if quality is not None and region else None
        threshold = quality.threshold if quality is not None else 0.0
        rows.append(StructureMeasure(label.value, label.name, label.hemisphere, volume, volume / icv, region, score,
                                     Verdict.of(score, threshold)))
    return MeasuresTable(tuple(rows))
