"""Messages between a door and the worker process: one JSON object a line.

A door sends commands, the worker answers with events. Both carry ``kind``; those about a job carry
``job``, a name that the door chose. The first line of the worker is ``hello`` with the protocol's version;
a door that reads another version ends the worker.

======== ===================================================================================================
command  fields
======== ===================================================================================================
segment  job, input (exchange JSON or image path), outputs (folder), options (SegmentOptions), models (path or
         null), backend, device, threads
check    job, input, models: findings and advised mode, without running
probe    job: installed backends, devices, model sets
cancel   job
quit     -
======== ===================================================================================================

========= ==================================================================================================
event     fields
========= ==================================================================================================
hello     protocol, version, python, pid
stage     job, stage, fraction (of the stage, 0..1), overall (0..1)
log       text
done      job, result (see `SegmentReply`; for check and probe a plain object)
failed    job, error (class name), message
cancelled job
========= ==================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from SynthSegPlusLib.contract.errors import WorkerError
from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.contract.measures import MeasuresTable, QualityReport

PROTOCOL_VERSION = 1

COMMANDS = ("segment", "check", "probe", "cancel", "quit")
EVENTS = ("hello", "stage", "log", "done", "failed", "cancelled")


def encode(kind: str, **fields: Any) -> str:
    """One line, without its line end."""
    if kind not in COMMANDS and kind not in EVENTS:
        raise WorkerError(f"There is no message of kind {kind!r}; known are {', '.join(COMMANDS + EVENTS)}.")
    return json.dumps({"kind": kind, **fields}, allow_nan=True)


def decode(line: str) -> dict[str, Any]:
    """The message of one line; `WorkerError` when it is not one."""
    try:
        message = json.loads(line)
    except ValueError as error:
        raise WorkerError(f"The worker said {line[:80]!r}, which is no message; see the log.") from error
    if not isinstance(message, dict) or message.get("kind") not in COMMANDS + EVENTS:
        raise WorkerError(f"The worker said {line[:80]!r}, which is no known message; see the log.")
    return message


@dataclass(frozen=True)
class SegmentReply:
    """What the worker hands back for one scan; volumes are paths of exchange JSON files.

    Attributes
    ----------
    labels, parcellation, resampled
        Exchange files; parcellation and resampled are None when there is none.
    measures
        Volumes and verdicts per structure and parcel.
    icv_mm3
        Intracranial volume, mm3; None where the label table has none.
    quality
        None when quality was not asked for.
    findings
        What the checks saw.
    record
        The run record, JSON-ready.
    """

    labels: str
    parcellation: str | None
    resampled: str | None
    measures: MeasuresTable
    icv_mm3: float | None
    quality: QualityReport | None
    findings: tuple[Finding, ...]
    record: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {
            "labels": self.labels,
            "parcellation": self.parcellation,
            "resampled": self.resampled,
            "measures": self.measures.to_rows(),
            "icv_mm3": self.icv_mm3,
            "quality": None if self.quality is None else self.quality.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
            "record": dict(self.record),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SegmentReply:
        return cls(
            labels=values["labels"],
            parcellation=values["parcellation"],
            resampled=values["resampled"],
            measures=MeasuresTable.from_rows(values["measures"]),
            icv_mm3=values["icv_mm3"],
            quality=None if values["quality"] is None else QualityReport.from_dict(values["quality"]),
            findings=tuple(Finding(**finding) for finding in values["findings"]),
            record=values["record"],
        )
