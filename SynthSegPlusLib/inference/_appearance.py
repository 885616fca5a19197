"""What the structures look like in one scan, and what a voxel's own intensity says about its label.

Networks that work on a coarse grid know where structures lie, but not on which side of a border a voxel of the finer
output grid is. The scan does: the posteriors tell which intensities each structure has in it, whatever its contrast,
and Bayes' rule gives each voxel the labels that its intensity fits. This is the mixture model of Van Leemput et al.
(IEEE Transactions on Medical Imaging 18, 1999; the bias field after Wells et al., 15, 1996), with the networks'
posteriors in the place of an atlas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from SynthSegPlusLib.labels import LabelTable

CSF = 24
VENTRICLES, HORNS = (4, 43), (5, 44)
"""Lateral ventricles and their inferior horns, left and right."""
ITERATIONS = 5
"""Rounds. They are not run to an end: see `Appearance.bias`."""
SEVERAL = 3
"""Gaussians of the background and of the CSF about the brain, each of which is more than one thing."""
FIELD_MM = 30.0
"""Standard deviation of the Gaussian that makes the bias field smooth."""
CERTAIN = 0.9999
"""Voxels that are background with at least this posterior stay so."""
ALIKE = 0.6
"""How alike the structures' spreads are taken to be, 0 to 1. A real scan's noise is the same everywhere; what spreads
fluid more than white matter is mostly voxels that hold some of either, and taken for its own they would move its border
outwards."""
CORE = 2
"""Voxels count for a structure's mean by its posterior to this power, beside what the mixture makes of them. At borders
the networks may be wrong, and a thin structure is mostly border: fluid would come to look like what is around it."""
APART = 1.5
"""Standard deviations between the insides of a structure on the two sides from which on it is taken to look different
there. Sides look alike, but where one is diseased, or a scan is made so; five real scans have at most 1.3."""
RANGE = (0.5, 99.5)
"""Percentiles of the brain's intensities that become 0 and 1."""

_BACKGROUND = 0.99  # voxels that are this surely background have nothing to tell about the others
_PRIOR_VOXELS = 100.0  # a variance counts as if this many voxels of _PRIOR_SHARE of the variance of all had been seen
_PRIOR_SHARE = 0.05
_LEAST_VARIANCE = 4e-4
_FEWEST = 20.0  # samples of the inside of each side, below which sides are not compared
_PRIOR_WEIGHT = 10.0  # voxels that each of several Gaussians of one class counts as having
_OUTLIER = 0.05  # density, per unit of intensity, of what no structure explains
_LOWEST, _HIGHEST, _LEVELS = -0.75, 1.75, 1251  # normalised intensities of the table of likelihoods
_BELIEVED = (-4.0, 5.0)  # beyond lie metal and broken voxels, which must not decide what the rest looks like
_BLOCK = 2  # voxels a side of the cells of the bias field
_PIECE = 8192


