"""Every random number of one synthetic scan, drawn before anything is computed: one seed, one scan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from SynthSegPlusLib.synthesis.acquisition import blur_sigma
from SynthSegPlusLib.synthesis.config import Acquisition, Anatomy, GeneratorConfig, Intensity, Range
from SynthSegPlusLib.synthesis.contrasts import MEAN_SPREAD, STD_RANGE, contrast_means, strayed
from SynthSegPlusLib.synthesis.geometry import affine_matrix
from SynthSegPlusLib.synthesis.label_maps import LabelMap, label_space
from SynthSegPlusLib.synthesis.reduction import Reduction

_MAX_SEED = 2**31 - 1
STRAY = 0.15
"""Standard deviation of a structure's own atrophy about that of the brain, in shares of its largest change."""


@dataclass(frozen=True)
class Draw:
    """Parameters of one scan; lengths in mm or voxels of the grid it is made on, as named in the steps that use them.

    ``affine`` maps mm about the crop's centre to mm about ``centre`` (voxels of the label map). ``contrast`` names
    the prior that was used, or is "random". ``view`` is in voxels of the working grid. ``reduction``: how a finer grid
    is brought to the working grid, and the seed of the places whose labels count; None where both are one.
    """

    seed: int
    affine: np.ndarray
    centre: np.ndarray
    elastic: np.ndarray | None
    flip: bool
    ventricles_mm: float
    cortex_mm: float
    lesion_field: np.ndarray | None
    lesion_threshold: float
    hippocampi: tuple[float, float]
    amygdalae: tuple[float, float]
    horns_mm3: tuple[float, float]
    strip_skull: bool
    strip_csf: bool
    contrast: str
    means: np.ndarray
    stds: np.ndarray
    bias: np.ndarray | None
    log_gamma: float
    spacing: tuple[float, ...]
    sigma: tuple[float, ...]
    noise_std: float
    view: tuple[tuple[int, ...], tuple[int, ...]] | None
    noise_seeds: tuple[int, int]
    reduction: tuple[Reduction, int] | None = None


def draw(config: GeneratorConfig, label_map: LabelMap, seed: int | list[int]) -> Draw:
    """Draw the parameters of one scan of ``label_map``; the same seed gives the same parameters."""
    rng = np.random.default_rng(seed)
    deformation, anatomy = config.deformation, config.anatomy
    extent = np.array(config.shape) * config.resolution
    affine = affine_matrix(
        rng.uniform(-1, 1, 3) * deformation.rotation,
        rng.uniform(-1, 1, 6) * deformation.shearing,
        1 + rng.uniform(-1, 1, 3) * deformation.scaling,
        rng.uniform(-1, 1, 3) * deformation.translation,
    )
    centre = _centre(rng, config, label_map, extent)
    elastic_std = rng.uniform(*deformation.elastic_std)
    control = _control_points(extent, deformation.elastic_spacing)
    elastic = rng.normal(0, 1, (*control, 3)) * elastic_std
    flip = rng.random() < deformation.flip
    ventricles = _maybe(rng, anatomy.ventricles, anatomy.ventricles_mm)
    cortex = _maybe(rng, anatomy.cortex, anatomy.cortex_mm)
    lesion_field, lesion_threshold = None, rng.uniform(*anatomy.lesion_threshold)
    if rng.random() < anatomy.lesions:
        lesion_field = rng.normal(0, 1, _control_points(extent, anatomy.lesion_spacing))
    strip_skull, strip_csf = rng.random() < anatomy.strip_skull, rng.random() < anatomy.strip_csf
    contrast, means, stds = draw_mixture(rng, config.intensity)
    bias = None
    if rng.random() < config.intensity.bias:
        points = _control_points(extent, config.intensity.bias_spacing)
        bias = rng.normal(0, 1, points) * rng.uniform(0, config.intensity.bias_std)
    log_gamma = rng.normal(0, 1) * config.intensity.gamma_std
    spacing, sigma = draw_resolution(rng, config.acquisition, config.fine_resolution)
    noise_std = _maybe(rng, config.acquisition.noise_probability, config.acquisition.noise)
    view = _draw_view(rng, config)
    noise_seeds = (int(rng.integers(_MAX_SEED)), int(rng.integers(_MAX_SEED)))
    lost = draw_atrophy(anatomy, seed) or Atrophy(ventricles, cortex, draw_hippocampi(anatomy, seed))
    return Draw(
        seed if isinstance(seed, int) else seed[-1], affine, centre, elastic if elastic_std > 0 else None, flip,
        lost.ventricles_mm, lost.cortex_mm, lesion_field, lesion_threshold, lost.hippocampi,
        draw_amygdalae(anatomy, seed), draw_horns(anatomy, seed), strip_skull, strip_csf, contrast, means, stds, bias,
        log_gamma, spacing, sigma, noise_std, view, noise_seeds, draw_reduction(config, seed),
    )  # fmt: skip


