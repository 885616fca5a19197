"""Which recipe learns most in the same number of steps: S from fresh weights, the same scans, three recipes.

    python3 dev.py bench recipes --labels DIR --out DIR [--steps 150] [--backend torch]

Writes OUT/recipes.csv: the mean Dice of the structures on scans of the validation maps. A recipe whose training is
complete in OUT is not trained again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.evaluation import dice_of_labels
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import choose_backend
from SynthSegPlusLib.training._allocator import keep_memory
from SynthSegPlusLib.training.command import load
from SynthSegPlusLib.training.config import TrainingConfig, training_config
from Testing.benchmarks.recipes.learning import segmentations, train

COLUMNS = ("recipe", "steps", "seed", "validation_dice", "std", "scans")
_WARM_UP_SHARE = 60  # the released code's 5,000 steps of weighted L2 are a sixtieth of the paper's 300,000
_FAST = {"schedule": {"rate": 2e-3, "warmup": 10}}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "published": {
        "optimizer": "adamw", "loss": "dice", "schedule": {"rate": 1e-4, "warmup": 1, "shape": "constant"},
        "ema": 0.0, "weight_decay": 0.0, "beta_2": 0.999, "clip_norm": None,
    },
    "fast with AdamW": {**_FAST, "optimizer": "adamw"},
    "fast with Muon": {**_FAST, "optimizer": "muon"},
}  # fmt: skip
"""What each recipe changes in the configuration; network, precision, scans and their order are the same."""


def recipe(base: TrainingConfig, name: str, steps: int, seed: int) -> TrainingConfig:
    """The configuration of a recipe: S from fresh weights."""
    values = {**base.to_dict(), **RECIPES[name], "warm_start": None, "steps": steps, "seed": seed, "balance": 0}
    if name == "published":
        values["warmup_l2"] = max(1, steps // _WARM_UP_SHARE)
    return training_config(values)


def main() -> int:
    parser = argparse.ArgumentParser(prog="recipes", description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="cpu_2mm/segmenter")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=401)
    parser.add_argument("--scans", type=int, default=12, help="of the validation maps")
    parser.add_argument("--backend")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    keep_memory()
    print(f"recipes on {choose_backend(args.backend, args.device, args.threads).description}")
    base = load(args.config, "segmenter")
    rows = []
    for name in RECIPES:
        config = recipe(base, name, args.steps, args.seed)
        weights = train(config, args.labels, args.out / name.replace(" ", "_"))
        dice = validate(config, weights, args.labels, args.scans)
        rows.append({
            "recipe": name, "steps": args.steps, "seed": args.seed, "validation_dice": f"{np.mean(dice):.4f}",
            "std": f"{np.std(dice):.4f}", "scans": len(dice),
        })  # fmt: skip
        print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    with (args.out / "recipes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return 0


def validate(config: TrainingConfig, weights: Path, labels: Path, count: int) -> list[float]:
    """Mean Dice over the structures that occur (no background, no CSF) of each validation scan, working resolution."""
    csf = structures("2.0").channel(24)
    found = []
    for predicted, truth in segmentations(config, weights, labels, count):
        present = [int(one) for one in np.unique(truth) if one not in (0, csf)]
        found.append(float(np.mean(list(dice_of_labels(predicted, truth, present).values()))))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
