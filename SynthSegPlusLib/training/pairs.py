"""Banks of mistakes: degraded scans as the frozen networks segmented them, beside the truth.

Denoiser and quality network learn from what the networks before them get wrong. A bank is a folder of small files,
filled once (an interrupted filling goes on where it stopped) and drawn from with flips and cuts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.inference._integrity import sha256_of
from SynthSegPlusLib.inference.model_set import QualityRule
from SynthSegPlusLib.inference.quality import quality_inputs, region_dice
from SynthSegPlusLib.labels import qc_regions, structures
from SynthSegPlusLib.networks import Inputs, UNetSpec
from SynthSegPlusLib.synthesis import Generator, GeneratorConfig, generator_config
from SynthSegPlusLib.training.config import TrainingConfig
from SynthSegPlusLib.training.displace import displaced
from SynthSegPlusLib.training.frozen import load_frozen
from SynthSegPlusLib.training.nothing import not_a_brain
from SynthSegPlusLib.training.tasks import generation, role_spec

CSF = 24
NOT_A_BRAIN = 10
"""One pair in this many, in the bank of the quality network, is a scan of something else: all true Dice are 0."""
MASKED = 0.3
"""Probability that R sees only a part of the segmentation (reference implementation)."""
_SMALLEST_SHARE = 0.4
_BANK = 9  # separates the seeds of the bank from those of the training
_USUAL = 10  # and those of the choice between ordinary and degraded scans
ORDINARY = "fast"
BANK = "bank.json"


def fill_bank(config: TrainingConfig, generator: Generator, folder: Path, say: Callable[[str], None] = print) -> Path:
    """Make the missing pairs of a bank; pair k comes from the seed [config.seed, 9, k].

    `OptionsError` where the pairs that are there were made otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05d}.npz" for number in range(config.pairs)]
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    claim_bank(folder, _made_from(config, generator), len(missing), config.pairs, say)
    if missing:
        cascade, ordinary = frozen_cascade(config), ordinary_scans(generator)
        for count, number in enumerate(missing):
            usual = np.random.default_rng([config.seed, _USUAL, number]).random() < config.ordinary
            found, truth = _pair(config, ordinary if usual else generator, cascade, number)
            partial = folder / f".{number:05d}.part.npz"
            np.savez_compressed(partial, found=found, truth=truth)
            os.replace(partial, paths[number])
            if (count + 1) % config.log_every == 0:
                say(f"pairs: {count + 1} of {len(missing)}")
    return folder


def claim_bank(folder: Path, mine: dict[str, Any], missing: int, count: int, say: Callable[[str], None]) -> None:
    """Note beside the ``count`` files of a bank what they are made from (``mine``); `OptionsError` where they are made
    from something else.

    A bank of an older version, which says nothing of it, is used if none is missing: it may be the work of hours.
    """
    path, mine = folder / BANK, json.loads(json.dumps(mine))
    if path.is_file():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        other = sorted(name for name in mine if theirs.get(name) != mine[name])
        if other:
            raise OptionsError(
                f"The pairs in {folder} were made with other settings ({', '.join(other)}); remove that folder or give "
                f"another --out."
            )
        return
    if any(folder.glob("[0-9]*.npz")):
        if missing:
            raise OptionsError(
                f"{folder} lacks {missing} of {count} pairs and does not say what the others were made from; remove "
                f"that folder or give another --out."
            )
        say(f"pairs: {folder} does not say what they were made from; they are used as they are")
        return
    partial = folder / f".{BANK}.part"
    partial.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _made_from(config: TrainingConfig, generator: Generator) -> dict[str, Any]:
    """Everything that decides a pair. How many there are does not: a bank may grow."""
    depends = {
        role: {"sha256": sha256_of(Path(entry["file"])).sha256, "network": entry.get("network", {})}
        for role, entry in _before(config).items()
    }
    return {
        "role": config.role, "seed": config.seed, "ordinary": config.ordinary, "generator": config.generator,
        "maps": [one.name for one in generator.maps], "depends": depends,
    }  # fmt: skip


def ordinary_scans(generator: Generator) -> Generator:
    """A generator of the same label maps on the same grids, with all else as the preset "fast" has it."""
    same = {name: getattr(generator.config, name) for name in ("resolution", "shape", "oversampling")}
    return Generator(generator.maps, generator_config({"preset": ORDINARY, **same}), generator.noise)


