"""What a model set says about the work around its networks: the quirks of published models live in these values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from SynthSegPlusLib.inference._fields import Fields
from SynthSegPlusLib.labels import LabelTable

LARGEST_REACH_MM = 10.0
"""A closing of more than this reaches across whole fissures and the base of the skull."""


def refiner_channels(table: LabelTable) -> tuple[int, int]:
    """Channels that the refiner takes (one intensity, twice the posteriors by kind) and answers with (kinds)."""
    kinds = int(table.kinds.max()) + 1
    return 1 + 2 * kinds, kinds


@dataclass(frozen=True)
class Padding:
    """The grid's sides are padded with zeros to a multiple of ``multiple`` voxels, at least ``minimum``."""

    multiple: int = 32
    minimum: int = 128

    @classmethod
    def read(cls, fields: Fields) -> Padding:
        fields.only("multiple", "minimum")
        return cls(fields.whole("multiple", 32, low=1), fields.whole("minimum", 128))


@dataclass(frozen=True)
class Postprocessing:
    """From posteriors to labels.

    Attributes
    ----------
    segmenter_sigma, structure_sigma, parcellation_sigma
        Gaussian smoothing of the posteriors of S, S2 and S3, in voxels of the working grid; 0 for none.
    flip
        Default mode averages the prediction with the one of the mirrored volume: mirrored about the middle of
        the "padded" grid, as the reference does, or of the "scan" (then a mirrored scan gives the mirrored
        result exactly); or "none".
    flip_cascade
        Whether S1 and S2, in the modes of the cascade, and S3 are averaged in the same way. The paper's are not; small
        networks gain from it.
    segmenter_share
        Robust mode: S's share in the mean of S's posteriors and S2's, 0 to 1. The paper's is 0, S2 alone; two small
        networks, trained apart, err less together than either does.
    appearance
        How much a voxel's own intensity says about its label, 0 to 1, where posteriors are brought from a coarser
        working grid to 1 mm: the exponent of the likelihoods in a scan with voxels of 1 mm. The paper's is 0. Where it
        is above 0, fluid that the networks took for hippocampus also goes back to the fluid around.
    refinement
        How much the refiner says, 0 to 1, after the scan's intensities: the exponent of its factors in a scan with
        voxels of 1 mm. 0, as in the paper, for no refiner.
    gaps_mm
        Background in gaps of the brain up to twice this wide becomes CSF, before posteriors are brought from a coarser
        working grid to 1 mm; 0, as in the paper, for none.
    foreground_threshold
        The largest component of voxels whose foreground probability exceeds this is kept.
    tails
        Voxels around it whose foreground probability exceeds this count in the volumes, though they stay background
        (below a foreground's threshold of 0.5), and in default mode posteriors up to the topology's threshold do so
        too. The paper's is the foreground's threshold: nothing around it counts.
    posterior_threshold
        All modes but default: posteriors up to this are removed.
    topology_threshold
        Default mode: each topological class is the largest component of voxels above this.
    components_on
        Default mode: find components on the "padded" grid, as the reference does, or on the "inner" one.
    """

    segmenter_sigma: float = 0.5
    structure_sigma: float = 0.0
    parcellation_sigma: float = 0.5
    flip: Literal["scan", "padded", "none"] = "scan"
    flip_cascade: bool = False
    segmenter_share: float = 0.0
    appearance: float = 0.0
    refinement: float = 0.0
    gaps_mm: float = 0.0
    foreground_threshold: float = 0.25
    tails: float = 0.25
    posterior_threshold: float = 0.2
    topology_threshold: float = 0.25
    components_on: Literal["padded", "inner"] = "inner"

    @classmethod
    def read(cls, fields: Fields) -> Postprocessing:
        own = cls()
        fields.only(*own.__dict__)
        foreground = fields.number("foreground_threshold", own.foreground_threshold, high=1.0)
        return cls(
            fields.number("segmenter_sigma", own.segmenter_sigma),
            fields.number("structure_sigma", own.structure_sigma),
            fields.number("parcellation_sigma", own.parcellation_sigma),
            fields.text("flip", own.flip, ("scan", "padded", "none")),  # type: ignore[arg-type]
            fields.flag("flip_cascade", own.flip_cascade),
            fields.number("segmenter_share", own.segmenter_share, high=1.0),
            fields.number("appearance", own.appearance, high=1.0),
            fields.number("refinement", own.refinement, high=1.0),
            fields.number("gaps_mm", own.gaps_mm, high=LARGEST_REACH_MM),
            foreground,
            fields.number("tails", foreground, high=foreground),
            fields.number("posterior_threshold", own.posterior_threshold, high=1.0),
            fields.number("topology_threshold", own.topology_threshold, high=1.0),
            fields.text("components_on", own.components_on, ("padded", "inner")),  # type: ignore[arg-type]
        )

    @property
    def counts_tails(self) -> bool:
        """Whether posteriors that are too small to decide a label count in volumes."""
        return self.tails < self.foreground_threshold

    @property
    def kept(self) -> float:
        """Foreground probability above which posteriors are kept at all."""
        return min(self.tails, self.foreground_threshold)

    def described(self, averages_segmenter: bool) -> dict[str, float]:
        """What changes structures or volumes where it is not the paper's, as entries of a record.

        averages_segmenter: whether the mode's structures are the mean of S2's and S's.
        """
        paper = Postprocessing()
        names = ["segmenter_share"] if averages_segmenter else []
        names += ["appearance", "refinement", "gaps_mm", "foreground_threshold", "posterior_threshold"]
        found = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(paper, name)}
        return {**found, "tails": self.tails} if self.counts_tails else found


