"""The bank of the refiner: synthetic heads at 1 mm as a set's networks saw them, kept to be seen in other contrasts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract import SegmentOptions
from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference._window import LARGEST_GROWTH_MM, MARGIN_MM, REACH_PERCENT, BrainBox
from SynthSegPlusLib.inference.model_set import DESCRIPTION_FILE
from SynthSegPlusLib.synthesis import Generator
from SynthSegPlusLib.training.config import TrainingConfig
from SynthSegPlusLib.training.pairs import claim_bank
from SynthSegPlusLib.volume import Conformed, Volume, conform

LABELS = "2.0"
_BANK = 12  # separates the seeds of the bank from those of the training
_TRACE = 2e-4  # posteriors below are kept as 0


@dataclass(frozen=True)
class Head:
    """labels: generation positions, uint8 [x, y, z] at 1 mm; image: float32 like them, the scan that the networks saw;
    posteriors: float32 [X, Y, Z, C] on their padded working grid; box: what they saw of the scan, None for
    all of it in a set that knows no box.
    """

    labels: np.ndarray
    image: np.ndarray
    posteriors: np.ndarray
    box: BrainBox | None

    def conformed(self, image: np.ndarray, model_set: ModelSet) -> Conformed:
        """An image of these labels, float32 [x, y, z], on the grids on which the networks saw their own."""
        return _conformed(Volume(image, np.eye(4), "head"), model_set, self.box)


def _conformed(volume: Volume, model_set: ModelSet, box: BrainBox | None) -> Conformed:
    """A box of a scan as networks see it; the whole scan for None."""
    centre, crop = (None, None) if box is None else box
    padding = model_set.padding
    return conform(
        volume, model_set.scheme, model_set.working_resolution_mm, False, crop, padding.multiple, padding.minimum,
        centre,
    )  # fmt: skip


def cascade_of(config: TrainingConfig) -> ModelSet:
    """The set whose results are refined, without a refiner; `OptionsError` where there is none that can be."""
    if config.cascade is None:
        raise OptionsError("The configuration names no model set under cascade; give its folder.")
    if not (Path(config.cascade) / DESCRIPTION_FILE).is_file():
        raise OptionsError(
            f"There is no model set in {config.cascade}; name the folder of the one to refine with --models."
        )
    found = ModelSet.load(config.cascade)
    if found.label_version != LABELS:
        raise OptionsError(
            f"The model set {found.name!r} has labels of version {found.label_version}; a refiner is trained for those "
            f"of {LABELS}."
        )
    if not found.postprocessing.appearance:
        raise OptionsError(
            f"The model set {found.name!r} has no appearance in its postprocessing, whose results a refiner is shown; "
            f"export one with --appearance."
        )
    return dataclasses.replace(found, postprocessing=dataclasses.replace(found.postprocessing, refinement=0.0))


def fill_heads(config: TrainingConfig, generator: Generator, folder: Path, say: Callable[[str], None] = print) -> Path:
    """Make the missing heads of a bank; head k comes from the seed [config.seed, 12, k].

    `OptionsError` where the heads that are there were made otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model_set = cascade_of(config)
    paths = [folder / f"{number:05d}.npz" for number in range(config.pairs)]
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    claim_bank(folder, _made_from(config, generator, model_set), len(missing), config.pairs, say)
    if not missing:
        return folder
    segmenter = Segmenter(model_set, _options(model_set), keep_networks=True)
    for count, number in enumerate(missing):
        head = _head(generator, segmenter, [config.seed, _BANK, number])
        partial = folder / f".{number:05d}.part.npz"
        box = np.zeros(0) if head.box is None else np.concatenate(head.box)
        kept = np.where(head.posteriors < _TRACE, 0, head.posteriors).astype(np.float16)
        np.savez_compressed(
            partial, labels=head.labels, image=head.image.astype(np.float16), posteriors=kept, box=box
        )
        os.replace(partial, paths[number])
        if (count + 1) % config.log_every == 0:
            say(f"heads: {count + 1} of {len(missing)}")
    return folder


def read_head(path: Path) -> Head:
    """A head of a bank."""
    with np.load(path) as kept:
        box = kept["box"].tolist()
        return Head(
            kept["labels"], kept["image"].astype(np.float32), kept["posteriors"].astype(np.float32),
            BrainBox(tuple(box[:3]), tuple(int(side) for side in box[3:])) if box else None,  # type: ignore[arg-type]
        )  # fmt: skip


def _head(generator: Generator, segmenter: Segmenter, seed: list[int]) -> Head:
    from keras import ops

    from SynthSegPlusLib.training.tasks import generation

    with generation():
        sample = generator.sample(seed).in_the_middle()
        labels, image = (np.array(ops.convert_to_numpy(one)) for one in (sample.labels, sample.image))
    conformed, posteriors = segmenter.coarse(Volume(image, np.eye(4), "head"))
    return Head(labels.astype(np.uint8), image, posteriors, _box(conformed, segmenter.model_set))


def _box(conformed: Conformed, model_set: ModelSet) -> BrainBox | None:
    """What the networks saw, so that it is found again; None where no box of the scan is the same."""
    if model_set.field_of_view_mm is None:
        return None
    inner = [(side.start + side.stop - 1) / 2 for side in conformed.inner]
    x, y, z = (conformed.affine @ np.array([*inner, 1.0]))[:3].tolist()
    r, a, s = (round(side * conformed.resolution_mm) for side in conformed.image.shape)
    box = BrainBox((x, y, z), (r, a, s))
    again = _conformed(conformed.volume, model_set, box)
    same = again.patch == conformed.patch and again.image.shape == conformed.image.shape
    return box if same else None


def _options(model_set: ModelSet) -> SegmentOptions:
    return SegmentOptions(mode=model_set.best_mode, quality=False, parcellation=False)  # type: ignore[arg-type]


def _made_from(config: TrainingConfig, generator: Generator, model_set: ModelSet) -> dict[str, Any]:
    """Everything that decides a head."""
    rules = dataclasses.asdict(model_set.postprocessing)
    for later in ("foreground_threshold", "tails", "posterior_threshold", "topology_threshold", "components_on"):
        del rules[later]
    return {
        "role": config.role, "seed": config.seed, "generator": config.generator,
        "maps": [one.name for one in generator.maps],
        "networks": {
            name: model_set.require(name).verify().sha256 for name in model_set.needed_roles(_options(model_set))
        },
        "postprocessing": rules, "mode": model_set.best_mode,
        "box": [REACH_PERCENT, MARGIN_MM, LARGEST_GROWTH_MM],
        "grid": [model_set.scheme, model_set.working_resolution_mm, model_set.field_of_view_mm,
                 dataclasses.astuple(model_set.padding)],
    }  # fmt: skip