class Atrophy(NamedTuple):
    """How far ventricles grow and the cortex thins (mm), and factors of the hippocampal volumes."""

    ventricles_mm: float
    cortex_mm: float
    hippocampi: tuple[float, float]


def draw_atrophy(config: Anatomy, seed: int | list[int]) -> Atrophy | None:
    """What a brain has lost, or None where it has lost nothing together.

    One severity, uniform in [0, 1], stands behind all of it: who has large ventricles has thin cortex and small
    hippocampi as a rule. Each structure strays from the rule by `STRAY` of its largest change, either hippocampus by
    itself.
    """
    rng = _stream(seed, 5)
    if rng.random() >= config.atrophy:
        return None
    severity = rng.uniform()
    ventricles, cortex, left, right = np.clip(severity + rng.normal(0, STRAY, 4), 0, 1)
    least = config.hippocampi_volume[0]
    return Atrophy(
        float(ventricles * config.ventricles_mm[1]), float(cortex * config.cortex_mm[1]),
        (float(1 - left * (1 - least)), float(1 - right * (1 - least))),
    )  # fmt: skip


def draw_reduction(config: GeneratorConfig, seed: int | list[int]) -> tuple[Reduction, int] | None:
    """How the fine grid is brought to the working grid, and the seed of the places whose labels count; None: not."""
    if config.oversampling == 1:
        return None
    rng = _stream(seed, 6)
    x, y, z = (float(phase) for phase in rng.uniform(-0.5, 0.5, 3))
    return Reduction(config.shape, config.oversampling, (x, y, z)), int(rng.integers(_MAX_SEED))


def draw_hippocampi(config: Anatomy, seed: int | list[int]) -> tuple[float, float]:
    """Factors of the left and right hippocampal volume; 1 where they stay as they are."""
    return _both_sides(config.hippocampi, config.hippocampi_volume, 1.0, seed, 2)


def draw_amygdalae(config: Anatomy, seed: int | list[int]) -> tuple[float, float]:
    """Factors of the left and right amygdala's volume; 1 where they stay as they are."""
    return _both_sides(config.amygdalae, config.amygdalae_volume, 1.0, seed, 3)


def draw_horns(config: Anatomy, seed: int | list[int]) -> tuple[float, float]:
    """Volume (mm3) that the left and the right inferior lateral ventricle gain; 0 where they stay as they are."""
    return _both_sides(config.horns, config.horns_mm3, 0.0, seed, 4)


def _both_sides(
    probability: float, limits: Range, otherwise: float, seed: int | list[int], stream: int
) -> tuple[float, float]:
    """One value a side, the same in half of the scans."""
    rng = _stream(seed, stream)
    if rng.random() >= probability:
        return otherwise, otherwise
    left, right = rng.uniform(*limits, 2)
    return float(left), float(left if rng.random() < 0.5 else right)