@dataclass(frozen=True)
class Calibration:
    """How a region's score follows from R's and from the posteriors, where no second opinion is asked.

    R sees labels alone; the posteriors know how sure the networks were of them. One number a region, in the order of
    the set's QC regions:

        score = intercept + regressor * (R's score) + confidence * (Dice that the posteriors expect)

    ``confidence`` may be empty: then the posteriors are not asked.
    """

    intercept: tuple[float, ...]
    regressor: tuple[float, ...]
    confidence: tuple[float, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Calibration:
        fields.only("intercept", "regressor", "confidence")
        return cls(*_parts(fields))


@dataclass(frozen=True)
class SecondOpinion:
    """How a region's score follows from R's, from the posteriors, and from how far S agrees with the cascade.

    R sees a segmentation alone and cannot tell one that is plausible but wrong. Two networks seldom make the
    same mistake: where S, asked for a second opinion, finds a region elsewhere, one of the two is
    wrong. As `Calibration`, plus

        agreement * (Dice between S2's region and S's)
    """

    intercept: tuple[float, ...]
    regressor: tuple[float, ...]
    agreement: tuple[float, ...]
    confidence: tuple[float, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> SecondOpinion:
        fields.only("intercept", "regressor", "agreement", "confidence")
        intercept, regressor, confidence = _parts(fields)
        return cls(intercept, regressor, fields.numbers("agreement", 0, 5), confidence)


def _parts(fields: Fields) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    confidence = fields.numbers("confidence", 0, 5) if "confidence" in fields.values else ()
    return fields.numbers("intercept", -5, 5), fields.numbers("regressor", 0, 5), confidence


@dataclass(frozen=True)
class QualityRule:
    """What the regressor R is shown.

    Attributes
    ----------
    grid
        Size of its input, voxels of the working grid.
    ignored_labels
        Label values that do not count for the bounding box that is centred in the grid (beside background).
    ignored_channels
        The same as channel *numbers*. The published models were trained so: their box ignores channel 24
        where label 24 was meant, and their scores depend on it.
    cell
        Side of the cells, in voxels, that R works on. With 1 it sees the region of every voxel, as the published and
        the paper's do; with more the share of each region in every cell, at a small part of the work.
    second_opinion
        How S's segmentation joins in where the cascade's is scored (robust, s1-s2, s1-s2-d); None: R alone, as in the
        paper.
    alone
        How R's scores are calibrated where S is not asked; None: as they are.
    """

    grid: tuple[int, int, int] = (224, 224, 224)
    ignored_labels: tuple[int, ...] = ()
    ignored_channels: tuple[int, ...] = ()
    cell: int = 1
    second_opinion: SecondOpinion | None = None
    alone: Calibration | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Cells of R's input along each axis."""
        return tuple(side // self.cell for side in self.grid)  # type: ignore[return-value]

    @classmethod
    def read(cls, fields: Fields) -> QualityRule:
        fields.only("grid", "ignored_labels", "ignored_channels", "cell", "second_opinion", "alone")
        grid = fields.wholes("grid", 3) if "grid" in fields.values else cls.grid
        cell = fields.whole("cell", 1, low=1)
        if any(side % cell for side in grid):
            raise fields.wrong("cell", f"is {cell} and does not divide the sides of the grid {list(grid)}")
        labels, channels = fields.wholes("ignored_labels"), fields.wholes("ignored_channels")
        known = fields.values
        opinion = SecondOpinion.read(fields.part("second_opinion")) if "second_opinion" in known else None
        alone = Calibration.read(fields.part("alone")) if "alone" in known else None
        return cls(grid, labels, channels, cell, opinion, alone)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ParcelRule:
    """How parcels join the structures.

    "conditional": a voxel's parcel is taken given its hemisphere, and parcels add up to the cortex by
    construction. "published": the reference's rule (hemisphere not forced, volumes scaled to the cortex).
    """

    combination: Literal["conditional", "published"] = "conditional"

    @classmethod
    def read(cls, fields: Fields) -> ParcelRule:
        fields.only("combination")
        return cls(fields.text("combination", "conditional", ("conditional", "published")))  # type: ignore[arg-type]
