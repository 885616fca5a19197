"""`synthsegplus demo`: one real scan through the whole house, with everything that comes out of it.

The scan is the MNI152 template that the package nilearn ships (T1, 1 mm), or one of the user's own.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.cohort import Asked, Plan, plan
from SynthSegPlusLib.cohort import run as run_all
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.commands import _engine
from SynthSegPlusLib.commands._progress import reporter_for
from SynthSegPlusLib.contract import InputError, QualityReport, SegmentOptions
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.report import volumes_table

NILEARN_FILES = {
    "scan": "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
    "white matter": "mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
    "grey matter": "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
}
# Structures that the template's tissue maps count as each tissue; the rest is mixed or fluid.
TISSUES = {
    "white matter": (2, 41, 7, 46, 16),
    "grey matter": (3, 42, 8, 47, 10, 49, 11, 50, 12, 51, 17, 53, 18, 54, 26, 58),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scan", metavar="SCAN", help="your own scan instead of the MNI152 template")
    parser.add_argument("--output", default="demo-output", metavar="FOLDER", help="by default ./demo-output")
    parser.add_argument("--models", metavar="SET", help="a model set instead of the bundled one")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu, ...")
    parser.add_argument("--threads", type=int, metavar="N")


def run(args: argparse.Namespace) -> int:
    """Segment, write, and print what came out; 1 when the scan failed."""
    template = None if args.scan else nilearn_files()
    scan = Path(args.scan) if args.scan else template["scan"]  # type: ignore[index]
    model_set = ModelSet.find(args.models)
    choice = _engine.Choice(model_set, best_options(model_set))
    made = plan(_asked(scan, Path(args.output)))
    print(f"scan        {scan}")
    print(f"model set   {model_set.name}: {model_set.title}")
    print(f"mode        {choice.options.mode}")
    for lack in lacks(model_set):
        print(f"            {lack}")
    reporter = reporter_for(sys.stderr)
    outcomes = run_all(
        made,
        _engine.Engine(choice, reporter, None, args.device, args.threads),
        choice.request(), choice.tables(), reporter,
    )  # fmt: skip
    if outcomes[0].status == "failed":
        return 1
    print()
    print(volumes_table(outcomes[0].measures, outcomes[0].icv_mm3))  # type: ignore[arg-type]
    print()
    for line in [*_summary(outcomes[0]), *agreement(made, template), *_files(made)]:
        print(line)
    return 0


def best_options(model_set: ModelSet) -> SegmentOptions:
    """Everything that a model set can do."""
    return SegmentOptions(
        mode=model_set.best_mode,  # type: ignore[arg-type]
        parcellation=model_set.has("parcellation"),
        quality=model_set.has("quality"),
    )


def lacks(model_set: ModelSet) -> list[str]:
    """What the set cannot do, in words."""
    words = {"parcellation": "no cortical parcels in this model set", "quality": "no QC in this model set"}
    found = [text for role, text in words.items() if not model_set.has(role)]
    if "robust" not in model_set.modes:
        found.insert(0, "no robust mode in this model set")
    return found


def nilearn_files() -> dict[str, Path]:
    """Template and tissue maps of an installed nilearn, found without importing it."""
    found = importlib.util.find_spec("nilearn")
    if found is None or not found.submodule_search_locations:
        raise InputError("The demo's scan comes with the package nilearn, which is not installed; install it with "
                         "'python -m pip install nilearn', or give a scan of your own with --scan.")
    folder = Path(next(iter(found.submodule_search_locations))) / "datasets" / "data"
    files = {name: folder / file for name, file in NILEARN_FILES.items()}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise InputError(f"This nilearn lacks {', '.join(missing)}; install version 0.11 or later, or use --scan.")
    return files


def _asked(scan: Path, folder: Path) -> Asked:
    return Asked(
        str(scan), str(folder / "segmentation.nii.gz"), volumes=str(folder / "volumes.csv"),
        table=str(folder / "table.csv"), picture=str(folder / "picture.png"), record=str(folder / "record.json"),
    )  # fmt: skip


def _summary(outcome: Outcome) -> Iterable[str]:
    if outcome.icv_mm3 is not None:
        yield f"ICV         {outcome.icv_mm3 / 1e6:.3f} l"
    yield f"QC          {_quality(outcome.quality)}"


def _quality(report: QualityReport | None) -> str:
    if report is None:
        return "no QC in this model set"
    scores = ", ".join(f"{region.name} {region.text}" for region in report.regions)
    return f"{report.verdict} at {report.threshold:.2f} ({scores})"


def agreement(made: Plan, template: dict[str, Path] | None) -> Iterable[str]:
    """Dice of white and grey matter against the template's tissue maps; nothing for a scan of the user's own."""
    if template is None:
        return
    from SynthSegPlusLib.volume import Volume

    labels = Volume.read(made.jobs[0].segmentation)
    maps = {name: Volume.read(template[name]) for name in TISSUES}
    if any(other.shape != labels.shape or not np.allclose(other.affine, labels.affine) for other in maps.values()):
        yield "Dice        not measured: the result lies on another grid than the tissue maps"
        return
    for name, dice in tissue_dice(labels.data, maps).items():
        yield f"Dice        {name} {dice:.3f} against the template's tissue map"


def tissue_dice(labels: np.ndarray, maps: dict[str, Any]) -> dict[str, float]:
    """Dice of each tissue: labels [x, y, z] of `TISSUES`, against voxels where its map is the larger and above half."""
    white, grey = (np.asarray(maps[name].data, np.float64) for name in TISSUES)
    half = max(white.max(), grey.max()) / 2
    truth = {"white matter": (white > half) & (white >= grey), "grey matter": (grey > half) & (grey > white)}
    scores = {}
    for name, members in TISSUES.items():
        # The cortex' parcels, where there are any, are numbered from 1001.
        ours = np.isin(labels, members) | ((labels > 1000) & (name == "grey matter"))
        scores[name] = 2 * float(np.sum(ours & truth[name])) / max(float(ours.sum() + truth[name].sum()), 1.0)
    return scores


def _files(made: Plan) -> Iterable[str]:
    folder = made.jobs[0].segmentation.parent
    yield f"files       in {folder}"
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            yield f"            {path.name}"
