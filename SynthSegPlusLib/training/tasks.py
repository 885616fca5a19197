"""What each role learns: its network, its inputs and targets, and its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.inference._rules import refiner_channels
from SynthSegPlusLib.labels import parcels, qc_regions, structures, tissues
from SynthSegPlusLib.networks import RegressorSpec, UNetSpec, build_regressor, build_unet
from SynthSegPlusLib.synthesis import Generator, Sample, label_space
from SynthSegPlusLib.synthesis.generator import CEREBRAL_CORTEX, lookup
from SynthSegPlusLib.training.config import TrainingConfig
from SynthSegPlusLib.training.losses import one_hot, score_loss, segmentation_loss
from SynthSegPlusLib.training.perturb import perturb_partition

PREFIXES = {
    "segmenter": "unet",
    "tissue": "unet",
    "denoiser": "l2l",
    "structure": "unet2",
    "refiner": "refine",
    "parcellation": "unet_parc",
    "quality": "qc",
}
_PERTURBATION = 7  # separates the seeds of the perturbation from those of the scan
_FOUND = 8  # and those of the choice between true and found tissue classes


class Task(Protocol):
    """A role being learnt."""

    spec: UNetSpec | RegressorSpec

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        """Inputs and targets with a batch axis; the seed alone decides them."""
        ...

    def loss(self, warming: bool = False) -> Callable[[Any, Any], Any]:
        """Loss of (targets, predictions); ``warming`` asks for that of the warm-up."""
        ...


@runtime_checkable
class Beginning(Protocol):
    """A task whose fresh network is not left to chance."""

    def begin(self, model: Any) -> None:
        """Set weights of the fresh ``model``."""
        ...


def role_spec(role: str, network: Mapping[str, Any]) -> UNetSpec | RegressorSpec:
    """The architecture of a role with this project's label tables; ``network`` gives the free numbers."""
    classes, groups, regions = len(structures("2.0")), len(tissues("published")), len(qc_regions("paper"))
    channels = {
        "segmenter": (1, classes),
        "tissue": (1, groups),
        "denoiser": (groups, groups),
        "structure": (1 + groups, classes),
        "refiner": refiner_channels(structures("2.0")),
        "parcellation": (3, len(parcels())),
        "quality": (regions, regions - 1),
    }
    if role not in channels:
        raise OptionsError(f"The role {role!r} is unknown; choose {', '.join(channels)}.")
    try:
        if role == "quality":
            return RegressorSpec(PREFIXES[role], *channels[role], **{"variant": "paper", **network})
        return UNetSpec(PREFIXES[role], *channels[role], **network)
    except TypeError as error:
        raise OptionsError(f"The network of the role {role} has an unknown entry ({error}).") from error


def build(spec: UNetSpec | RegressorSpec, shape: tuple[int, int, int]) -> Any:
    """The Keras model that is trained: logits for a U-Net, raw scores for R."""
    return build_regressor(spec, shape) if isinstance(spec, RegressorSpec) else build_unet(spec, False, shape)


def generation() -> AbstractContextManager[Any]:
    """Context in which scans are generated: without gradients, and on one thread where the CPU computes.

    Generation is many small operations, for which waking a second thread costs more than it brings.
    """
    import keras

    if keras.backend.backend() != "torch":
        return nullcontext()
    from SynthSegPlusLib.training._torch import generation

    return generation()


@dataclass
class _Segmentation:
    """What the tasks with voxelwise targets share."""

    config: TrainingConfig
    generator: Generator

    def __post_init__(self) -> None:
        self.spec = role_spec(self.config.role, self.config.network)
        self.voxel = self.generator.config.resolution

    def loss(self, warming: bool = False) -> Callable[[Any, Any], Any]:
        return segmentation_loss("wl2" if warming else self.config.loss, self.config.cross_entropy)

    def _scan(self, seed: list[int]) -> Sample:
        with generation():
            sample = self.generator.sample(seed)
        return sample


class Segmenter(_Segmentation):
    """S: a scan to 33 structures."""

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        sample = self._scan(seed)
        return sample.image[None, ..., None], sample.structures()[None]


class Tissue(_Segmentation):
    """S1: a scan to tissue classes."""

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        sample = self._scan(seed)
        return sample.image[None, ..., None], sample.tissues()[None]


@dataclass
class Structure(_Segmentation):
    """S2: a scan and its tissue classes to 33 structures.

    The tissue classes are the true ones, perturbed (paper); in a share of the steps (``found_tissues``) those that
    ``find``, the frozen networks before S2, makes of the scan: S2 then learns how much of them to believe.
    """

    find: Callable[[np.ndarray], np.ndarray] | None = None

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        from keras import ops

        sample = self._scan(seed)
        groups = self.spec.in_channels - 1
        if np.random.default_rng([*seed, _FOUND]).random() < self.config.found_tissues:
            assert self.find is not None
            seen = ops.convert_to_tensor(self.find(ops.convert_to_numpy(sample.image)).astype(np.int32))
        else:
            with generation():
                true = one_hot(sample.in_the_middle().tissues(), groups)
                seen = perturb_partition(true, [*seed, _PERTURBATION], self.voxel)
        inputs = ops.concatenate([sample.image[..., None], one_hot(seen, groups)], -1)
        return inputs[None], sample.structures()[None]


class Parcellation(_Segmentation):
    """S3: a scan and its (perturbed) cortex mask to 68 parcels; background outside the true cortex."""

    def __post_init__(self) -> None:
        super().__post_init__()
        without = [one.name for one in self.generator.maps if one.parcels is None]
        if without:
            raise OptionsError(
                f"The label maps {', '.join(without)} have no parcels; make them with `synthsegplus parcels` first "
                f"and name their folder with --parcels."
            )

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        from keras import ops

        sample = self._scan(seed)
        cortex = lookup(np.isin(label_space().values, CEREBRAL_CORTEX), sample.central)
        with generation():
            perturbed = perturb_partition(one_hot(cortex, 2), [*seed, _PERTURBATION], self.voxel)
        inputs = ops.concatenate([sample.image[..., None], one_hot(perturbed, 2)], -1)
        return inputs[None], sample.parcels[None]


@dataclass
class Denoiser(_Segmentation):
    """D: the tissue classes that S1 found on a degraded scan to the true ones, from a bank of such pairs."""

    pairs: Any = None

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        from keras import ops

        noisy, truth = self.pairs.draw(seed)
        noisy = ops.convert_to_tensor(noisy.astype(np.int32))
        return one_hot(noisy, self.spec.in_channels)[None], ops.convert_to_tensor(truth.astype(np.int32))[None]


@dataclass
class Quality:
    """R: the regions that the cascade found on a degraded scan to their true Dice, from a bank of such pairs."""

    config: TrainingConfig
    generator: Generator
    pairs: Any = None

    def __post_init__(self) -> None:
        self.spec = role_spec(self.config.role, self.config.network)

    def loss(self, warming: bool = False) -> Callable[[Any, Any], Any]:
        return score_loss

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        from keras import ops

        seen, scores = self.pairs.draw(seed)
        channels = ops.convert_to_tensor(seen.slab(0, seen.shape[0]))
        return channels[None], ops.convert_to_tensor(scores.astype(np.float32))[None]
