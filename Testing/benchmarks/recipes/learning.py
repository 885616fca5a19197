"""Train a network for a benchmark, and let it segment scans of the validation maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.training.config import TrainingConfig

VALIDATION_MAPS = ("15", "16")
_VALIDATION_SEED = 777


def train(config: TrainingConfig, labels: Path, folder: Path) -> Path:
    """Train to the end, going on where an earlier run stopped; the weights' file.

    The training is in a folder beside ``folder`` whose name ends with its steps: one of other steps is another.
    """
    from SynthSegPlusLib.training.recipes import make_trainer
    from SynthSegPlusLib.training.trainer import CHECKPOINT

    folder = folder.with_name(f"{folder.name}_{config.steps}")
    trainer = make_trainer(config, labels, folder, resume=(folder / CHECKPOINT).is_file())
    if trainer.step < config.steps:
        trainer.run()
    return folder / f"{trainer.task.spec.prefix}.h5"


def segmentations(
    config: TrainingConfig, weights: Path, labels: Path, count: int, changes: Mapping[str, Any] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What S finds in each of ``count`` validation scans, and the truth: channels, int [x, y, z], working grid.

    ``changes`` replaces entries of the generator's settings.
    """
    from keras import ops

    from SynthSegPlusLib.networks import Inputs, UNetSpec, load_network
    from SynthSegPlusLib.training.recipes import make_generator
    from SynthSegPlusLib.training.tasks import generation, role_spec

    spec = role_spec("segmenter", config.network)
    assert isinstance(spec, UNetSpec)
    network = load_network(spec, weights)
    settings = {**config.generator, **(changes or {})}
    generator = make_generator(replace(config, maps=VALIDATION_MAPS, generator=settings), labels)
    for number in range(count):
        with generation():
            sample = generator.sample([_VALIDATION_SEED, number]).in_the_middle()
        image = ops.convert_to_numpy(sample.image)
        yield network.argmax(Inputs(image)), ops.convert_to_numpy(sample.structures())
