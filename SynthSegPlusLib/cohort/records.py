"""The record beside every result: what was done, and the proof that it was finished.

It is written after everything else of a scan and removed before a scan is done again. A scan whose record matches
the request and whose files are all there is complete; anything else is done anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from SynthSegPlusLib.cohort.files import sha256_of, write_text
from SynthSegPlusLib.cohort.naming import Job
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.contract import InputError

SCHEMA = 1
PER_SCAN = ("segmentation", "posteriors", "resampled", "picture")


def write_record(
    job: Job, checksum: str, outcome: Outcome, request: Mapping[str, Any], run: Mapping[str, Any],
    written: Mapping[str, Path | None],
) -> None:
    """Store the record of a finished scan.

    Parameters
    ----------
    checksum
        `sha256_of` the scan before it was read.
    request
        What decides the result besides the scan: options, model set, output formats.
    run
        The engine's own record (versions, device, timings, warnings).
    written
        File of each output that was asked for; None where there was nothing to write (an image that needed no
        resampling).
    """
    content = {
        "schema": SCHEMA,
        "scan": {"path": str(job.scan), "sha256": checksum},
        "request": request,
        "outputs": {
            name: None if path is None else {"path": str(path), "bytes": path.stat().st_size}
            for name, path in written.items()
        },
        **outcome.numbers(),
        "run": run,
    }
    write_text(job.record, json.dumps(content, indent=1, default=str) + "\n")


def finished(job: Job, request: Mapping[str, Any]) -> Outcome | None:
    """The outcome of an earlier run with the same scan, request and outputs; None when the scan must be done."""
    try:
        content = json.loads(job.record.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA or content["request"] != json.loads(json.dumps(request)):
            return None
        if not _all_there(job, content["outputs"]) or content["scan"]["sha256"] != sha256_of(job.scan):
            return None
        return Outcome.kept(job.scan, job.subject, content)
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None  # no record, or none that can be trusted


def _all_there(job: Job, outputs: Mapping[str, Any]) -> bool:
    for name in PER_SCAN:
        path = getattr(job, name)
        if path is None:
            continue
        if name not in outputs:
            return False
        entry = outputs[name]
        if entry is not None and (entry["path"] != str(path) or not _has_size(path, entry["bytes"])):
            return False
    return True


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
