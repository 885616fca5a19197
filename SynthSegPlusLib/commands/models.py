"""`synthsegplus models`: which model sets there are, what each can do, and whether its files are sound."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from SynthSegPlusLib.contract import ModelError
from SynthSegPlusLib.inference import ModelSet, Role, survey
from SynthSegPlusLib.inference.model_set import DESCRIPTION_FILE, ROLE_TITLES
from SynthSegPlusLib.report.text import align

WHERE = {
    "named": "named by you",
    "environment": "SYNTHSEGPLUS_MODELS",
    "freesurfer": "FREESURFER_HOME",
    "bundled": "bundled",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "show", "check"), default="list",
                        help="list all sets, show one, or check the weight files of one or all")
    parser.add_argument("name", nargs="?", help="folder of a model set, or the name of a listed one")
    parser.add_argument("--models", metavar="SET", help="a folder to look into first")


def run(args: argparse.Namespace) -> int:
    if args.action == "show":
        print(describe(_one(args)))
        return 0
    if args.action == "check":
        return _check(*(([_one(args)], []) if args.name else survey(args.models)))
    if args.name:
        raise ModelError(f"'models list' takes no name; for one set: synthsegplus models show {args.name}")
    return _list(args.models)


def _one(args: argparse.Namespace) -> ModelSet:
    """The set of a name among those found, or of a path; without a name the one that would be used."""
    for found in survey(args.models)[0]:
        if found.name == args.name:
            return found
    return ModelSet.find(args.name or args.models)


def _list(named: str | None) -> int:
    found, problems = survey(named)
    if found:
        rows = [["name", "modes", "parcels", "QC", "grid", "where", "folder"]]
        rows += [_row(entry) for entry in found]
        print(align(rows))
        print(f"\nUsed when none is named: {found[0].name}. More on one: synthsegplus models show NAME")
    for problem in problems:
        print(f"Not usable: {problem}")
    if not found:
        raise ModelError("No model set was found; name the folder that holds the weights with --models.")
    return 0


def _row(entry: ModelSet) -> list[str]:
    qc = f"{len(entry.qc_regions) - 1} regions" if entry.has("quality") else "-"
    return [entry.name, ", ".join(entry.modes) or "none", "yes" if entry.has("parcellation") else "-", qc,
            f"{entry.working_resolution_mm:g} mm", WHERE[entry.found_in], str(entry.folder)]


def describe(entry: ModelSet) -> str:
    """What is known of a set, with what it lacks and where that may be had."""
    lines = [
        f"{entry.name}: {entry.title}, version {entry.version}",
        f"  {entry.description}",
        f"  folder    {entry.folder} ({WHERE[entry.found_in]})",
        f"  licence   {entry.licence}",
        f"  cite      {entry.citation}",
        f"  grid      {entry.working_resolution_mm:g} mm, conformed as {entry.scheme!r}",
        f"  labels    {len(entry.table) - 1} structures (version {entry.label_version})",
        f"  modes     {', '.join(entry.modes) or 'none'}",
    ]
    if entry.averages_segmenter("robust"):
        share = entry.postprocessing.segmenter_share
        lines.append(f"  robust    {1 - share:.0%} the cascade's posteriors, {share:.0%} those of the single network")
    if entry.postprocessing.appearance:
        strength = entry.postprocessing.appearance
        lines.append(f"  borders   follow the scan's own intensities on the way to 1 mm (strength {strength:g})")
    if entry.refines:
        lines.append(f"  refined   at 1 mm by a network of its own (strength {entry.postprocessing.refinement:g})")
    if entry.postprocessing.gaps_mm:
        lines.append(f"  fluid     fills gaps of the brain up to {2 * entry.postprocessing.gaps_mm:g} mm wide")
    if entry.has("quality"):
        lines.append(f"  QC        {', '.join(entry.qc_regions.names[1:])}")
    for name, role in entry.roles.items():
        size = role.path.stat().st_size / 2**20
        lines.append(f"  has       {ROLE_TITLES[name]}: {role.path.name}, {size:.1f} MB")
    for name in entry.lacking:
        path = entry.absent.get(name)
        lines.append(f"  lacks     {ROLE_TITLES[name]}" + ("" if path is None else f": {path.name} is not there"))
    if entry.absent and entry.source:
        lines.append(f"  get it    {entry.source}")
    return "\n".join(lines)


def _check(sets: list[ModelSet], problems: list[str]) -> int:
    bad = len(problems)
    for entry in sets:
        for role in entry.roles.values():
            problem = _problem(role)
            bad += problem is not None
            print(f"{entry.name}: {role.path.name} ({role.name}): {problem or 'sound'}")
        for name, path in _missing(entry).items():
            bad += 1
            print(f"{entry.name}: {path.name} ({name}): missing")
    for sentence in problems:
        print(f"Not usable: {sentence}")
    if not sets:
        raise ModelError("No model set was found; name the folder that holds the weights.")
    return 1 if bad else 0


def _missing(entry: ModelSet) -> Mapping[str, Path]:
    """Files that a set promises and lacks. The published ones promise nothing: many people have a part of them."""
    return entry.absent if (entry.folder / DESCRIPTION_FILE).is_file() else {}


def _problem(role: Role) -> str | None:
    """Why a weight file cannot be used: its checksum, and every array that its network needs."""
    from SynthSegPlusLib.networks import read_weights

    try:
        role.verify()
        read_weights(role.path, role.network.layers())
    except ModelError as error:
        return str(error)
    return None
