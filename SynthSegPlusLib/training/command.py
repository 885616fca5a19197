"""`synthsegplus train ROLE`: train one network of the cascade from label maps."""

from __future__ import annotations

import argparse
from pathlib import Path

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.training.config import ROLES, TrainingConfig, read_config

CONFIGS = Path(__file__).with_name("configs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("role", choices=ROLES, help="which network: S, S1, D, S2, S3 or R")
    parser.add_argument("--labels", required=True, type=Path, metavar="DIR", help="folder of label maps (*seg_<id>)")
    parser.add_argument("--parcels", type=Path, metavar="DIR", help="folder of parcel maps (parcellation only)")
    parser.add_argument(
        "--config", required=True, metavar="FILE",
        help="TOML file, or the name of a bundled one: " + ", ".join(bundled_configs()),
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for checkpoints, weights, logs")
    parser.add_argument("--models", type=Path, metavar="DIR", help="where the weight files that it starts from lie")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--steps", type=int, help="stop after this many steps in all (default: the configuration's)")
    parser.add_argument("--backend", choices=("tensorflow", "torch", "jax"), help="default: the one that sees a GPU")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def bundled_configs() -> list[str]:
    """Names of the configurations that come with the project, as <set>/<role>."""
    return sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.toml"))


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit status. Raises the project's errors."""
    config = load(args.config, args.role, args.models)
    from SynthSegPlusLib.networks import choose_backend
    from SynthSegPlusLib.training._allocator import keep_memory

    keep_memory()
    chosen = choose_backend(args.backend, args.device, args.threads)
    print(f"training {args.role} on {chosen.description}")
    from SynthSegPlusLib.training.recipes import make_trainer

    trainer = make_trainer(config, args.labels, args.out, args.parcels, args.resume)
    trainer.run(args.steps)
    return 0


def load(name: str, role: str, models: Path | None = None) -> TrainingConfig:
    """Configuration from a file or by bundled name; weight files it names are looked for in ``models`` if given."""
    path = Path(name)
    if not path.is_file():
        path = CONFIGS / f"{name}.toml"
    if not path.is_file():
        raise OptionsError(f"There is no configuration {name!r}; give a file or one of {', '.join(bundled_configs())}.")
    return read_config(path, role, models)
