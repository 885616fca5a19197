"""`synthsegplus parcels`: cortical parcels for the training label maps, carried over from labelled brains.

The result (uint8 numbers 1..34 for every voxel, nearest parcel outside the cortex) is training data, not part of the
project. With --ceiling, each labelled brain is predicted from the others: the Dice that S3 cannot be asked to exceed.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.synthesis import find_label_maps
from SynthSegPlusLib.training.brains import (
    CORTEX,
    Brain,
    brain_from_freesurfer,
    brain_from_table,
    crop,
    fill_nearest,
    parcel_names,
    target_from_label_map,
)

_FIRST_PARCEL = 1000  # FreeSurfer's parcels start above; smaller values need a table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--brains", nargs="+", required=True, type=Path, help="volumes with Desikan-Killiany parcels")
    parser.add_argument("--table", type=Path, help="CSV (id, label, hemisphere) for brains without FreeSurfer's values")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="folder of label maps to parcellate")
    parser.add_argument("--only", nargs="+", metavar="ID", help="ids of the label maps (default: all)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for <map>_parcels.nii.gz")
    parser.add_argument("--ceiling", action="store_true", help="leave-one-brain-out Dice into OUT/ceiling.csv")
    parser.add_argument("--threads", type=int, help="threads of the registration (default: all)")


def run(args: argparse.Namespace) -> int:
    """Propagate; returns the exit status. Raises the project's errors."""
    import SimpleITK as sitk

    if args.threads:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    brains = [crop(read_brain(path, args.table))[0] for path in args.brains]
    if args.labels is not None:
        for path in find_label_maps(args.labels, args.only):
            began = time.monotonic()
            out = args.out / f"{path.name.split('.')[0]}_parcels.nii.gz"
            if not out.is_file():
                parcellate(path, brains, out)
                print(f"{out.name}: {time.monotonic() - began:.0f} s", flush=True)
    if args.ceiling:
        write_ceiling(brains, args.out / "ceiling.csv")
    return 0


def read_brain(path: Path, table: Path | None = None) -> Brain:
    """Read a labelled brain in RAS; `InputError` where it has no parcels or needs a table that is not given."""
    values = _canonical(path)[0]
    name = path.name.split(".")[0]
    if values.max() > _FIRST_PARCEL:
        return brain_from_freesurfer(name, values)
    if table is None:
        raise InputError(f"{path} does not use FreeSurfer's parcel values; give the table of its values with --table.")
    return brain_from_table(name, values, table)


def _canonical(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj).astype(np.int32), image.affine


def parcellate(path: Path, brains: list[Brain], out: Path) -> None:
    """Write the parcels of one label map, extended to every voxel by the nearest parcel."""
    import nibabel

    from SynthSegPlusLib.training.propagation import propagate

    values, affine = _canonical(path)
    target, box = crop(target_from_label_map(path.name, values))
    full = np.zeros(values.shape, np.uint8)
    full[box] = propagate(target, brains)
    partial = out.with_name(f".part_{out.name}")
    nibabel.save(nibabel.Nifti1Image(fill_nearest(full), affine), partial)
    os.replace(partial, out)


def write_ceiling(brains: list[Brain], out: Path) -> None:
    """Dice of each parcel of each brain when predicted from the other brains."""
    from SynthSegPlusLib.training.propagation import parcel_dice, propagate

    partial = out.with_name(f".part_{out.name}")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["brain", "side", *parcel_names(), "mean"])
        for brain in brains:
            predicted = propagate(brain, [other for other in brains if other is not brain])
            for side, value in CORTEX.items():
                assert brain.parcels is not None  # `read_brains` refuses brains without parcels
                dice = parcel_dice(predicted, brain.parcels, brain.structures == value)
                writer.writerow([brain.name, side, *(f"{value:.3f}" for value in dice), f"{np.nanmean(dice):.3f}"])
            file.flush()
            print(f"{brain.name}: mean Dice {np.nanmean(dice):.3f} (right)", flush=True)
    os.replace(partial, out)
