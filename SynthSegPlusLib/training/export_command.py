"""`synthsegplus export`: make a model set of trained networks."""

from __future__ import annotations

import argparse
from pathlib import Path

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.inference._rules import LARGEST_REACH_MM, Postprocessing
from SynthSegPlusLib.synthesis import GeneratorConfig
from SynthSegPlusLib.training.command import load
from SynthSegPlusLib.training.config import ROLES, TrainingConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the model set")
    parser.add_argument("--name", required=True, help="its name, by which --models finds it")
    parser.add_argument("--title", help="what it is called to people (default: its name)")
    parser.add_argument("--description", default="", help="one or two sentences on what it is and is not")
    parser.add_argument("--configs", required=True, metavar="DIR|SET", help="folder or bundled set of configurations")
    parser.add_argument("--weights", required=True, nargs="+", metavar="ROLE=FILE", help="trained weight files")
    parser.add_argument("--rank", type=int, default=1, help="among bundled sets the highest is the default")
    parser.add_argument("--flip-cascade", action="store_true", help="average S1, S2, S3 with the mirror image")
    parser.add_argument("--segmenter-share", type=float, default=0.0, metavar="SHARE",
                        help="S's share in the structures of robust mode, 0 to 1 (default: 0)")  # fmt: skip
    parser.add_argument("--appearance", type=float, default=0.0, metavar="STRENGTH",
                        help="how much a voxel's intensity says about its label, 0 to 1, for networks that work on a "
                             "grid coarser than 1 mm (default: 0)")  # fmt: skip
    parser.add_argument("--refinement", type=float, default=0.0, metavar="STRENGTH",
                        help="how much the refiner says after that, 0 to 1; it needs --appearance (default: 0)")
    parser.add_argument("--gaps", type=float, default=0.0, metavar="MM",
                        help="CSF fills gaps of the brain up to twice this wide, for networks that work on a grid "
                             f"coarser than 1 mm; up to {LARGEST_REACH_MM:g} (default: 0)")  # fmt: skip
    parser.add_argument("--tails", type=float, default=Postprocessing.tails, metavar="P",
                        help="what is brain with a probability above this counts in volumes, up to "
                             f"{Postprocessing.foreground_threshold:g} (default: the paper's, "
                             f"{Postprocessing.tails:g})")  # fmt: skip
    parser.add_argument("--posterior-threshold", type=float, default=Postprocessing.posterior_threshold, metavar="P",
                        help="all modes but default remove posteriors up to this, 0 to 1 (default: the paper's, "
                             f"{Postprocessing.posterior_threshold:g})")  # fmt: skip
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")


def run(args: argparse.Namespace) -> int:
    """Write the set; returns the exit status. Raises the project's errors."""
    from SynthSegPlusLib.synthesis import generator_config
    from SynthSegPlusLib.training.export import TrainedRole, write_model_set
    from SynthSegPlusLib.training.tasks import role_spec

    if not 0 <= args.segmenter_share <= 1:
        raise OptionsError(f"--segmenter-share is {args.segmenter_share:g}; it is a share from 0 to 1.")
    if not 0 <= args.appearance <= 1:
        raise OptionsError(f"--appearance is {args.appearance:g}; it is a strength from 0 to 1.")
    if not 0 <= args.refinement <= 1:
        raise OptionsError(f"--refinement is {args.refinement:g}; it is a strength from 0 to 1.")
    if not 0 <= args.gaps <= LARGEST_REACH_MM:
        raise OptionsError(f"--gaps is {args.gaps:g}; it is a radius from 0 to {LARGEST_REACH_MM:g} mm.")
    if not 0 <= args.tails <= Postprocessing.foreground_threshold:
        raise OptionsError(
            f"--tails is {args.tails:g}; it is a probability from 0 to {Postprocessing.foreground_threshold:g}."
        )
    if not 0 <= args.posterior_threshold <= 1:
        raise OptionsError(f"--posterior-threshold is {args.posterior_threshold:g}; it is a probability from 0 to 1.")
    named = {one.partition("=")[0] for one in args.weights}
    if args.segmenter_share and not named >= {"segmenter", "tissue", "denoiser", "structure"}:
        raise OptionsError(
            "--segmenter-share is of robust mode, which needs segmenter, tissue, denoiser and structure; name their "
            "weights, or leave it out."
        )
    if (args.refinement > 0) != ("refiner" in named) or (args.refinement and not args.appearance):
        raise OptionsError(
            "A refiner needs its weights (refiner=FILE), --refinement and --appearance; give all three, or leave it "
            "out."
        )
    roles, configs = [], {}
    for one in args.weights:
        role, _, file = one.partition("=")
        if role not in ROLES or not file:
            raise OptionsError(f"--weights has {one!r}; write ROLE=FILE with a role among {', '.join(ROLES)}.")
        configs[role] = _config(args.configs, role)
        roles.append(TrainedRole(role, Path(file), configs[role].network))
    coarse = {role: config for role, config in configs.items() if role != "refiner"}  # that works at 1 mm anyway
    if not coarse:
        raise OptionsError("A refiner refines what other networks found; name their weights too.")
    generators = [generator_config(config.generator) for config in coarse.values()]
    resolutions = {generator.resolution for generator in generators}
    if len(resolutions) > 1:
        raise OptionsError(f"The networks were trained at {sorted(resolutions)} mm; a set works at one resolution.")
    for option, value in (("--appearance", args.appearance), ("--gaps", args.gaps)):
        if value and min(resolutions) <= 1:
            raise OptionsError(f"{option} is for networks that work on a grid coarser than 1 mm; leave it out.")
    grid = generator_config(configs["quality"].generator).shape if "quality" in configs else (224, 224, 224)
    views = {_view(generator) for generator in generators}
    multiple = max(role_spec(role, config.network).multiple for role, config in coarse.items())
    model_set = write_model_set(
        args.out, roles, name=args.name, title=args.title or args.name, description=args.description,
        resolution=resolutions.pop(), grid=grid, multiple=multiple, rank=args.rank, dtype=args.dtype,
        view_mm=views.pop() if len(views) == 1 else None, flip_cascade=args.flip_cascade,
        segmenter_share=args.segmenter_share, appearance=args.appearance,
        refinement=args.refinement, gaps_mm=args.gaps,
        tails=args.tails, posterior_threshold=args.posterior_threshold,
        cell=configs["quality"].cell if "quality" in configs else 1,
    )  # fmt: skip
    print(f"{model_set.name}: {', '.join(model_set.roles)}; modes {', '.join(model_set.modes)}")
    return 0


def _view(generator: GeneratorConfig) -> tuple[int, int, int] | None:
    """The box (mm) about the brain that a generator shows; None where it may lie anywhere in the head."""
    if generator.deformation.crop_jitter is None:
        return None
    x, y, z = (round(side * generator.resolution) for side in generator.shape)
    return x, y, z


def _config(configs: str, role: str) -> TrainingConfig:
    path = Path(configs) / f"{role}.toml"
    return load(str(path) if path.is_file() else f"{configs}/{role}", role)