def _pair(
    config: TrainingConfig, generator: Generator, cascade: Callable[[np.ndarray], np.ndarray], number: int
) -> tuple[np.ndarray, np.ndarray]:
    seed = [config.seed, _BANK, number]
    if config.role == "quality" and number % NOT_A_BRAIN == 0:
        image = not_a_brain(seed, generator.config.shape)
        return cascade(image), np.zeros(image.shape, np.uint8)
    with generation():
        sample = generator.sample(seed).in_the_middle()
        truth = sample.tissues() if config.role == "denoiser" else sample.structures()
    return cascade(_numpy(sample.image)), _numpy(truth).astype(np.uint8)


def frozen_cascade(config: TrainingConfig) -> Callable[[np.ndarray], np.ndarray]:
    """The networks before the role, as a function from an image [x, y, z] to labels (uint8).

    For the denoiser S1's tissue classes; for S2 these too, or D's where the configuration names a denoiser; for the
    quality network the channels of S1-D-S2, or of S1-S2 where it names no denoiser. `OptionsError` where it does not
    name the weights of the others.
    """
    networks = {
        role: load_frozen(_spec(role, entry), entry["file"], config.precision)
        for role, entry in _before(config).items()
    }

    def cascade(image: np.ndarray) -> np.ndarray:
        found = networks["tissue"].argmax(Inputs(image))
        if "denoiser" in networks:
            found = networks["denoiser"].argmax(Inputs(groups=found, n_groups=networks["denoiser"].spec.in_channels))
        if "structure" not in networks:
            return found
        return networks["structure"].argmax(Inputs(image, found, networks["structure"].spec.in_channels - 1))

    return cascade


def _before(config: TrainingConfig) -> dict[str, Any]:
    """Entries of [depends] that the role's cascade has."""
    needed = ("tissue", "structure") if config.role == "quality" else ("tissue",)
    lacking = [role for role in needed if role not in config.depends]
    if lacking:
        raise OptionsError(f"The configuration names no weights for {', '.join(lacking)} under [depends]; add them.")
    wanted = needed if config.role == "denoiser" else (*needed, "denoiser")
    return {role: config.depends[role] for role in wanted if role in config.depends}


def _spec(role: str, entry: Any) -> UNetSpec:
    spec = role_spec(role, entry.get("network", {}))
    assert isinstance(spec, UNetSpec)  # the networks of a cascade before R are all U-Nets
    return spec


def _numpy(tensor: Any) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(tensor)


class _Bank:
    """The first ``count`` pairs of a folder, which may hold more; None: all."""

    def __init__(self, folder: Path, count: int | None = None) -> None:
        self.paths = sorted(folder.glob("[0-9]*.npz"))[:count]

    def _read(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        with np.load(self.paths[int(rng.integers(len(self.paths)))]) as pair:
            found, truth = pair["found"], pair["truth"]
        if rng.random() < 0.5:  # tissues and regions have no sides, so mirroring is enough
            found, truth = found[::-1], truth[::-1]
        return found, truth


class DenoiserPairs(_Bank):
    """Pairs of tissue classes: (S1's, true), uint8 [x, y, z]."""

    def draw(self, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """One pair; the seed decides which, and its mirroring."""
        found, truth = self._read(np.random.default_rng(seed))
        return np.ascontiguousarray(found), np.ascontiguousarray(truth)


class QualityPairs(_Bank):
    """What R sees and should say: (`Inputs`, Dice float64 [10]).

    In a share ``moved`` of the draws it is the truth, moved out of place, that is shown.
    """

    def __init__(
        self, folder: Path, generator: GeneratorConfig, cell: int = 1, moved: float = 0.0, count: int | None = None
    ) -> None:
        super().__init__(folder, count)
        self.table, self.regions = structures("2.0"), qc_regions("paper")
        self.rule = QualityRule(grid=generator.shape, ignored_labels=(CSF,), cell=cell)
        self.voxel, self.moved = generator.resolution, moved

    def draw(self, seed: list[int]) -> tuple[Inputs, np.ndarray]:
        """One pair; the seed decides which, its mirroring, and what part of it is seen."""
        rng = np.random.default_rng(seed)
        found, truth = self._read(rng)
        if rng.random() < self.moved and truth.any():
            found = displaced(truth, rng, self.voxel)
        if rng.random() < MASKED:
            found = found * random_box(rng, found.shape)
        scores = region_dice(found, truth, self.regions.channels(self.table), len(self.regions))
        return quality_inputs(np.ascontiguousarray(found), self.table, self.regions, self.rule), scores


def random_box(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 [x, y, z]: 1 in a random box whose sides are 40 to 100 % of the volume's."""
    mask = np.zeros(shape, np.uint8)
    box = []
    for size in shape:
        length = int(rng.integers(round(_SMALLEST_SHARE * size), size + 1))
        start = int(rng.integers(0, size - length + 1))
        box.append(slice(start, start + length))
    mask[tuple(box)] = 1
    return mask
