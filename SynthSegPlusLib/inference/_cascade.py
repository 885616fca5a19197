"""The chain of networks: from a conformed scan to posteriors of the structures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from SynthSegPlusLib.contract import MemoryShortage, SegmentOptions
from SynthSegPlusLib.inference._gaps import fill_gaps
from SynthSegPlusLib.inference._pool import NetworkPool
from SynthSegPlusLib.inference._progress import Stages
from SynthSegPlusLib.inference._smoothing import Slabs, smooth_slabs
from SynthSegPlusLib.inference._soft import SoftLabels
from SynthSegPlusLib.inference._to_output import Coarse, WayToOutput, new_confidence
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.inference.quality import RegionConfidence
from SynthSegPlusLib.labels import LabelTable, structures
from SynthSegPlusLib.networks import Inputs
from SynthSegPlusLib.volume import Conformed

LEAK = 1e-6
"""What is left of a posterior whose structure is not of the corrected tissue (modes s-d and s1-s2-d): it decides
only where the corrected tissue has no structure at all."""

SINGLE = ("default", "fast", "s-d")
"""Modes whose structures are S's."""

STAGE_TITLES = {
    "segmenter": "Segmentation (S)",
    "tissue": "Tissues (S1)",
    "denoiser": "Denoising (D)",
    "structure": "Structures (S2)",
    "parcellation": "Parcellation (S3)",
    "second opinion": "Second opinion (S)",
    "quality": "Quality control (R)",
}
POSTPROCESSING = "Postprocessing"


@dataclass
class Segmented:
    """What the cascade found.

    soft: final posteriors, on the padded working grid when that has 1 mm, else on the output grid. channels: argmax
    of the networks' own posteriors, uint8 [X, Y, Z] on the padded working grid, before any postprocessing: what S3
    and R look at. corrected: tissue groups of D on the same grid, or None. opinions: where S's and S2's posteriors were
    averaged, the argmax of either alone (S2's, S's), like channels. confidence: Dice of the QC regions that the
    posteriors expect (those at 1 mm where the scan's intensities had a say, and those before D where it corrected
    them), float64 [regions], where the set's scores are made of it. border_seen: whether the scan shows where
    hippocampi end and horns begin, or None where it was not asked.
    """

    soft: SoftLabels
    channels: np.ndarray
    corrected: np.ndarray | None
    opinions: tuple[np.ndarray, np.ndarray] | None = None
    confidence: np.ndarray | None = None
    border_seen: bool | None = None


