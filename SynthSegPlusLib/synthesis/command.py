"""`synthsegplus synth`: write synthetic scans, their labels, and a picture of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.synthesis.config import PRESETS, generator_config
from SynthSegPlusLib.synthesis.contrasts import CONTRASTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--labels", required=True, type=Path, metavar="DIR", help="folder of label maps (*seg_<id>)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for scans and mosaic.png")
    parser.add_argument("--count", type=int, default=8, help="number of scans (default: 8)")
    parser.add_argument("--only", nargs="+", metavar="ID", help="ids of the label maps (default: all)")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="fast", help="default: fast")
    parser.add_argument("--contrast", choices=CONTRASTS, help="always this contrast (default: as the preset)")
    parser.add_argument("--resolution", type=float, default=1.0, help="voxel size in mm (default: 1)")
    parser.add_argument("--shape", type=int, nargs=3, default=None, help="size in voxels (default: 160 x 192 x 160 mm)")
    parser.add_argument(
        "--oversampling", type=int, default=1,
        help="make scans on a grid this many times finer and reduce them (labels: a random place of each voxel)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="first seed; one seed is one scan (default: 1)")
    parser.add_argument("--mosaic-only", action="store_true", help="write only the picture")
    parser.add_argument("--backend", choices=("tensorflow", "torch", "jax"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def run(args: argparse.Namespace) -> int:
    """Generate; returns the exit status. Raises the project's errors."""
    from SynthSegPlusLib.networks import choose_backend

    choose_backend(args.backend, args.device, args.threads)
    from keras import ops

    from SynthSegPlusLib.synthesis import Generator, find_label_maps, read_label_map
    from SynthSegPlusLib.synthesis.mosaic import mosaic

    shape = args.shape or [max(8, round(side / args.resolution)) for side in (160, 192, 160)]
    values: dict[str, Any] = {"resolution": args.resolution, "shape": shape, "oversampling": args.oversampling}
    if args.contrast:
        values["intensity"] = {"contrast": 1.0, "contrasts": [args.contrast]}
    config = generator_config(values, args.preset)
    maps = [read_label_map(path) for path in find_label_maps(args.labels, args.only)]
    generator = Generator(maps, config)
    args.out.mkdir(parents=True, exist_ok=True)
    scans = []
    for seed in range(args.seed, args.seed + args.count):
        sample = generator.sample(seed)
        image, channels = ops.convert_to_numpy(sample.image), ops.convert_to_numpy(sample.structures())
        spacing = " x ".join(f"{length:.1f}" for length in sample.drawn.spacing)
        scans.append((f"{seed}: {sample.drawn.contrast}, {spacing} mm", image, channels))
        if not args.mosaic_only:
            _write(args.out / f"scan_{seed:05d}.nii.gz", image, args.resolution)
            labels = structures("2.0").values[channels].astype(np.int16)
            _write(args.out / f"scan_{seed:05d}_labels.nii.gz", labels, args.resolution)
    mosaic(args.out / "mosaic.png", scans)
    print(f"wrote {len(scans)} scans and {args.out / 'mosaic.png'}")
    return 0


def _write(path: Path, array: np.ndarray, resolution: float) -> None:
    import nibabel

    affine = np.diag([resolution, resolution, resolution, 1.0])
    affine[:3, 3] = -(np.array(array.shape) - 1) / 2 * resolution
    partial = path.with_name(f".part_{path.name}")
    nibabel.save(nibabel.Nifti1Image(array, affine), partial)
    os.replace(partial, path)