@dataclass(frozen=True)
class Appearance:
    """How well every intensity fits every channel, in one scan.

    factors: float32 [levels, channels], likelihoods to the power of the strength. bias: what the bias field adds to
    normalised intensities, float32 [X, Y, Z] on the working grid. low, width: intensities (I - low) / width are
    normalised.

    The field has a constant part: voxels differ from the insides of their structures on average, every round adds that
    difference, and the means follow one round later. All voxels are thus read as moved by one round's difference, which
    is mostly that of white matter's border.
    """

    factors: np.ndarray
    bias: np.ndarray
    low: float
    width: float

    def normalised(self, intensities: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
        """Intensities float [n, X, Y, Z] of the working grid without the bias field; of another, [...] with the field
        ``bias`` there.

        The brain's range is 0 to 1, but for the constant part of the field.
        """
        return (intensities - self.low) / self.width - (self.bias if bias is None else bias)

    def update(self, posteriors: np.ndarray, intensities: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Posteriors float32 [..., C] after Bayes' rule, a new array.

        intensities: of the scan, float [...]; bias: the field there, float [...]. What is surely background stays.
        """
        inside = np.flatnonzero(posteriors[..., 0] < CERTAIN)
        out = np.array(posteriors)
        flat = out.reshape(-1, out.shape[-1])
        seen = (intensities.reshape(-1)[inside] - self.low) / self.width - bias.reshape(-1)[inside]
        rows = flat[inside] * self.factors[_level(seen)]
        total = rows.sum(axis=1, keepdims=True)
        flat[inside] = np.divide(rows, total, out=rows, where=total > 0)  # padding has no posteriors at all
        return out


def fit_appearance(
    intensities: np.ndarray, posteriors: np.ndarray, table: LabelTable, strength: float, voxel_mm: float,
    compare_sides: bool = True, horns_alike: bool = True,
) -> Appearance | None:
    """Fit by expectation and maximisation, with means of the insides (`CORE`).

    None where there is no brain, or nothing to see in it.

    intensities: float32 [n, X, Y, Z], n samples of the scan in each voxel of the working grid. posteriors: float32
    [X, Y, Z, C] of the channels of ``table``, whose sides share their appearance; where some of them turn out to look
    different, all is fitted a second time, if ``compare_sides``. strength: exponent of the likelihoods, above 0 and up
    to 1 (`_slices.strength_in`). voxel_mm: of the working grid. horns_alike: whether horns look like lateral
    ventricles.
    """
    scale = _range_of(intensities, posteriors)
    if scale is None:
        return None
    samples = _Samples(intensities, posteriors, *scale, voxel_mm)
    classes = appearance_classes(table, (), horns_alike)
    mixture, bias = _fit(samples, classes, table, strength)
    apart = _sides_apart(samples, bias, table) if compare_sides else []
    if apart:
        classes = appearance_classes(table, apart, horns_alike)
        mixture, bias = _fit(samples, classes, table, strength)
    factors = (mixture.likelihoods()[1] + _OUTLIER) ** strength
    return Appearance(factors[:, classes].astype(np.float32), bias, *scale)


def appearance_classes(
    table: LabelTable, apart: Collection[int] = (), horns_alike: bool = True
) -> np.ndarray:
    """Class of every channel, int [C]: a structure looks alike on both sides, and a lateral ventricle like its horn.

    The two hold one fluid; a horn is so thin that its own voxels would not tell. apart: channels of structures that
    look different on their two sides; each of them is a class of its own. horns_alike: False where horns are known to
    look otherwise than ventricles.
    """
    own = np.arange(len(table))
    first = np.where(np.isin(own, list(apart)), own, np.minimum(own, table.partners))
    if horns_alike and all(label in table for label in VENTRICLES + HORNS):
        first[table.channels(HORNS)] = first[table.channels(VENTRICLES)]
    return np.unique(first, return_inverse=True)[1]


def _fit(
    samples: _Samples, classes: np.ndarray, table: LabelTable, strength: float
) -> tuple[_Mixture, np.ndarray]:
    """The mixture of the classes [C], and the bias field float32 [X, Y, Z]."""
    prior, seen, grid = samples.prior(classes), samples.seen, samples.grid
    several = (classes[0], classes[table.channel(CSF)]) if CSF in table else (classes[0],)
    mixture = _Mixture.start(seen, prior, *several)
    bias = np.zeros(grid.shape, np.float32)
    for _ in range(ITERATIONS):
        shown = seen - grid.at(bias)
        shares = mixture.shares(shown, prior, strength)
        mixture = mixture.refit(shown, shares, prior)
        bias = grid.smooth(*mixture.residual(seen, shares))
    return mixture, bias


def _sides_apart(samples: _Samples, bias: np.ndarray, table: LabelTable) -> list[int]:
    """Channels of the structures whose insides lie further from each other than `APART` on the two sides."""
    shown = samples.seen - samples.grid.at(bias)
    own = np.arange(len(table))
    horns = table.channels(HORNS).tolist() if all(label in table for label in VENTRICLES + HORNS) else []
    found: list[int] = []
    for channel in own[(table.partners > own) & ~np.isin(own, horns)]:  # of horns little is seen
        pair = [int(channel), int(table.partners[channel])]
        inside = samples.prior_of(pair) ** (1 + CORE)
        weight = inside.sum(axis=0, dtype=np.float64)
        if weight.min() < _FEWEST:
            continue
        mean = shown @ inside / weight
        variance = np.maximum(shown**2 @ inside / weight - mean**2, _LEAST_VARIANCE)
        if abs(mean[0] - mean[1]) > APART * np.sqrt(variance.mean()):
            found += pair
    return found


def _range_of(intensities: np.ndarray, posteriors: np.ndarray) -> tuple[float, float] | None:
    brain = posteriors[..., 1:].sum(axis=-1) > 0.5
    if not brain.any():
        return None
    low, high = np.percentile(intensities[:, brain], RANGE)
    return (float(low), float(high - low)) if high > low else None


def _level(values: np.ndarray) -> np.ndarray:
    """Number of the level, int32, of normalised intensities."""
    step = (_HIGHEST - _LOWEST) / (_LEVELS - 1)
    return np.clip(np.round((values - _LOWEST) / step), 0, _LEVELS - 1).astype(np.int32)


@dataclass(frozen=True)
class _Mixture:
    """Gaussians of normalised intensities; ``owner`` [n] is the class of each, ``weight`` [n] its part of it."""

    owner: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    weight: np.ndarray
    prior_variance: float
    mixed: tuple[int, ...]

    @classmethod
    def start(cls, seen: np.ndarray, prior: np.ndarray, *mixed: int) -> _Mixture:
        """From the priors [n, classes] alone; the Gaussians of a ``mixed`` class begin at its quantiles."""
        owner = np.repeat(np.arange(prior.shape[1]), [SEVERAL if k in mixed else 1 for k in range(prior.shape[1])])
        spread = float(seen.var())
        weight, mean, variance = np.ones(len(owner)), np.zeros(len(owner)), np.full(len(owner), spread / 4)
        order = np.argsort(seen)
        total = prior.sum(axis=0, dtype=np.float64)
        moments = [prior.T @ seen, prior.T @ seen**2]
        for number in range(prior.shape[1]):
            own = np.flatnonzero(owner == number)
            if number in mixed:
                amount = np.cumsum(prior[order, number], dtype=np.float64)
                quantiles = (np.arange(SEVERAL) + 0.5) / SEVERAL * amount[-1]
                mean[own] = seen[order[np.minimum(np.searchsorted(amount, quantiles), len(seen) - 1)]]
                weight[own] = 1 / SEVERAL
            elif total[number] > 0:
                mean[own] = moments[0][number] / total[number]
                squares = moments[1][number] / total[number] - mean[own] ** 2
                variance[own] = _variance(squares, total[number], _PRIOR_SHARE * spread)
        begun = cls(owner, mean, variance, weight, _PRIOR_SHARE * spread, mixed)
        return replace(begun, variance=begun.more_alike(variance, total[owner]))

    def likelihoods(self) -> tuple[np.ndarray, np.ndarray]:
        """Density at every level of the Gaussians [levels, n], and of the classes [levels, classes]."""
        levels = np.linspace(_LOWEST, _HIGHEST, _LEVELS)[:, None]
        distance = (levels - self.mean) ** 2 / self.variance
        own = self.weight * np.exp(-0.5 * distance) / np.sqrt(2 * np.pi * self.variance)
        return own, own @ np.eye(self.owner.max() + 1)[self.owner]

    def shares(self, shown: np.ndarray, prior: np.ndarray, strength: float) -> np.ndarray:
        """Posterior of every Gaussian in every voxel, float32 [voxels, n]."""
        own, of_class = self.likelihoods()
        of_class = of_class + _OUTLIER
        factor = (of_class**strength).astype(np.float32)
        part = (own / of_class[:, self.owner]).astype(np.float32)  # the rest is what no Gaussian explains
        found = np.empty((len(shown), len(self.owner)), np.float32)
        for some in _pieces(len(shown)):
            levels = _level(shown[some])
            product = prior[some] * factor[levels]
            product /= product.sum(axis=1, keepdims=True)
            np.multiply(product[:, self.owner], part[levels], out=found[some])
        return found

    def refit(self, shown: np.ndarray, shares: np.ndarray, prior: np.ndarray) -> _Mixture:
        """Means, variances and weights of what each Gaussian has; means by where the ``prior`` is sure of its class."""
        total = shares.sum(axis=0, dtype=np.float64)
        some = total > 1e-6
        safe = np.where(some, total, 1.0)
        plain = np.where(some, shares.T @ shown / safe, self.mean)
        squares = np.maximum(shares.T @ shown**2 / safe - plain**2, 0.0)  # of all voxels: the border is a part of it
        mean = np.where(some, self._core_means(shown, shares, prior, plain), plain)
        variance = np.where(some, _variance(squares, total, self.prior_variance), self.variance)
        weight = self.weight.copy()
        for number in self.mixed:
            own = self.owner == number
            weight[own] = (total[own] + _PRIOR_WEIGHT) / (total[own] + _PRIOR_WEIGHT).sum()
        return replace(self, mean=mean, variance=self.more_alike(variance, total), weight=weight)

    def _core_means(
        self, shown: np.ndarray, shares: np.ndarray, prior: np.ndarray, otherwise: np.ndarray
    ) -> np.ndarray:
        """Means [n] in which voxels count by `CORE`; ``otherwise`` [n] for classes of several Gaussians, which have no
        inside of their own, and where a class is nowhere.
        """
        sums, weights = np.zeros((2, len(self.owner)))
        for some in _pieces(len(shown)):
            counted = shares[some] * prior[some][:, self.owner] ** CORE
            sums += shown[some] @ counted
            weights += counted.sum(axis=0, dtype=np.float64)
        has = ~np.isin(self.owner, self.mixed) & (weights > 1e-9)
        return np.where(has, sums / np.where(has, weights, 1.0), otherwise)

    def more_alike(self, variance: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Variances [n] drawn towards their mean (`ALIKE`, on a scale of ratios), weighted by the voxels ``total`` [n].

        Those of classes of several Gaussians stay.
        """
        own = ~np.isin(self.owner, self.mixed) & (total > 0)
        if not own.any():
            return variance
        shared = np.average(variance[own], weights=total[own])
        return np.where(own, variance ** (1 - ALIKE) * shared**ALIKE, variance)

    def residual(self, seen: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per voxel, how far it is from what its structures look like, and how surely: sums of precision-weighted
        differences, and of precisions. Background and CSF, which look like many things, have no say.
        """
        precision = np.where(np.isin(self.owner, self.mixed), 0.0, 1 / self.variance)
        sums = shares @ np.stack([precision, precision * self.mean], axis=1).astype(np.float32)
        return sums[:, 0] * seen - sums[:, 1], sums[:, 0]


def _pieces(count: int) -> Iterator[slice]:
    """Slices of so many voxels that what is made of them stays in the processor's cache."""
    return (slice(start, start + _PIECE) for start in range(0, count, _PIECE))


def _variance(squares: np.ndarray, count: np.ndarray, expected: float) -> np.ndarray:
    pooled = (count * squares + _PRIOR_VOXELS * expected) / (count + _PRIOR_VOXELS)
    return np.maximum(pooled, _LEAST_VARIANCE)


class _Samples:
    """The voxels of the working grid that have something to tell: normalised intensities ``seen`` [voxels], n samples
    of each voxel one after the other, and the networks' posteriors there.
    """

    def __init__(
        self, intensities: np.ndarray, posteriors: np.ndarray, low: float, width: float, voxel_mm: float
    ) -> None:
        told = posteriors.sum(axis=-1) > 0.5  # padding has no posteriors
        inside = np.flatnonzero((posteriors[..., 0] < _BACKGROUND) & told)
        seen = np.concatenate([(sample.reshape(-1)[inside] - low) / width for sample in intensities])
        self.seen = np.clip(seen, *_BELIEVED)
        self.grid = _Grid(posteriors.shape[:3], inside, len(intensities), voxel_mm)
        self._posteriors, self._inside = posteriors.reshape(-1, posteriors.shape[-1]), inside
        self._count = len(intensities)

    def prior(self, classes: np.ndarray) -> np.ndarray:
        """Posteriors of classes, float32 [voxels, classes]; ``classes`` [C] is the class of every channel."""
        of_class = np.eye(classes.max() + 1, dtype=np.float32)[classes]
        return np.tile(self._posteriors[self._inside] @ of_class, (self._count, 1))

    def prior_of(self, channels: Sequence[int]) -> np.ndarray:
        """Posteriors of channels, float32 [voxels, channels]."""
        return np.tile(self._posteriors[self._inside[:, None], np.asarray(channels)], (self._count, 1))


class _Grid:
    """Where the voxels of a fit lie: ``inside`` numbers them in a grid, ``samples`` times over."""

    def __init__(self, shape: tuple[int, ...], inside: np.ndarray, samples: int, voxel_mm: float) -> None:
        self.shape, self._inside, self._samples = shape, inside, samples
        self._sigma = FIELD_MM / (voxel_mm * _BLOCK)

    def at(self, field: np.ndarray) -> np.ndarray:
        """A field [X, Y, Z] at the voxels of the fit."""
        return np.tile(field.reshape(-1)[self._inside], self._samples)

    def smooth(self, difference: np.ndarray, sure: np.ndarray) -> np.ndarray:
        """The smooth field float32 [X, Y, Z] nearest to differences, each as sure as it is; 0 far from all."""
        above, below = self._blurred(difference), self._blurred(sure)
        field = above / (below + 1e-3 * below.max() + np.finfo(np.float32).tiny)
        for axis, side in enumerate(self.shape):
            field = np.repeat(field, _BLOCK, axis=axis).take(np.arange(side), axis=axis)
        return field.astype(np.float32)

    def _blurred(self, values: np.ndarray) -> np.ndarray:
        total = np.zeros([-(-side // _BLOCK) * _BLOCK for side in self.shape], np.float32)
        whole = np.zeros(int(np.prod(self.shape)), np.float32)
        whole[self._inside] = values.reshape(self._samples, -1).sum(axis=0)
        total[tuple(slice(0, side) for side in self.shape)] = whole.reshape(self.shape)
        x, y, z = (side // _BLOCK for side in total.shape)
        blocks = total.reshape(x, _BLOCK, y, _BLOCK, z, _BLOCK).sum(axis=(1, 3, 5))
        return gaussian_filter(blocks, self._sigma, mode="constant", truncate=3.0)
