"""From posteriors on a coarser working grid to those on the output grid, where the scan itself has a say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from SynthSegPlusLib.contract import SegmentOptions
from SynthSegPlusLib.inference._appearance import CERTAIN, Appearance, fit_appearance, strength_in
from SynthSegPlusLib.inference._gaps import fill_gaps
from SynthSegPlusLib.inference._horns import LEAST_ROUGHNESS, relative_roughness, return_fluid
from SynthSegPlusLib.inference._progress import Stages
from SynthSegPlusLib.inference._smoothing import Slabs
from SynthSegPlusLib.inference._soft import Box, SoftLabels
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.inference.quality import RegionConfidence
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.volume import CT_RANGE_HU, Conformed

_LOOKED, _BROUGHT = 0.5, 0.9
"""Shares of the stage's time when the scan was looked at, and when all planes are at 1 mm; the rest is for what comes
after (components, normalising)."""
_FOREGROUND = 0.05
"""Where posteriors are brought to 1 mm, voxels that are this surely background are left alone."""


class Coarse(NamedTuple):
    """Posteriors on the padded working grid, float32 [X, Y, Z, C].

    sure: where D corrected them, how sure the network was before it was left no choice; the confidence is made of this.
    """

    posteriors: np.ndarray
    sure: np.ndarray | None = None


class WayToOutput:
    """Brings the posteriors of one scan to the output grid."""

    def __init__(
        self, model_set: ModelSet, options: SegmentOptions, conformed: Conformed, stages: Stages
    ) -> None:
        self.model_set = model_set
        self.options = options
        self.conformed = conformed
        self.stages = stages
        self.rules = model_set.postprocessing
        self.table = structures(options.label_version)

    def bring(self, coarse: Coarse) -> tuple[SoftLabels, RegionConfidence | None]:
        """Posteriors on the output grid, and the count of the Dice that they expect.

        The count is None where the scan's intensities have no say, or no score asks for it. ``coarse`` is changed: gaps
        are filled, and fluid that was called hippocampus goes back.
        """
        both = [one for one in coarse if one is not None]
        for posteriors in both:
            fill_gaps(posteriors[self.conformed.inner], self.table, self.rules.gaps_mm, self.conformed.resolution_mm)
        seen = self._look(*both) if self.rules.appearance else None
        threshold = self.rules.foreground_threshold
        likely = coarse.posteriors[..., 1:].sum(axis=-1) > min(threshold, _FOREGROUND)
        window = self.conformed.output_window(likely)
        confidence = None
        begin = 0.0
        if seen is None:
            slabs: Slabs = on_output(self.conformed, coarse.posteriors, self.stages, window)
        else:
            confidence = new_confidence(self.model_set, self.options)
            slabs = self._seen(*seen, coarse, window, confidence)
            begin = _LOOKED
        slabs = self._reported(slabs, window[0], begin)
        columns = window[1].start, window[2].start
        shape = self.conformed.output_shape
        return SoftLabels.gather(slabs, shape, self.table, threshold, columns=columns), confidence

    def _reported(self, slabs: Slabs, planes: slice, begin: float) -> Slabs:
        """``slabs`` of ``planes``, telling how much of the stage is done from ``begin`` on."""
        self.stages.update(begin)
        for done, slab in slabs:
            yield done, slab
            self.stages.update(begin + (_BROUGHT - begin) * (done.stop - planes.start) / (planes.stop - planes.start))

    def _look(self, dense: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, Appearance | None]:
        """The scan on the output grid, and what the structures look like in it, as ``dense`` tells.

        Where hippocampi look like fluid, ``dense`` and other posteriors like it are corrected first.
        """
        scan = self.conformed.scan_on_output()
        if self.options.ct:
            scan = np.clip(scan, *CT_RANGE_HU)
        self.stages.check()
        voxel = self.conformed.resolution_mm
        strength = strength_in(self.rules.appearance, self.conformed.volume.spacing)
        samples = self.conformed.sampled_from_output(scan)
        thin = relative_roughness(scan) >= LEAST_ROUGHNESS
        # Most voxels of thick slices hold several things; where sides seem to differ there, they do not.
        found = fit_appearance(samples, dense, self.table, strength, voxel, thin)
        self.stages.check()
        if found is None or not thin:
            return scan, found
        normalised = found.normalised(samples)
        moved = [return_fluid(normalised, one, self.table, voxel) for one in (dense, *others)]
        self.stages.check()
        return scan, fit_appearance(samples, dense, self.table, strength, voxel, thin) if moved[0] else found

    def _seen(
        self, scan: np.ndarray, found: Appearance | None, coarse: Coarse, window: Box,
        confidence: RegionConfidence | None,
    ) -> Slabs:  # fmt: skip
        """Slabs of a box of the output grid after what the intensities of ``scan`` say, read as ``found`` tells."""
        bias = None if found is None else self.conformed.to_output(found.bias)
        across = (slice(None), *window[1:])

        def read(posteriors: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
            for planes, slab in on_output(self.conformed, posteriors, self.stages, window):
                if found is None or bias is None:
                    yield planes, slab
                else:
                    yield planes, found.update(slab, scan[planes][across], bias[planes][across])

        before = None if coarse.sure is None else read(coarse.sure)
        for planes, slab in read(coarse.posteriors):
            if confidence is not None:
                own = slab if before is None else next(before)[1]
                inside = np.minimum(slab[..., 0], own[..., 0]) < CERTAIN
                confidence.add(own[inside], slab[inside].argmax(axis=-1).astype(np.uint8))
            yield planes, slab


def on_output(
    conformed: Conformed, posteriors: np.ndarray, stages: Stages, window: Box | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Posteriors [X, Y, Z, C] of a coarser working grid, on the output grid or a box of it, a plane at a time."""
    first = 0 if window is None else window[0].start
    for number, plane in enumerate(conformed.output_planes(posteriors, window), start=first):
        stages.check()
        yield slice(number, number + 1), plane[None]


def new_confidence(model_set: ModelSet, options: SegmentOptions) -> RegionConfidence | None:
    """A count of what the posteriors expect, where the set's scores are made of it."""
    rule = model_set.scoring(options.mode) if options.quality else None
    asked = rule is not None and rule.confidence
    return RegionConfidence(structures(options.label_version), model_set.qc_regions) if asked else None
