"""What each morphology step of the generator is good for: S trained with all of them, and with each left out.

    python3 dev.py bench morphology --labels DIR --models DIR --out DIR [--only hippocampi] [--steps 400]

Every training starts from the same weights and sees the same scans but for the step that is left out (without lesions,
some scans are drawn otherwise altogether). Writes
OUT/morphology.csv: how well the structures that a step changes are found in scans of the validation maps whose anatomy
is changed by it, and in scans without any change. A training that is complete in OUT is not done again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.evaluation import agreement, dice_of_labels
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import choose_backend
from SynthSegPlusLib.synthesis import generator_config
from SynthSegPlusLib.training._allocator import keep_memory
from SynthSegPlusLib.training.command import load
from SynthSegPlusLib.training.config import TrainingConfig, training_config
from Testing.benchmarks.recipes.learning import segmentations, train

CHANGES: Mapping[str, tuple[int, ...]] = {
    "ventricles": (4, 43), "cortex": (3, 42), "hippocampi": (17, 53), "amygdalae": (18, 54), "horns": (5, 44),
    "lesions": (2, 41), "atrophy": (4, 43, 3, 42, 17, 53),
}  # fmt: skip
"""Steps by their entry in the generator's ``anatomy``, and the structures that each changes."""
TOGETHER = "atrophy"
"""The step that makes what others make for themselves. It is asked beside them, and they without it."""
SHARE = 0.25
"""Of the scans, in which a step is made that the preset leaves off."""
COLUMNS = ("step", "trained", "scans", "steps", "seed", "dice", "all_structures", "volume_r", "volume_bias")


@dataclass(frozen=True)
class Found:
    """Dice of a step's structures and of all, one a scan; voxels found and true, one a structure and scan."""

    dice: list[float]
    all_structures: list[float]
    found: list[float]
    true: list[float]


def trainings(step: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What is trained to ask for a step: "with" and "without" it, each a folder's name and the steps left out."""
    if step == TOGETHER:
        return {"with": (f"all_and_{step}", ()), "without": ("all", (step,))}
    return {"with": ("all", (TOGETHER,)), "without": (f"without_{step}", (TOGETHER, step))}


def without(base: TrainingConfig, left_out: Collection[str], steps: int, seed: int) -> TrainingConfig:
    """The configuration with every morphology step, those that its preset leaves off too, but for some."""
    generator = dict(base.generator)
    steps_on = {step: getattr(generator_config(generator).anatomy, step) or SHARE for step in CHANGES}
    generator["anatomy"] = {**generator.get("anatomy", {}), **steps_on, **dict.fromkeys(left_out, 0.0)}
    return training_config({**base.to_dict(), "generator": generator, "steps": steps, "seed": seed, "balance": 0})


def changed(step: str | None) -> dict[str, Any]:
    """Settings of the generator with one morphology step in every scan and the others in none."""
    return {"anatomy": {**dict.fromkeys(CHANGES, 0.0), **({} if step is None else {step: 1.0})}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="morphology", description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="where the weights lie that trainings start from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="cpu_2mm/segmenter")
    parser.add_argument("--only", nargs="+", choices=sorted(CHANGES), default=list(CHANGES))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=411)
    parser.add_argument("--scans", type=int, default=24, help="of the validation maps, with and without the change")
    parser.add_argument("--backend")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    keep_memory()
    print(f"morphology on {choose_backend(args.backend, args.device, args.threads).description}")
    base = load(args.config, "segmenter", args.models)
    rows = []
    for step in args.only:
        for trained, (folder, left_out) in trainings(step).items():
            config = without(base, left_out, args.steps, args.seed)
            weights = train(config, args.labels, args.out / folder)
            for scans, made in (("changed", step), ("as they are", None)):
                found = measure(config, weights, args.labels, args.scans, step, made)
                rows.append(row(step, trained, scans, config, found))
                print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    with (args.out / "morphology.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return 0


def measure(
    config: TrainingConfig, weights: Path, labels: Path, count: int, step: str, made: str | None
) -> Found:
    """S on validation scans with the step ``made`` in each: the structures of ``step``, at working resolution."""
    table = structures("2.0")
    channels = [table.channel(value) for value in CHANGES[step]]
    csf = table.channel(24)
    collected = Found([], [], [], [])
    for predicted, truth in segmentations(config, weights, labels, count, changed(made)):
        present = [int(one) for one in np.unique(truth) if one not in (0, csf)]
        dice = dice_of_labels(predicted, truth, present)
        seen = [one for one in channels if one in present]  # a cut field of view may lack a side
        if not seen:
            continue
        collected.dice.append(float(np.mean([dice[one] for one in seen])))
        collected.all_structures.append(float(np.mean(list(dice.values()))))
        collected.found.extend(float((predicted == one).sum()) for one in seen)
        collected.true.extend(float((truth == one).sum()) for one in seen)
    return collected


def row(step: str, trained: str, scans: str, config: TrainingConfig, found: Found) -> dict[str, Any]:
    """A line of the table."""
    volumes = agreement(np.array(found.found), np.array(found.true))
    return {
        "step": step, "trained": trained, "scans": scans, "steps": config.steps, "seed": config.seed,
        "dice": f"{np.mean(found.dice):.4f}", "all_structures": f"{np.mean(found.all_structures):.4f}",
        "volume_r": f"{volumes.pearson:.3f}", "volume_bias": f"{volumes.bias:+.3f}",
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
