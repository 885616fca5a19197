"""`synthsegplus train ROLE`: train one network of the cascade from label maps."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.training.config import PRECISIONS, ROLES, TrainingConfig, read_config

if TYPE_CHECKING:
    from SynthSegPlusLib.networks import Chosen

CONFIGS = Path(__file__).with_name("configs")
_SHORT = {"bfloat16": "bf16", "float16": "fp16"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("role", choices=ROLES, help="which network: S, S1, D, S2, the refiner, S3 or R")
    parser.add_argument("--labels", required=True, type=Path, metavar="DIR", help="folder of label maps (*seg_<id>)")
    parser.add_argument("--parcels", type=Path, metavar="DIR", help="folder of parcel maps (parcellation only)")
    parser.add_argument(
        "--config", required=True, metavar="FILE",
        help="TOML file, or the name of a bundled one: " + ", ".join(bundled_configs()),
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for checkpoints, weights, logs")
    parser.add_argument("--models", type=Path, metavar="DIR",
                        help="where the weight files that it starts from lie, or the model set that is refined")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--steps", type=int, help="stop after this many steps in all (default: the configuration's)")
    parser.add_argument("--precision", choices=PRECISIONS, help="of the arithmetic (default: the configuration's)")
    parser.add_argument("--backend", choices=("tensorflow", "torch", "jax"), help="default: the one that sees a GPU")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def bundled_configs() -> list[str]:
    """Names of the configurations that come with the project, as <set>/<role>."""
    return sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.toml"))


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit status. Raises the project's errors."""
    config = load(args.config, args.role, args.models)
    if args.precision:
        config = dataclasses.replace(config, precision=args.precision)
    from SynthSegPlusLib.networks import choose_backend
    from SynthSegPlusLib.training._allocator import keep_memory

    keep_memory()
    chosen = choose_backend(args.backend, args.device, args.threads)
    print(f"training {args.role} on {chosen.description}")
    if config.precision != "float32" and is_emulated(config.precision, chosen):
        print(f"note: this processor has no arithmetic in {config.precision}, which is then many times slower than "
              f"float32; stop, and train with --precision float32")  # fmt: skip
    from SynthSegPlusLib.training.recipes import make_trainer

    trainer = make_trainer(config, args.labels, args.out, args.parcels, args.resume)
    trainer.run(args.steps)
    return 0


def is_emulated(precision: str, chosen: Chosen) -> bool:
    """Whether a 16-bit ``precision`` has no instructions of its own where a training is to run; False if unknown."""
    if chosen.backend != "torch" or chosen.device != "cpu":
        return False
    import torch

    ask = getattr(torch.ops.mkldnn, f"_is_mkldnn_{_SHORT[precision]}_supported", None)
    return ask is not None and not ask()


def load(name: str, role: str, models: Path | None = None) -> TrainingConfig:
    """Configuration from a file or by bundled name; weight files it names are looked for in ``models`` if given."""
    path = Path(name)
    if not path.is_file():
        path = CONFIGS / f"{name}.toml"
    if not path.is_file():
        raise OptionsError(f"There is no configuration {name!r}; give a file or one of {', '.join(bundled_configs())}.")
    return read_config(path, role, models)