class Cascade:
    """Runs the networks of one mode on one scan."""

    def __init__(
        self, model_set: ModelSet, options: SegmentOptions, conformed: Conformed, pool: NetworkPool, stages: Stages
    ):
        self.model_set = model_set
        self.options = options
        self.conformed = conformed
        self.pool = pool
        self.stages = stages
        self.rules = model_set.postprocessing
        self.table: LabelTable = structures(options.label_version)
        self._channels = np.zeros(conformed.image.shape, np.uint8)
        self._opinions: tuple[np.ndarray, np.ndarray] | None = None
        self._confidence: RegionConfidence | None = None
        self._border_seen: bool | None = None

    def run(self) -> Segmented:
        """Run the mode; raises `Cancelled`, `ModelError` or `MemoryShortage`."""
        found, corrected = self._networks()
        with self.stages.stage(POSTPROCESSING):
            soft = self._to_output(found)
            del found  # a coarser grid's posteriors are of no more use
            self._postprocess(soft)
        confidence = None if self._confidence is None else self._confidence.scores()
        return Segmented(soft, self._channels, corrected, self._opinions, confidence, self._border_seen)

    def coarse(self) -> tuple[Conformed, np.ndarray]:
        """The scan, and the networks' posteriors on a working grid coarser than 1 mm, gaps filled (`fill_gaps`)."""
        found, _ = self._networks()
        assert isinstance(found, Coarse)
        fill_gaps(
            found.posteriors[self.conformed.inner], self.table, self.rules.gaps_mm, self.conformed.resolution_mm
        )
        return self.conformed, found.posteriors

    def _networks(self) -> tuple[SoftLabels | Coarse, np.ndarray | None]:
        """What the mode's networks found, and D's tissue groups."""
        mode = self.options.mode
        return self._single(mode) if mode in SINGLE else self._cascaded(mode)

    # Networks ------------------------------------------------------------------------------------------------

    def second_opinion(self) -> np.ndarray:
        """What S makes of the scan: channel map, uint8 [X, Y, Z] on the padded working grid."""
        with self.stages.stage(STAGE_TITLES["second opinion"]):
            return self._argmax("segmenter", Inputs(image=self.conformed.image))

    def _single(self, mode: str) -> tuple[SoftLabels | Coarse, np.ndarray | None]:
        role = self.model_set.segmenter_role(self.options.label_version)
        inputs, sigma = Inputs(image=self.conformed.image), self.rules.segmenter_sigma
        averages = mode == "default" and self.rules.flip != "none"
        with self.stages.stage(STAGE_TITLES["segmenter"]):
            if averages:
                return self._gather(role, lambda net: self.averaged(net, self.table.partners, sigma)), None
            if mode != "s-d":
                return self._gather(role, lambda net: self._smoothed(net, inputs, sigma)), None
            dense = self.pool.run(role, lambda net: self._dense(self._smoothed(net, inputs, sigma)))
        return self._correct(dense)

    def _cascaded(self, mode: str) -> tuple[SoftLabels | Coarse, np.ndarray | None]:
        image, n_tissues = self.conformed.image, len(self.model_set.tissues)
        with self.stages.stage(STAGE_TITLES["tissue"]):
            groups = self._tissue_groups(n_tissues)
        corrected = self._denoise(groups) if mode == "robust" else None
        groups = groups if corrected is None else corrected
        inputs = Inputs(image=image, groups=groups, n_groups=n_tissues)
        sigma = self.rules.structure_sigma
        single = self._segmenter_posteriors() if self.model_set.averages_segmenter(mode) else None

        def structures_of(net: Any) -> Slabs:
            if self.flips_cascade:
                slabs = self.averaged(net, self.table.partners, sigma, groups, n_tissues)
            else:
                slabs = self._smoothed(net, inputs, sigma)
            return slabs if single is None else self._joined(slabs, single)

        with self.stages.stage(STAGE_TITLES["structure"]):
            if mode != "s1-s2-d":
                return self._gather("structure", structures_of), corrected
            dense = self.pool.run("structure", lambda net: self._dense(structures_of(net)))
        return self._correct(dense)

    @property
    def flips_cascade(self) -> bool:
        """Whether S1, S2 and S3 are averaged with the mirror image."""
        return self.rules.flip_cascade and self.rules.flip != "none"

    def _segmenter_posteriors(self) -> np.ndarray:
        """S's posteriors, float32 [X, Y, Z, C] on the padded working grid, made as S2's are."""
        sigma = self.rules.segmenter_sigma

        def run(net: Any) -> np.ndarray:
            if self.flips_cascade:
                return self._dense(self.averaged(net, self.table.partners, sigma))
            return self._dense(self._smoothed(net, Inputs(image=self.conformed.image), sigma))

        with self.stages.stage(STAGE_TITLES["segmenter"]):
            return self.pool.run("segmenter", run)

    def _joined(self, slabs: Slabs, single: np.ndarray) -> Slabs:
        """The weighted mean of S2's posteriors (``slabs``) and S's (``single``), noting what either says alone."""
        share = self.rules.segmenter_share
        own, other = np.zeros(single.shape[:3], np.uint8), np.zeros(single.shape[:3], np.uint8)
        self._opinions = own, other
        for planes, slab in slabs:
            own[planes], other[planes] = slab.argmax(axis=-1), single[planes].argmax(axis=-1)
            yield planes, (1 - share) * slab + share * single[planes]

    def _tissue_groups(self, n_tissues: int) -> np.ndarray:
        if not self.flips_cascade:
            return self._argmax("tissue", Inputs(image=self.conformed.image))
        found = np.zeros(self.conformed.image.shape, np.uint8)

        def run(net: Any) -> np.ndarray:
            for planes, slab in self.averaged(net, np.arange(n_tissues), 0.0):
                found[planes] = slab.argmax(axis=-1)
            return found

        return self.pool.run("tissue", run)

    def _denoise(self, groups: np.ndarray) -> np.ndarray:
        with self.stages.stage(STAGE_TITLES["denoiser"]):
            return self._argmax("denoiser", Inputs(groups=groups, n_groups=len(self.model_set.tissues)))

    def _correct(self, dense: np.ndarray) -> tuple[SoftLabels | Coarse, np.ndarray]:
        """Let D correct the tissues of finished posteriors (the comparators that append D)."""
        group_of = self.model_set.tissues.channels(self.table)
        corrected = self._denoise(group_of.astype(np.uint8)[dense.argmax(axis=-1)])
        sure = None if new_confidence(self.model_set, self.options) is None else dense.copy()
        for posteriors, groups in zip(dense, corrected, strict=True):
            posteriors[group_of != groups[..., None]] *= LEAK
            total = posteriors.sum(axis=-1, keepdims=True)
            # Padding beyond the reach of the smoothing holds zeros, and keeps them.
            np.divide(posteriors, total, out=posteriors, where=total > 0)
        return self._collect(_planes(dense), sure), corrected

    def _argmax(self, role: str, inputs: Inputs) -> np.ndarray:
        return self.pool.run(role, lambda net: net.argmax(inputs, self.stages.update, self.stages.is_cancelled))

    def _smoothed(self, net: Any, inputs: Inputs, sigma: float) -> Iterator[tuple[slice, np.ndarray]]:
        return smooth_slabs(net.slabs(inputs, self.stages.update, self.stages.is_cancelled), sigma)

    def averaged(
        self, net: Any, partners: np.ndarray, sigma: float, groups: np.ndarray | None = None, n_groups: int = 0
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Posteriors of the scan and of its mirror image, averaged: the only time that all channels are dense.

        partners: the channel that each has in the mirror. groups: classes, below ``n_groups``, that
        the network is also given.
        """
        image, update, cancelled = self.conformed.image, self.stages.update, self.stages.is_cancelled

        def inputs(image: np.ndarray, groups: np.ndarray | None) -> Inputs:
            return Inputs(image=image, groups=groups, n_groups=n_groups)

        inner = self.conformed.inner[0] if self.rules.flip == "scan" else slice(0, len(image))
        last = inner.start + inner.stop - 1
        slabs = net.slabs(inputs(image, groups), lambda done: update(0.5 * done), cancelled)
        total = [np.array(posteriors) for _, slab in slabs for posteriors in slab]
        mirrored = inputs(_mirrored(image, last), None if groups is None else _mirrored(groups, last))
        for planes, slab in net.slabs(mirrored, lambda done: update(0.5 + 0.5 * done), cancelled):
            for number, posteriors in enumerate(slab, start=planes.start):
                target = last - number
                if 0 <= target < len(total):
                    total[target] += posteriors[..., partners]
                    total[target] *= 0.5
        for number, posteriors in enumerate(total):
            if not inner.start <= number < inner.stop:
                # Padding that is not the same on both sides must not reach the scan through the smoothing.
                posteriors[:] = 0.0
        return smooth_slabs(_released(total), sigma)

    # Posteriors ----------------------------------------------------------------------------------------------

    @property
    def _works_at_output(self) -> bool:
        return self.model_set.working_resolution_mm == 1

    def _gather(self, role: str, slabs: Any) -> SoftLabels | Coarse:
        return self.pool.run(role, lambda net: self._collect(slabs(net)))

    def _collect(self, slabs: Slabs, sure: np.ndarray | None = None) -> SoftLabels | Coarse:
        """Posteriors of the slabs of the padded working grid: final ones, or those of a coarser grid.

        sure: where D corrected them, how sure the network was before it was left no choice, float32 [X, Y, Z, C]; the
        confidence is made of this.
        """
        self._confidence = new_confidence(self.model_set, self.options)  # a network whose device failed begins anew
        if self._works_at_output:
            within = None if self._components_on_padded else self.conformed.inner
            shape = self.conformed.image.shape
            note = partial(self._note, sure=sure)
            return SoftLabels.gather(slabs, shape, self.table, self.rules.kept, within, note)
        dense = self._dense(slabs)
        if self.rules.appearance:
            self._channels[:] = dense.argmax(axis=-1)
        else:
            self._note(slice(0, len(dense)), dense, sure)
        return Coarse(dense, sure)

    def _to_output(self, found: SoftLabels | Coarse) -> SoftLabels:
        """Final posteriors on the output grid."""
        if isinstance(found, SoftLabels):
            return found
        way = WayToOutput(self.model_set, self.options, self.conformed, self.pool, self.stages)
        try:
            soft, confidence, self._border_seen = way.bring(found)
        except MemoryError as error:
            raise MemoryShortage(
                "The memory did not suffice to bring the posteriors to 1 mm; close other programs or choose a crop."
            ) from error
        if confidence is not None:
            self._confidence = confidence
        return soft

    def _note(self, planes: slice, slab: np.ndarray, sure: np.ndarray | None = None) -> None:
        self._channels[planes] = slab.argmax(axis=-1)
        if self._confidence is not None:
            self._confidence.add(slab if sure is None else sure[planes], self._channels[planes])

    def _dense(self, slabs: Slabs) -> np.ndarray:
        dense = np.empty((*self.conformed.image.shape, len(self.table)), np.float32)
        for planes, slab in slabs:
            dense[planes] = slab
        return dense

    @property
    def _components_on_padded(self) -> bool:
        return self.options.mode == "default" and self.rules.components_on == "padded"

    def _postprocess(self, soft: SoftLabels) -> None:
        soft.keep_largest_component(self.rules.foreground_threshold if self.rules.counts_tails else 0.0)
        self.stages.check()
        if self.options.mode == "default":
            soft.keep_topology(self.rules.topology_threshold, self.rules.counts_tails)
            if self._works_at_output and self._components_on_padded:
                soft.keep_box(self.conformed.inner)
        else:
            soft.drop_below(self.rules.posterior_threshold)
        soft.normalise()


def _planes(dense: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    for start in range(0, len(dense), 8):
        stop = min(start + 8, len(dense))
        yield slice(start, stop), dense[start:stop]


def _released(planes: list[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Hand planes out and forget them, so that what is made of them takes their place in memory."""
    planes.reverse()
    for number in range(len(planes)):
        yield slice(number, number + 1), planes.pop()[None]


def _mirrored(image: np.ndarray, last: int) -> np.ndarray:
    """Planes in the order ``last - x``; planes that do not exist are zero, as padding is."""
    out = np.zeros_like(image)
    source = last - np.arange(len(image))
    exists = (source >= 0) & (source < len(image))
    out[exists] = image[source[exists]]
    return out
