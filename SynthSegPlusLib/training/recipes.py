"""From a configuration and a folder of label maps to a `Trainer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.synthesis import Generator, find_label_maps, generator_config, read_label_map
from SynthSegPlusLib.training.config import TrainingConfig
from SynthSegPlusLib.training.tasks import (
    Denoiser,
    Parcellation,
    Quality,
    Segmenter,
    Structure,
    Task,
    Tissue,
    role_spec,
)
from SynthSegPlusLib.training.trainer import Trainer, check_folder

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
    """The task of the configuration's role; denoiser, quality and refiner first make their bank in ``out``."""
    if config.found_tissues:
        from SynthSegPlusLib.training.pairs import frozen_cascade

        return Structure(config, generator, frozen_cascade(config))
    if config.role in SEGMENTATION:
        return SEGMENTATION[config.role](config, generator)
    if config.role == "refiner":
        from SynthSegPlusLib.training.closeups import Refiner
        from SynthSegPlusLib.training.heads import fill_heads

        return Refiner(config, generator, fill_heads(config, generator, out / "heads"))
    from SynthSegPlusLib.training.pairs import DenoiserPairs, QualityPairs, fill_bank

    bank = fill_bank(config, generator, out / "pairs")
    if config.role == "denoiser":
        return Denoiser(config, generator, DenoiserPairs(bank, config.pairs))
    pairs = QualityPairs(bank, generator.config, config.cell, config.displaced, config.pairs)
    return Quality(config, generator, pairs)


def check_grid(config: TrainingConfig, shape: tuple[int, int, int]) -> None:
    """`OptionsError` where the network, or one that it looks at, cannot halve a grid of ``shape`` voxels as it must."""
    networks = [(config.role, config.network, config.cell)]
    networks += [(role, entry.get("network", {}), 1) for role, entry in config.depends.items()]
    for role, network, cell in networks:
        multiple = cell * role_spec(role, network).multiple
        if any(side % multiple for side in shape):
            cells = f" in cells of {cell} voxels" if cell > 1 else ""
            raise OptionsError(
                f"The generator's shape is {shape}; for the {role} network{cells} all sides must be multiples of "
                f"{multiple}: change the shape, the network's levels or the cell."
            )


def make_trainer(
    config: TrainingConfig, labels: Path, out: Path, parcels: Path | None = None, resume: bool = False
) -> Trainer:
    """A trainer that is ready to run; Keras' backend must have been chosen.

    What can be told without label maps and networks is told first: a bank of pairs takes hours.
    """
    shape = generator_config(config.generator).shape
    if config.role == "refiner":
        from SynthSegPlusLib.training.heads import cascade_of

        shape = check_patch(config, shape)
        cascade_of(config)
    check_grid(config, shape)
    check_folder(config, out, resume)
    generator = make_generator(config, labels, parcels)
    x, y, z = (side // config.cell for side in shape)
    return Trainer(make_task(config, generator, out), config, out, (x, y, z), resume)


def check_patch(config: TrainingConfig, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The grid of the refiner's patches; `OptionsError` where they do not fit into scans of ``shape``, or are not of
    1 mm.
    """
    generator = generator_config(config.generator)
    if generator.resolution != 1 or generator.oversampling != 1 or config.patch > min(shape):
        raise OptionsError(
            f"The refiner learns from patches of {config.patch} voxels of scans made at 1 mm; the generator's scans "
            f"have {shape} voxels of {generator.resolution:g} mm and oversampling {generator.oversampling}: change its "
            f"resolution, oversampling or shape, or the patch."
        )
    return config.patch, config.patch, config.patch
