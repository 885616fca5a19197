"""`synthsegplus check`: what is odd about a scan, and which mode suits it, before anything is run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract import Advice, Finding, SynthSegPlusError
from SynthSegPlusLib.inference import ModelSet

SIGNS = {"info": "note", "warning": "warning", "error": "ERROR"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scan", nargs="+", help="scan or DICOM folder")
    parser.add_argument("--ct", action="store_true", help="the scan is CT")
    parser.add_argument("--models", metavar="SET", help="model set whose modes are considered")
    parser.add_argument("--json", action="store_true", help="one JSON object a scan")


def run(args: argparse.Namespace) -> int:
    """0 when every scan can be segmented, 1 when one cannot be read or a finding forbids it."""
    model_set = ModelSet.find(args.models)
    fit = True
    for path in args.scan:
        try:
            fit &= _look(path, args, model_set)
        except SynthSegPlusError as error:
            if args.debug:
                raise
            fit = False
            sentence = f"{path}:\n  {SIGNS['error']:<8} {error}"
            print(json.dumps({"scan": path, "error": str(error)}) if args.json else sentence)
    return 0 if fit else 1


def _look(path: str, args: argparse.Namespace, model_set: ModelSet) -> bool:
    """Print what is found about a scan; whether it can be segmented."""
    from SynthSegPlusLib.volume import Volume, advise, check

    volume = Volume.read(Path(path))
    findings = check(volume, ct=args.ct)
    advice = advise(volume, findings, model_set.roles)
    print(_json(path, volume, findings, advice) if args.json else _text(path, volume, findings, advice))
    return all(finding.severity != "error" for finding in findings)


def _text(path: str, volume: Any, findings: list[Finding], advice: Advice) -> str:
    grid = " x ".join(str(size) for size in volume.shape[:3])
    spacing = " x ".join(f"{size:.4g}" for size in volume.spacing)
    lines = [f"{path}: {grid} voxels of {spacing} mm"]
    lines += [f"  {SIGNS[f.severity]:<8} {f.code}: {f.message} {f.advice}".rstrip() for f in findings]
    lines += [] if findings else ["  nothing odd was found"]
    return "\n".join([*lines, f"  advice   mode {advice.mode}: {advice.reason}"])


def _json(path: str, volume: Any, findings: list[Finding], advice: Advice) -> str:
    return json.dumps({
        "scan": path,
        "shape": [int(size) for size in volume.shape],
        "spacing_mm": [float(size) for size in volume.spacing],
        "findings": [finding.to_dict() for finding in findings],
        "mode": advice.mode,
        "reason": advice.reason,
    })
