"""From a configuration and a folder of label maps to a `Trainer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from SynthSegPlusLib.synthesis import Generator, find_label_maps, generator_config, read_label_map
from SynthSegPlusLib.training.config import TrainingConfig
from SynthSegPlusLib.training.tasks import Denoiser, Parcellation, Quality, Segmenter, Structure, Task, Tissue
from SynthSegPlusLib.training.trainer import Trainer

SEGMENTATION: dict[str, Any] = {
    "segmenter": Segmenter,
    "tissue": Tissue,
    "structure": Structure,
    "parcellation": Parcellation,
}
PARCEL_SUFFIX = "_parcels.nii.gz"


def make_generator(config: TrainingConfig, labels: Path, parcels: Path | None = None) -> Generator:
    """Generator of the configuration's label maps; parcels of map X are ``parcels``/X_parcels.nii.gz."""
    maps = []
    for path in find_label_maps(labels, config.maps):
        stem = path.name.split(".")[0]
        maps.append(read_label_map(path, None if parcels is None else parcels / f"{stem}{PARCEL_SUFFIX}"))
    return Generator(maps, generator_config(config.generator))


def make_task(config: TrainingConfig, generator: Generator, out: Path) -> Task:
    """The task of the configuration's role; denoiser and quality first make their bank of pairs in ``out``."""
    if config.found_tissues:
        from SynthSegPlusLib.training.pairs import frozen_cascade

        return Structure(config, generator, frozen_cascade(config))
    if config.role in SEGMENTATION:
        return SEGMENTATION[config.role](config, generator)
    from SynthSegPlusLib.training.pairs import DenoiserPairs, QualityPairs, fill_bank

    bank = fill_bank(config, generator, out / "pairs")
    if config.role == "denoiser":
        return Denoiser(config, generator, DenoiserPairs(bank))
    return Quality(config, generator, QualityPairs(bank, generator.config, config.cell, config.displaced))


def make_trainer(
    config: TrainingConfig, labels: Path, out: Path, parcels: Path | None = None, resume: bool = False
) -> Trainer:
    """A trainer that is ready to run; Keras' backend must have been chosen."""
    generator = make_generator(config, labels, parcels)
    x, y, z = (side // config.cell for side in generator.config.shape)
    return Trainer(make_task(config, generator, out), config, out, (x, y, z), resume)
