"""What the refiner learns from: patches at 1 mm of segmented heads, in a contrast that is new each time.

The networks' posteriors of a head stay what they were, for making them takes long; its image is made anew, with other
intensities (of slices that are stored at 1 mm, however thick), so that borders are found by whatever tells two
structures apart and not by the contrasts of few scans. Intensities alone would tell the refiner more than those of real
scans can: a mixture's noise is white, and its borders are those of the labels. So part of the noise is smooth, as the
inside of a real structure is uneven, and the labels of which the image is made are slightly out of place, as those that
people draw are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.inference._refine import shown_to_refiner
from SynthSegPlusLib.inference._rules import refiner_channels
from SynthSegPlusLib.inference._to_output import look
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.synthesis import Generator, label_space
from SynthSegPlusLib.synthesis.draw import draw
from SynthSegPlusLib.synthesis.geometry import voxel_grid
from SynthSegPlusLib.synthesis.intensity import rescale_percentiles
from SynthSegPlusLib.synthesis.interpolation import resize, sample_nearest
from SynthSegPlusLib.training.config import TrainingConfig
from SynthSegPlusLib.training.heads import Head, cascade_of, read_head
from SynthSegPlusLib.training.losses import segmentation_loss
from SynthSegPlusLib.training.tasks import generation, role_spec

PATCHES = 12
"""Patches of one image: it takes as long to make as ten steps."""
AS_SEEN = 0.12
"""Share of the images that are those that the networks saw."""
UNEVEN, UNEVEN_MM = (0.0, 1.2), (2.5, 7.0)
"""Spread of the smooth part of the noise in four of five images, beside white noise, which it partly replaces; and how
far its control points lie apart (voxels)."""
MISPLACED, MISPLACED_MM = (0.0, 0.9), (3.0, 8.0)
"""Standard deviation (mm, each axis) by which labels are out of place, in four of five images; and likewise."""
SMALL = (17, 53, 18, 54, 5, 44, 26, 58, 13, 52, 11, 50)
"""Structures about one of which a patch lies in 45 % of the cases: hippocampi, amygdalae, horns, accumbens, pallida,
caudates."""
LEAST = 1e-5
"""Posterior that a structure is taken to have at least, in the loss."""
BLIND = 50
"""Images in which nothing is seen, after which there is nothing to learn."""
_OFTEN, _ABOUT_SMALL, _ASIDE = 0.8, 0.45, 12
_FEW = 1e-3  # of an image that is no more than one intensity


@dataclass(frozen=True)
class Patch:
    """shown: float32 [n, n, n, 1 + 2 K]; truth: kinds, uint8 [n, n, n]."""

    shown: np.ndarray
    truth: np.ndarray


class Refiner:
    """The refiner: intensities and posteriors at 1 mm to a factor for every kind of structure."""

    def __init__(self, config: TrainingConfig, generator: Generator, heads: Any) -> None:
        self.config, self.generator = config, generator
        self.spec = role_spec(config.role, config.network)
        self.model_set: ModelSet = cascade_of(config)
        self.paths = sorted(heads.glob("[0-9]*.npz"))[: config.pairs]
        self.table = structures("2.0")
        self._made: tuple[list[int], list[Patch]] | None = None

    def begin(self, model: Any) -> None:
        """The last layer says nothing at first, so that training begins with the posteriors as they are."""
        last = model.get_layer(f"{self.spec.prefix}_likelihood")
        last.set_weights([np.zeros_like(one) for one in last.get_weights()])

    def batch(self, seed: list[int]) -> tuple[Any, Any]:
        """A patch, and as the target its kinds (channel 0) and the logarithms of its posteriors by kind."""
        from keras import ops

        image, number = divmod(seed[-1], PATCHES)
        key = [*seed[:-1], image]
        if self._made is None or self._made[0] != key:
            self._made = key, self._patches(key)
        patch = self._made[1][number]
        kinds = refiner_channels(self.table)[1]
        known = np.log(patch.shown[..., 1 : 1 + kinds] + np.float32(LEAST))
        target = np.concatenate([patch.truth[..., None].astype(np.float32), known], axis=-1)
        return ops.convert_to_tensor(patch.shown[None]), ops.convert_to_tensor(target[None])

    def loss(self, warming: bool = False) -> Callable[[Any, Any], Any]:
        """That of the posteriors times the factors, which the softmax of the sum of both logarithms is."""
        of_labels = segmentation_loss("wl2" if warming else self.config.loss, self.config.cross_entropy)

        def loss(targets: Any, logits: Any) -> Any:
            from keras import ops

            known = ops.cast(logits, "float32") + targets[..., 1:]
            return of_labels(ops.cast(targets[..., 0], "int32"), known)

        return loss

    def _patches(self, seed: list[int]) -> list[Patch]:
        """All patches of one image; an image in which no head can be seen is passed over, up to `BLIND` times."""
        rng = np.random.default_rng([*seed, PATCHES])
        for _ in range(BLIND):
            head = read_head(self.paths[int(rng.integers(len(self.paths)))])
            with generation():
                image = head.image if rng.random() < AS_SEEN else self._seen_anew(head, rng)
            found = self._closeups(head, image, rng) if np.ptp(image) > _FEW else None
            if found is not None:
                return found
        raise InputError(
            f"The networks of {self.model_set.name!r} found no brain in {BLIND} heads of the bank one after the other "
            f"(seed {seed}); look at the bank, and train with other networks."
        )

    def _seen_anew(self, head: Head, rng: np.random.Generator) -> np.ndarray:
        """Another image of the labels of a head, float32 [x, y, z]."""
        from keras import ops

        drawn = draw(self.generator.config, self.generator.maps[0], [int(rng.integers(2**31)), self.config.seed])
        labels = ops.convert_to_tensor(head.labels.astype(np.int32))
        if rng.random() < _OFTEN:
            labels = misplaced(labels, rng)
        image = self.generator.synthesise(drawn, labels, uneven_noise(head.labels.shape, rng))
        if self.generator.config.intensity.rescale_percentiles:
            image = rescale_percentiles(image)
        return np.array(ops.convert_to_numpy(image), np.float32)

    def _closeups(self, head: Head, image: np.ndarray, rng: np.random.Generator) -> list[Patch] | None:
        conformed, posteriors = head.conformed(image, self.model_set), head.posteriors.copy()
        found, _ = look(conformed, image, self.table, self.model_set.postprocessing.appearance, posteriors)
        if found is None:
            return None
        bias = conformed.to_output(found.bias)
        normalised = found.normalised(image, bias)
        truth, side = label_space().channel[head.labels], self.config.patch
        patches = []
        for _ in range(PATCHES):
            middle = _place(truth, self.table.channels(SMALL), rng) + rng.integers(-_ASIDE, _ASIDE + 1, 3)
            low = np.clip(middle - side // 2, 0, np.array(truth.shape) - side)
            box = tuple(slice(int(start), int(start) + side) for start in low)
            before = np.stack(list(conformed.output_planes(posteriors, box)))  # type: ignore[arg-type]
            after = found.update(before, image[box], bias[box])
            shown = shown_to_refiner(normalised[box], before, after, self.table)
            patches.append(_mirrored(Patch(shown, self.table.kinds[truth[box]].astype(np.uint8)), rng))
        return patches


def _place(truth: np.ndarray, small: Any, rng: np.random.Generator) -> np.ndarray:
    """A voxel of the brain, or of one of the small structures, of the channels ``truth`` [x, y, z]."""
    wanted = truth == small[int(rng.integers(len(small)))] if rng.random() < _ABOUT_SMALL else truth > 1
    places = np.flatnonzero(wanted)
    if not len(places):
        places = np.flatnonzero(truth > 0) if (truth > 0).any() else np.arange(truth.size)
    return np.array(np.unravel_index(places[int(rng.integers(len(places)))], truth.shape))


def _mirrored(patch: Patch, rng: np.random.Generator) -> Patch:
    """Kinds have no sides, so half of the patches are mirrored."""
    if rng.random() < 0.5:
        return patch
    return Patch(np.ascontiguousarray(patch.shown[::-1]), np.ascontiguousarray(patch.truth[::-1]))


def smooth_noise(shape: tuple[int, ...], spacing: float, rng: np.random.Generator) -> Any:
    """Noise of unit variance, float32 ``shape``, linear between random points ``spacing`` voxels apart."""
    from keras import ops

    points = [max(4, int(np.ceil(side / spacing))) for side in shape]
    noise = resize(ops.convert_to_tensor(rng.standard_normal(points, dtype=np.float32)), shape)
    return noise / ops.std(noise)


def uneven_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Noise, float32 ``shape``, white and of unit variance, or partly smooth (`UNEVEN`) and of a variance up to 1.7."""
    from keras import ops

    white = ops.convert_to_tensor(rng.standard_normal(shape, dtype=np.float32))
    if rng.random() >= _OFTEN:
        return white
    share, spacing = rng.uniform(*UNEVEN), rng.uniform(*UNEVEN_MM)
    return white * float(np.sqrt(max(0.2, 1 - share**2 / 2))) + share * smooth_noise(shape, spacing, rng)


def misplaced(labels: Any, rng: np.random.Generator) -> Any:
    """Labels, int32 [x, y, z] at 1 mm, slightly out of place (`MISPLACED`)."""
    from keras import ops

    spread, spacing = rng.uniform(*MISPLACED), rng.uniform(*MISPLACED_MM)
    shape = tuple(labels.shape)
    moved = ops.stack([spread * smooth_noise(shape, spacing, rng) for _ in range(3)], axis=-1)
    return sample_nearest(labels, voxel_grid(shape) + moved)
