"""Arguments of `synthsegplus segment`, and what they mean for the engine."""

from __future__ import annotations

import argparse

from SynthSegPlusLib.cohort.naming import Asked
from SynthSegPlusLib.contract import MODE_MEANINGS, QC_THRESHOLD, OptionsError, SegmentOptions
from SynthSegPlusLib.networks._backend import BACKENDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _published(parser.add_argument_group("flags of mri_synthseg"))
    _outputs(parser.add_argument_group("further outputs"))
    _choices(parser.add_argument_group("choices"))
    _running(parser.add_argument_group("running"))


def _published(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--i", required=True, metavar="SCANS",
                       help="scan, folder of scans, DICOM folder, or .txt list with one path per line")
    group.add_argument("--o", required=True, metavar="LABELS",
                       help="label maps: file, folder, or .txt list when --i is one")
    group.add_argument("--parc", action="store_true", help="divide the cortex into 68 parcels")
    group.add_argument("--robust", action="store_true", help=f"mode robust: {MODE_MEANINGS['robust']}")
    group.add_argument("--fast", action="store_true", help=f"mode fast: {MODE_MEANINGS['fast']}")
    group.add_argument("--ct", action="store_true", help="CT scan: clip intensities to 0..80 HU")
    group.add_argument("--vol", metavar="CSV", help="volumes in mm3 (with --i list: a .txt list of .csv files)")
    group.add_argument("--qc", metavar="CSV", help="predict the Dice of each region and write the scores")
    group.add_argument("--post", metavar="PATH", help="posteriors, 4-D; names as for --o")
    group.add_argument("--resample", metavar="PATH", help="scan at 1 mm; not written when it was 1 mm already")
    group.add_argument("--crop", nargs="+", type=int, metavar="MM",
                       help="process a centred patch: one size, or three (right-left, front-back, up-down); "
                       "by default the whole scan")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads; by default all cores")
    group.add_argument("--cpu", action="store_true", help="use no GPU (the same as --device cpu)")
    group.add_argument("--v1", action="store_true", help="version 1.0 of the single network and its labels (no CSF)")


def _outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--native", "--keepgeom", action="store_true",
                       help="label maps on the scan's own grid instead of 1 mm")
    group.add_argument("--table", metavar="CSV", help="one row a structure: volume, share of ICV, QC, verdict; "
                       "a failed scan is a row with its reason")
    group.add_argument("--picture", metavar="PATH", help="picture of each result (.png, .pdf, .svg), or a folder")
    group.add_argument("--record", metavar="PATH", help="run record (.json); by default beside the labels")


def _choices(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--mode", choices=tuple(MODE_MEANINGS), help="which networks run; without --mode, --robust or "
                       "--fast it is 'default'. " + "; ".join(f"{key}: {text}" for key, text in MODE_MEANINGS.items()))
    group.add_argument("--models", metavar="SET", help="folder of a model set, or the name of a bundled one")
    group.add_argument("--qc-threshold", type=float, metavar="DICE",
                       help=f"score below which a region fails, {QC_THRESHOLD} by default; "
                       "asks for QC also without --qc")
    group.add_argument("--qc-from-denoiser", action="store_true", help="study: also record the quality "
                       "estimate from the agreement of denoiser and structure network")
    group.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32",
                       help="arithmetic of the networks")
    group.add_argument("--compatibility", action="store_true", help="reproduce known defects of the published command "
                       "in the numbers; see docs/differences.md")


def _running(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--backend", choices=BACKENDS, help="deep-learning backend; by default one that sees "
                       "a GPU, else the first installed")
    group.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, gpu, gpu:0, cuda or mps")
    group.add_argument("--resume", action="store_true", help="keep scans that an earlier run with the same request "
                       "finished")
    group.add_argument("--dry-run", action="store_true", help="show what would run, how long and with how much memory")
    group.add_argument("--quiet", action="store_true", help="say nothing but errors")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error and stop at the first")


def asked(args: argparse.Namespace) -> Asked:
    return Asked(args.i, args.o, args.post, args.resample, args.vol, args.qc, args.picture, args.record, args.table)


def options_of(args: argparse.Namespace) -> SegmentOptions:
    """The engine's options; `OptionsError` when flags contradict each other. Settles `args.device` too."""
    if args.cpu and args.device not in ("auto", "cpu"):
        raise OptionsError(f"--cpu and --device {args.device} contradict each other; give one of them.")
    args.device = "cpu" if args.cpu else args.device
    if args.threads is not None and args.threads < 1:
        raise OptionsError(f"--threads is {args.threads}; give 1 or more.")
    if args.crop is not None and len(args.crop) not in (1, 3):
        raise OptionsError(f"--crop has {len(args.crop)} numbers; give one or three sizes in mm.")
    mode = _mode(args)
    if args.v1 and mode not in ("default", "fast"):
        raise OptionsError(f"--v1 has no mode {mode!r}; use it alone or with --fast.")
    threshold = QC_THRESHOLD if args.qc_threshold is None else args.qc_threshold
    return SegmentOptions(
        mode=mode,  # type: ignore[arg-type]
        parcellation=args.parc,
        quality=args.qc is not None or args.qc_threshold is not None,
        quality_from_denoiser=args.qc_from_denoiser,
        ct=args.ct,
        crop=None if args.crop is None else tuple(args.crop),  # type: ignore[arg-type]
        qc_threshold=threshold,
        label_version="1.0" if args.v1 else "2.0",
        grid="native" if args.native else "1mm",
        precision=args.precision,
        compatibility=args.compatibility,
        posteriors=args.post is not None,
    )


def _mode(args: argparse.Namespace) -> str:
    """The published rules: --fast adds nothing to --robust, and neither means 'default'."""
    flagged = "robust" if args.robust else "fast" if args.fast else None
    if args.mode is not None and flagged is not None and args.mode != flagged:
        raise OptionsError(f"--mode {args.mode} and --{flagged} contradict each other; give one of them.")
    return args.mode or flagged or "default"
