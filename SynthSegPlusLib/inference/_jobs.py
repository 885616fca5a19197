"""What the worker can do: segment, check, probe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract import InputError, OptionsError, OutputError, SegmentOptions
from SynthSegPlusLib.contract.exchange import read_array_volume, write_array_volume
from SynthSegPlusLib.contract.protocol import SegmentReply
from SynthSegPlusLib.inference._find import survey
from SynthSegPlusLib.inference._progress import Report
from SynthSegPlusLib.inference.model_set import ModelSet


class Jobs:
    """Does the jobs of one worker process; keeps the networks of the last segmentation for the next one."""

    def __init__(self) -> None:
        self._segmenter: Any = None

    def segment(self, command: Mapping[str, Any], progress: Report, cancelled: Callable[[], bool]) -> dict[str, Any]:
        """Segment a scan and write the result into the folder ``outputs``; see `contract.protocol.SegmentReply`.

        A command may ask for the ``resampled`` scan with a field of that name.
        """
        options = SegmentOptions.from_dict(command.get("options") or {})
        folder = Path(command["outputs"])
        if not folder.is_dir():
            raise OutputError(f"The folder for the results, {folder}, does not exist; create it or name another.")
        segmenter = self._prepared(command, options)
        result = segmenter.segment(_read(command["input"], command.get("name", "")), progress, cancelled)
        resampled = result.resampled if command.get("resampled") else None
        volumes = {"labels": result.labels, "parcellation": result.parcellation, "resampled": resampled}
        try:
            written = {name: _write(folder, name, volume) for name, volume in volumes.items()}
        except OSError as error:
            raise OutputError(f"The results cannot be written to {folder} ({error}); free some disk space.") from error
        reply = SegmentReply(
            labels=str(written["labels"]), parcellation=written["parcellation"], resampled=written["resampled"],
            measures=result.volumes, icv_mm3=result.icv_mm3, quality=result.quality, findings=result.findings,
            record=result.record,
        )  # fmt: skip
        return reply.to_dict()

    def check(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Findings about a scan, its geometry, and the mode that is advised."""
        from SynthSegPlusLib.volume import advise, check

        volume = _read(command["input"], command.get("name", ""))
        findings = check(volume, ct=bool(command.get("ct")))
        roles = ModelSet.find(command.get("models")).roles
        return {
            "findings": [finding.to_dict() for finding in findings],
            "advice": dataclasses.asdict(advise(volume, findings, roles)),
            "shape": list(volume.shape),
            "spacing_mm": [float(size) for size in volume.spacing],
        }

    def probe(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Installed backends and their devices, and the model sets that can be used."""
        from SynthSegPlusLib.networks import probe_backends

        found, problems = survey(command.get("models"))
        backends = [{**dataclasses.asdict(backend), "devices": list(backend.devices)} for backend in probe_backends()]
        return {"backends": backends, "model_sets": [describe(one) for one in found], "problems": problems}

    def _prepared(self, command: Mapping[str, Any], options: SegmentOptions) -> Any:
        from SynthSegPlusLib.inference.segmenter import Segmenter

        previous = self._segmenter
        segmenter = Segmenter(
            ModelSet.find(command.get("models")), options, backend=command.get("backend"),
            device=command.get("device") or "auto", threads=command.get("threads"), keep_networks=True,
        )  # fmt: skip
        if previous is not None:
            segmenter.take_networks_of(previous)
        self._segmenter = segmenter
        return segmenter


def describe(model_set: ModelSet) -> dict[str, Any]:
    """A model set in plain values, for messages."""
    return {
        "name": model_set.name, "title": model_set.title, "version": model_set.version,
        "licence": model_set.licence, "folder": str(model_set.folder), "found_in": model_set.found_in,
        "modes": list(model_set.modes), "roles": list(model_set.roles), "lacking": list(model_set.lacking),
    }  # fmt: skip


def _read(path: object, name: str) -> Any:
    from SynthSegPlusLib.volume import Volume

    if not isinstance(path, str):
        raise OptionsError("The command names no input; give the path of an image.")
    if Path(path).suffix.lower() != ".json":
        return Volume.read(path)
    data, affine = read_array_volume(Path(path))
    if not np.issubdtype(data.dtype, np.number) or np.issubdtype(data.dtype, np.complexfloating):
        raise InputError(f"The scan holds values of type {data.dtype}; give one with real numbers.")
    return Volume(data, affine, name or Path(path).stem)


def _write(folder: Path, name: str, volume: Any) -> str | None:
    return None if volume is None else str(write_array_volume(folder, name, volume.data, volume.affine))
