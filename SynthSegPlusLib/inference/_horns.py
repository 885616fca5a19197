"""Fluid beside a shrunken hippocampus that a coarse network took for hippocampus.

Networks know how large a hippocampus usually is, and where one is much smaller they give it part of the horn that took
its place. The scan may show the border: what the lateral ventricles look like in it is known, so what of a
hippocampus looks like them, over more than single voxels, is fluid. Where the scan does not show it, the size of the
ventricles tells how much is (`_expected`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from SynthSegPlusLib.inference._appearance import CSF, HORNS, VENTRICLES
from SynthSegPlusLib.inference._expected import HIPPOCAMPI, expected_ratio, is_wide, widen_horns
from SynthSegPlusLib.labels import LabelTable

AMYGDALAE = (18, 54)
LEAST_DISTANCE = 2.5
"""Fluid and tissue must lie this many standard deviations apart, or the scan is not asked. With less, bias that is left
over or an uneven hippocampus passes for fluid."""
UNSEEN_DISTANCE = 1.5
"""With less than this the scan does not show the border. Between the two it may: a real T1 has 1.9, whose ventricles
hold choroid plexus and partial volume."""

_SURE, _SURE_HORN = 0.9, 0.8  # posteriors of voxels from which ventricles and tissue are learnt, and horns
_FEWEST = 40  # samples, below which there is nothing to learn from
_ROUNDS = 10
_SAME_FLUID = 0.4  # how far the horns' fluid may lie from the ventricles', of the way to tissue
_SAME_TISSUE = 0.5  # standard deviations from tissue, up to which the insides of horns look like it
_WEIGHT = 40.0  # samples that the ventricles' count as when the horns' fluid is looked at
_REACH_MM = 2.0  # of the Gaussian over which evidence is gathered
_AROUND_MM = 6.0  # how far the fluid may be that it is (two standard deviations)
_CLEAR = 3.0  # standard deviations at which a sample and what is around it are heard alike
_PLAIN = 0.3  # share of a voxel by which hippocampus and fluid together are too much; less is left to the networks
_MOST = 2 / 3
"""Of a hippocampus that may be fluid. Even a badly shrunken one keeps more than the rest of what networks take for it,
so where more looks like fluid, hippocampus and fluid happen to look alike."""
_TRACE = 1e-6
_BELIEVED = (-0.5, 1.5)  # normalised intensities; beyond lie metal and broken voxels
_LEAST_STD = 0.02  # of normalised intensities


class Border(NamedTuple):
    """What became of the border between hippocampi and horns.

    moved: whether posteriors moved by more than a voxel of one side. seen: whether the scan shows it on both sides;
    None where that is not known, and nothing was put in its place. horns_alike: whether the horns' fluid looks like
    the ventricles'.
    """

    moved: bool = False
    seen: bool | None = None
    horns_alike: bool = True


def return_fluid(intensities: np.ndarray, posteriors: np.ndarray, table: LabelTable, voxel_mm: float) -> Border:
    """Move posteriors of hippocampi to the fluid that is nearest, in place, where the scan shows fluid.

    intensities: float32 [n, X, Y, Z], n samples of the scan in each voxel, without bias field, the brain's range being
    0 to 1. posteriors: float32 [X, Y, Z, C] of the channels of ``table`` on a grid of ``voxel_mm``. The fluid is the
    horn of the same side or the CSF about the brain, as much of either as there is nearby. A hippocampus that would
    lose nearly all of itself stays as it is. Where the scan does not show which is fluid, the horns become as large
    as the ventricles let expect (`widen_horns`); so they do where they should be wide and yet look like tissue
    inside, for then their fluid does not look like the ventricles' (flow does that, or a scan that was made so).
    """
    look = _looks(intensities, posteriors, table)
    if look is None:
        return Border()
    expected = expected_ratio(posteriors, table)
    if not look.distance >= LEAST_DISTANCE:  # nor where it is no number
        moved = widen_horns(posteriors, table, expected)
        return Border(moved, None if look.distance >= UNSEEN_DISTANCE and not moved else False)
    if look.horns_like_tissue and is_wide(expected):
        return Border(widen_horns(posteriors, table, expected), False, horns_alike=False)
    moved, seen = False, True
    for side in zip(HIPPOCAMPI, HORNS, VENTRICLES, strict=True):
        own, horn, ventricle = table.channels(side)
        box = _box(posteriors[..., own] > _PLAIN, round(3 * _AROUND_MM / voxel_mm))
        if box is None:
            continue
        part = posteriors[box]
        fluid = look.is_fluid(intensities[(slice(None), *box)], part[..., own] + part[..., horn], _REACH_MM / voxel_mm)
        excess = part[..., own] - (1 - fluid)  # a voxel half of fluid may be half hippocampus
        given = np.where(excess > _PLAIN, excess, 0)
        if given.sum() > _MOST * part[..., own].sum():
            seen = False
            continue
        part[..., own] -= given
        inner: np.ndarray | float = 1.0
        if CSF in table:
            csf = table.channel(CSF)
            inner = _share(part[..., horn] + part[..., ventricle], part[..., csf], _AROUND_MM / 2 / voxel_mm)
            part[..., csf] += given * (1 - inner)
        part[..., horn] += given * inner
        moved = moved or bool(given.sum() > 1)
    return Border(moved, seen)


def _share(one: np.ndarray, other: np.ndarray, sigma: float) -> np.ndarray:
    """Of ``one`` in both, within a Gaussian of ``sigma`` voxels; all where there is hardly any of either."""
    near, else_near = gaussian_filter(one, sigma), gaussian_filter(other, sigma)
    return (near + _TRACE) / (near + else_near + _TRACE)


class _Looks:
    """Intensities of fluid and of tissue, normalised, and the standard deviation of either.

    horn: that of the insides of the horns themselves, or None where they have too few to tell.
    """

    def __init__(self, fluid: float, tissue: float, std: float, horn: float | None = None) -> None:
        self.fluid, self.tissue, self.std, self.horn = fluid, tissue, std, horn

    @property
    def distance(self) -> float:
        """Of fluid from tissue, in standard deviations."""
        return abs(self.fluid - self.tissue) / self.std

    @property
    def horns_like_tissue(self) -> bool:
        """Whether the insides of the horns look like tissue. Thin horns may, whose voxels hold some of it."""
        return self.horn is not None and abs(self.horn - self.tissue) < _SAME_TISSUE * self.std

    def is_fluid(self, intensities: np.ndarray, members: np.ndarray, sigma: float) -> np.ndarray:
        """Share of fluid in each voxel, float32 [X, Y, Z], of samples [n, X, Y, Z].

        A sample speaks for itself, and for it speaks what lies around it in hippocampus and horn (``members``, a weight
        [X, Y, Z]; a Gaussian of ``sigma`` voxels), the more, the less a single sample can tell.
        """
        evidence = self._evidence(intensities)
        around = gaussian_filter(evidence.mean(axis=0) * members, sigma)
        around /= np.maximum(gaussian_filter(members, sigma), 1e-3)
        return expit(evidence + (_CLEAR / self.distance) ** 2 * around).mean(axis=0).astype(np.float32)

    def _evidence(self, intensities: np.ndarray) -> np.ndarray:
        """Log-likelihood of fluid minus that of tissue, like the samples.

        What lies beyond either counts as this one and no more: a vessel is not surer fluid than fluid.
        """
        seen = np.clip(intensities, min(self.fluid, self.tissue), max(self.fluid, self.tissue))
        return ((seen - self.tissue) ** 2 - (seen - self.fluid) ** 2) / (2 * self.std**2)


def _looks(intensities: np.ndarray, posteriors: np.ndarray, table: LabelTable) -> _Looks | None:
    """What fluid and tissue look like, or None where there is nothing to learn it from.

    What the networks took for horns, hippocampi and amygdalae is a mixture of both: two Gaussians, which begin as what
    ventricles and amygdalae look like. The horns' fluid differs from the ventricles' by flow, bias and partial volume.
    """

    def samples(labels: tuple[int, ...], least: float = _SURE) -> np.ndarray:
        sure = posteriors[..., table.channels(labels)].sum(axis=-1) > least
        return intensities[:, sure].ravel()

    ventricles, amygdalae = samples(VENTRICLES), samples(AMYGDALAE)
    mixed = np.clip(samples(HIPPOCAMPI + AMYGDALAE + HORNS), *_BELIEVED)
    if min(len(ventricles), len(amygdalae)) < _FEWEST:
        return None
    middle, spread = _robust(ventricles)
    fluid, tissue, std, share = middle, float(np.median(amygdalae)), spread, 0.3
    farthest = _SAME_FLUID * abs(tissue - middle)
    for _ in range(_ROUNDS):
        wet = share / spread * np.exp(-0.5 * ((mixed - fluid) / spread) ** 2) + 1e-12
        dry = (1 - share) / std * np.exp(-0.5 * ((mixed - tissue) / std) ** 2) + 1e-12
        dry /= wet + dry
        if dry.sum() < _FEWEST:
            return None
        share = float(np.clip(1 - dry.mean(), 0.01, 0.9))
        tissue = float(np.average(mixed, weights=dry))
        std = max(float(np.sqrt(np.average((mixed - tissue) ** 2, weights=dry))), _LEAST_STD)
        own = ((1 - dry) @ mixed + _WEIGHT * middle) / ((1 - dry).sum() + _WEIGHT)
        fluid = float(np.clip(own, middle - farthest, middle + farthest))
    horns = samples(HORNS, _SURE_HORN)
    own_look = float(np.median(horns)) if len(horns) >= _FEWEST else None
    return _Looks(fluid, tissue, float(np.sqrt((std**2 + spread**2) / 2)), own_look)


def _robust(values: np.ndarray) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, max(1.4826 * float(np.median(np.abs(values - middle))), _LEAST_STD)


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice, slice] | None:
    found = np.argwhere(mask)
    if not len(found):
        return None
    low, high = np.maximum(found.min(axis=0) - margin, 0), found.max(axis=0) + margin + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))  # type: ignore[return-value]
