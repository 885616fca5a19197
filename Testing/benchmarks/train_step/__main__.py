"""Steps per second, time per generated scan, memory, and share of the device's measured matrix rate.

    python3 dev.py bench train_step --labels DIR --config gpu_1mm/segmenter --out DIR [--backend torch] [--device gpu]

Appends one line to OUT/train_step.csv. A generated scan should cost less than a quarter of a step.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

from SynthSegPlusLib.networks import UNetSpec, choose_backend
from SynthSegPlusLib.training._allocator import keep_memory
from SynthSegPlusLib.training.command import load

COLUMNS = ("config", "device", "precision", "shape", "s_per_step", "s_generation", "steps_per_s", "tflop_per_step",
           "tflop_per_s", "matrix_tflop_per_s", "share", "peak_memory_gib")  # fmt: skip
_SIDE = 4096  # of the matrices whose product gives the device's own rate
_TRAINING_OVER_FORWARD = 3  # a step costs about one forward and two backward passes


def main() -> int:
    parser = argparse.ArgumentParser(prog="train_step", description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm", type=int, default=3, help="steps that are not counted")
    parser.add_argument("--backend")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    config = load(args.config, args.config.rpartition("/")[2].removesuffix(".toml"))
    keep_memory()  # as the command does
    chosen = choose_backend(args.backend, args.device, args.threads)
    from dataclasses import replace

    from SynthSegPlusLib.training.recipes import make_trainer

    with tempfile.TemporaryDirectory() as folder:
        settings = replace(config, warm_start=None, maps=config.maps[:2])
        trainer = make_trainer(settings, args.labels, Path(folder))
        for _ in range(args.warm):
            trainer._one()
        began, generation = time.monotonic(), 0.0
        for _ in range(args.steps):
            generation += trainer._one()
        seconds = (time.monotonic() - began) / args.steps
    flop = _TRAINING_OVER_FORWARD * forward_flop(trainer.task.spec, trainer.shape) / 1e12
    rate = matrix_rate(config.precision)
    row = {
        "config": args.config, "device": chosen.description, "precision": config.precision,
        "shape": "x".join(map(str, trainer.shape)), "s_per_step": f"{seconds:.4f}",
        "s_generation": f"{generation / args.steps:.4f}", "steps_per_s": f"{1 / seconds:.3f}",
        "tflop_per_step": f"{flop:.3f}", "tflop_per_s": f"{flop / seconds:.3f}", "matrix_tflop_per_s": f"{rate:.3f}",
        "share": f"{flop / seconds / rate:.3f}", "peak_memory_gib": f"{peak_memory():.2f}",
    }  # fmt: skip
    append(args.out / "train_step.csv", row)
    print("\n".join(f"{name}: {value}" for name, value in row.items()))
    return 0


def forward_flop(spec: Any, shape: tuple[int, int, int]) -> float:
    """Floating-point operations of the convolutions of one forward pass (two per multiplication)."""
    voxels = float(shape[0] * shape[1] * shape[2])
    total = 0.0
    for layer in spec.layers():
        if "kernel" not in layer.shapes:
            continue
        size = 1.0
        for length in layer.shapes["kernel"]:
            size *= length
        total += 2 * size * voxels / 8 ** _level(layer.name, spec)
    return total


def _level(name: str, spec: Any) -> int:
    """Level of the grid that a layer works on, 0 the finest, from the published layer names."""
    if "downarm" in name:
        return int(name.split("_")[-2])
    if "uparm" in name and isinstance(spec, UNetSpec):
        return 2 * spec.levels - 2 - int(name.split("_")[-2])
    return spec.levels - 1 if "final_conv" in name else 0


def matrix_rate(precision: str) -> float:
    """Measured rate (TFLOP/s) of a large matrix product in the training's precision."""
    import keras
    from keras import ops

    kind = "float32" if precision == "float32" else precision
    one = ops.cast(keras.random.normal((_SIDE, _SIDE)), kind)
    wait(ops.matmul(one, one))
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 1.0 or count < 3:
        product = ops.matmul(one, one)
        wait(product)
        count += 1
    return 2 * _SIDE**3 * count / (time.monotonic() - began) / 1e12


def wait(tensor: Any) -> None:
    """Let the device finish."""
    from keras import ops

    ops.convert_to_numpy(tensor[0, :1])


def peak_memory() -> float:
    """Peak memory in GiB: of the GPU under torch, otherwise of the process."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**30
    return _resident()


def _resident() -> float:
    import psutil

    info = psutil.Process().memory_info()
    return getattr(info, "peak_wset", info.rss) / 2**30


def append(path: Path, row: dict[str, str]) -> None:
    """Add a line to a CSV; the header comes with the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    raise SystemExit(main())
