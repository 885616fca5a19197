"""`synthsegplus check`: what is odd about a scan, and which mode suits it, before anything is run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract import Advice, Finding
from SynthSegPlusLib.inference import ModelSet

SIGNS = {"info": "note", "warning": "warning", "error": "ERROR"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scan", nargs="+", help="scan or DICOM folder")
    parser.add_argument("--ct", action="store_true", help="the scan is CT")
    parser.add_argument("--models", metavar="SET", help="model set whose modes are considered")
    parser.add_argument("--json", action="store_true", help="one JSON object a scan")


def run(args: argparse.Namespace) -> int:
    """0 when every scan can be segmented, 1 when a finding forbids it."""
    from SynthSegPlusLib.volume import Volume, advise, check

    roles = ModelSet.find(args.models).roles
    unfit = 0
    for path in args.scan:
        volume = Volume.read(Path(path))
        findings = check(volume, ct=args.ct)
        advice = advise(volume, findings, roles)
        unfit += any(finding.severity == "error" for finding in findings)
        print(_json(path, volume, findings, advice) if args.json else _text(path, volume, findings, advice))
    return 1 if unfit else 0


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