def _stream(seed: int | list[int], number: int) -> np.random.Generator:
    """Random numbers of one step alone: the other steps draw what they would draw without it."""
    return np.random.default_rng([*np.atleast_1d(seed), number])


def _maybe(rng: np.random.Generator, probability: float, limits: Range) -> float:
    """A uniform value with a probability, otherwise 0; always uses the same number of random numbers."""
    happens, value = rng.random() < probability, rng.uniform(*limits)
    return float(value) if happens else 0.0


def _control_points(extent: np.ndarray, spacing: float) -> tuple[int, ...]:
    return tuple(max(2, math.ceil(length / spacing)) for length in extent)


def _centre(rng: np.random.Generator, config: GeneratorConfig, label_map: LabelMap, extent: np.ndarray) -> np.ndarray:
    jitter = config.deformation.crop_jitter
    if jitter is not None:
        return label_map.centre + rng.uniform(-1, 1, 3) * jitter
    size = np.array(label_map.index.shape)
    room = np.maximum(size - extent, 0)
    return (size - 1) / 2 + rng.uniform(-0.5, 0.5, 3) * room


def draw_mixture(rng: np.random.Generator, config: Intensity) -> tuple[str, np.ndarray, np.ndarray]:
    """Name of the prior, and mean and std of every generation label (float64 [54])."""
    space = label_space()
    count = int(space.classes.max()) + 1
    own = np.minimum(np.arange(len(space.values)), space.partner)  # one draw for a label and its partner
    if config.contrasts and rng.random() < config.contrast:
        name = config.contrasts[int(rng.integers(len(config.contrasts)))]
        means = contrast_means(name) + strayed(rng.normal(0, MEAN_SPREAD, len(own))[own], config.fluid_alike)
        return name, np.maximum(means, 0.0), rng.uniform(*STD_RANGE, len(own))[own]
    means = np.maximum(rng.uniform(*config.mean, count), 0.0)
    stds = np.maximum(rng.uniform(*config.std, count), 0.0)
    chance = rng.random()
    if chance < config.zero_background:
        means[0] = stds[0] = 0.0
    elif chance < config.zero_background + config.dark_background:
        means[0], stds[0] = rng.uniform(0, 15), rng.uniform(0, 5)
    classes = space.classes[own] if rng.random() < config.tie_sides else space.classes
    return "random", means[classes], stds[classes]


def draw_resolution(
    rng: np.random.Generator, config: Acquisition, working: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Slice spacing (mm) and blur sigma (voxels of ``working`` mm, of the grid a scan is made on) of each axis."""
    finest = max(working, 1.0)
    spacing = np.full(3, finest)
    chance = rng.random()
    if chance < config.full:
        pass
    elif chance < config.full + config.isotropic:
        drawn = rng.uniform(finest, max(config.max_isotropic, finest), 3)
        spacing = np.full(3, drawn[0]) if config.truly_isotropic else drawn
    else:
        spacing[int(rng.integers(3))] = rng.uniform(finest, max(config.max_anisotropic, finest))
    thickness = rng.uniform(finest, spacing)
    jitter = rng.uniform(1 / config.blur_jitter, config.blur_jitter, 3)
    sigma = tuple(blur_sigma(s, t, working, j) for s, t, j in zip(spacing, thickness, jitter, strict=True))
    return tuple(map(float, spacing)), sigma


def _draw_view(rng: np.random.Generator, config: GeneratorConfig) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Box of voxels that the scan covers: one side of one axis is cut by at most the configured share."""
    happens, axis, side = rng.random() < config.acquisition.partial_view, int(rng.integers(3)), rng.random() < 0.5
    cut = round(rng.uniform(0, config.acquisition.partial_view_share) * config.shape[axis])
    if not happens or cut == 0:
        return None
    low, high = [0, 0, 0], list(config.shape)
    if side:
        low[axis] = cut
    else:
        high[axis] -= cut
    return tuple(low), tuple(high)
