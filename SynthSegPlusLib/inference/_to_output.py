"""From posteriors on a coarser working grid to those on the output grid, where the scan itself has a say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from SynthSegPlusLib.contract import SegmentOptions
from SynthSegPlusLib.inference._appearance import CERTAIN, Appearance, fit_appearance
from SynthSegPlusLib.inference._gaps import fill_gaps
from SynthSegPlusLib.inference._horns import return_fluid
from SynthSegPlusLib.inference._pool import NetworkPool
from SynthSegPlusLib.inference._progress import Stages
from SynthSegPlusLib.inference._refine import Closeup
from SynthSegPlusLib.inference._slices import LEAST_ROUGHNESS, relative_roughness, strength_in
from SynthSegPlusLib.inference._smoothing import Slabs
from SynthSegPlusLib.inference._soft import Box, SoftLabels
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.inference.quality import RegionConfidence
from SynthSegPlusLib.labels import LabelTable, structures
from SynthSegPlusLib.volume import CT_RANGE_HU, Conformed

_LOOKED, _BROUGHT = 0.5, 0.9
"""Shares of the stage's time when the scan was looked at, and when all planes are at 1 mm; the rest is for what comes
after (components, normalising)."""
_LOOKED_FIRST, _SHOWN, _REFINED = 0.1, 0.25, 0.97
"""With a refiner, which takes most of the time: when the scan was looked at, when it may begin, and when it is done."""
_FOREGROUND = 0.05
"""Where posteriors are brought to 1 mm, voxels that are this surely background are left alone."""


class Coarse(NamedTuple):
    """Posteriors on the padded working grid, float32 [X, Y, Z, C].

    sure: where D corrected them, how sure the network was before it was left no choice; the confidence is made of this.
    """

    posteriors: np.ndarray
    sure: np.ndarray | None = None


class Seen(NamedTuple):
    """The scan on the output grid, float [R, A, S], what the structures look like in it (None: there is no brain), and
    the bias field there. border_seen: as `Looked`.
    """

    scan: np.ndarray
    found: Appearance | None = None
    bias: np.ndarray | None = None
    border_seen: bool | None = None


class Looked(NamedTuple):
    """What the structures look like in a scan; None where there is no brain.

    border_seen: whether the scan shows where hippocampi end and horns begin; None where it was not asked or nothing
    tells.
    """

    found: Appearance | None = None
    border_seen: bool | None = None


class Brought(NamedTuple):
    """Posteriors on the output grid.

    confidence: the count of the Dice that they expect; None where the scan's intensities have no say, or no score asks
    for it. border_seen: as `Looked`.
    """

    soft: SoftLabels
    confidence: RegionConfidence | None = None
    border_seen: bool | None = None


class WayToOutput:
    """Brings the posteriors of one scan to the output grid."""

    def __init__(
        self, model_set: ModelSet, options: SegmentOptions, conformed: Conformed, pool: NetworkPool, stages: Stages
    ) -> None:
        self.model_set = model_set
        self.options = options
        self.conformed = conformed
        self.pool = pool
        self.stages = stages
        self.rules = model_set.postprocessing
        self.table = structures(options.label_version)

    def bring(self, coarse: Coarse) -> Brought:
        """Posteriors on the output grid. ``coarse`` is changed: gaps are filled, and fluid that was called hippocampus
        goes back (`return_fluid`).
        """
        both = [one for one in coarse if one is not None]
        for posteriors in both:
            fill_gaps(posteriors[self.conformed.inner], self.table, self.rules.gaps_mm, self.conformed.resolution_mm)
        seen = self._look(*both) if self.rules.appearance else None
        likely = coarse.posteriors[..., 1:].sum(axis=-1) > min(self.rules.kept, _FOREGROUND)
        window = self.conformed.output_window(likely)
        if seen is None:
            slabs: Slabs = on_output(self.conformed, coarse.posteriors, self.stages, window)
            return Brought(self._gathered(self._reported(slabs, window[0], 0.0), window))
        empty = any(side.start == side.stop for side in window)  # what looks like brain lies in the padding
        if seen.found is not None and not empty and self.model_set.refines_labels(self.options.label_version):
            closeup = self._closeup(seen, coarse.posteriors, window)
            found = self.pool.run("refiner", lambda net: self._refined(net, closeup, seen, coarse, window))
            return Brought(*found, seen.border_seen)
        confidence = new_confidence(self.model_set, self.options)
        slabs = self._seen(seen, coarse, window, confidence)
        soft = self._gathered(self._reported(slabs, window[0], _LOOKED), window)
        return Brought(soft, confidence, seen.border_seen)

    def _gathered(self, slabs: Slabs, window: Box) -> SoftLabels:
        """``slabs`` of a box of the output grid."""
        threshold, columns = self.rules.kept, (window[1].start, window[2].start)
        return SoftLabels.gather(slabs, self.conformed.output_shape, self.table, threshold, columns=columns)

    def _reported(self, slabs: Slabs, planes: slice, begin: float) -> Slabs:
        """``slabs`` of ``planes``, telling how much of the stage is done from ``begin`` on."""
        self.stages.update(begin)
        for done, slab in slabs:
            yield done, slab
            self.stages.update(begin + (_BROUGHT - begin) * (done.stop - planes.start) / (planes.stop - planes.start))

    def _look(self, dense: np.ndarray, *others: np.ndarray) -> Seen:
        """The scan on the output grid, and what the structures look like in it, as ``dense`` tells.

        Fluid that was called hippocampus goes back first, in ``dense`` and in other posteriors like it.
        """
        scan = self.conformed.scan_on_output()
        if self.options.ct:
            scan = np.clip(scan, *CT_RANGE_HU)
        self.stages.check()
        strength = self.rules.appearance
        found, border = look(self.conformed, scan, self.table, strength, dense, *others, check=self.stages.check)
        return Seen(scan) if found is None else Seen(scan, found, self.conformed.to_output(found.bias), border)

    def _seen(self, seen: Seen, coarse: Coarse, window: Box, confidence: RegionConfidence | None) -> Slabs:
        """Slabs of a box of the output grid after what the scan's intensities say."""
        after = (plane for _, plane in self._read(seen, coarse.posteriors, window))
        return self._counted(after, self._sure(seen, coarse, window), window, confidence)

    def _sure(self, seen: Seen, coarse: Coarse, window: Box) -> Iterator[np.ndarray] | None:
        """Planes of what the network said before D, if anything, after what the intensities say."""
        if coarse.sure is None:
            return None
        return (plane for _, plane in self._read(seen, coarse.sure, window))

    def _read(
        self, seen: Seen, posteriors: np.ndarray, window: Box
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Planes [Y, Z, C] of a box of the output grid, without and with what intensities say."""
        scan, found, bias, _ = seen
        across = window[1:]
        for planes, slab in on_output(self.conformed, posteriors, self.stages, window):
            before = slab[0]
            if found is None or bias is None:
                yield before, before
            else:
                yield before, found.update(before, scan[planes.start][across], bias[planes.start][across])

    def _closeup(self, seen: Seen, posteriors: np.ndarray, window: Box) -> Closeup:
        """What the refiner is shown."""
        shape = tuple(side.stop - side.start for side in window)
        multiple = self.model_set.require("refiner").network.multiple
        strength = strength_in(self.rules.refinement, self.conformed.volume.spacing)
        closeup = Closeup(shape, self.table, multiple, strength)
        scan, found, bias, _ = seen
        assert found is not None
        assert bias is not None
        across = window[1:]
        for number, (before, after) in enumerate(self._read(seen, posteriors, window)):
            plane = window[0].start + number
            closeup.add(number, found.normalised(scan[plane][across], bias[plane][across]), before, after)
            self.stages.update(_LOOKED_FIRST + (_SHOWN - _LOOKED_FIRST) * (number + 1) / shape[0])
        return closeup

    def _refined(
        self, net: Any, closeup: Closeup, seen: Seen, coarse: Coarse, window: Box
    ) -> tuple[SoftLabels, RegionConfidence | None]:
        """Posteriors of what the refiner makes of its closeup, and their confidence."""
        confidence = new_confidence(self.model_set, self.options)

        def report(done: float) -> None:
            self.stages.update(_SHOWN + (_REFINED - _SHOWN) * done)

        after = closeup.refined(net, report, self.stages.is_cancelled)
        slabs = self._counted(after, self._sure(seen, coarse, window), window, confidence)
        return self._gathered(slabs, window), confidence

    def _counted(
        self, after: Iterator[np.ndarray], sure: Iterator[np.ndarray] | None, window: Box,
        confidence: RegionConfidence | None,
    ) -> Slabs:  # fmt: skip
        """Planes ``after`` all that is known as slabs, counted for the confidence where it is asked for."""
        for number, plane in enumerate(after, start=window[0].start):
            if confidence is not None:
                own = plane if sure is None else next(sure)
                inside = np.minimum(plane[..., 0], own[..., 0]) < CERTAIN
                confidence.add(own[inside], plane[inside].argmax(axis=-1).astype(np.uint8))
            yield slice(number, number + 1), plane[None]


def look(
    conformed: Conformed, scan: np.ndarray, table: LabelTable, strength: float, dense: np.ndarray, *others: np.ndarray,
    check: Callable[[], object] = lambda: None,
) -> Looked:  # fmt: skip
    """What the structures look like in ``scan`` [R, A, S], on the output grid, as ``dense`` [X, Y, Z, C] tells.

    Fluid that was called hippocampus goes back first, in ``dense`` and in other posteriors like it, by what each of
    them takes for fluid. strength: of a scan with voxels of 1 mm. ``check`` is called between steps, and may raise.
    """
    voxel = conformed.resolution_mm
    samples = conformed.sampled_from_output(scan)
    thin = relative_roughness(scan) >= LEAST_ROUGHNESS
    strength = strength_in(strength, conformed.volume.spacing, not thin)
    # Most voxels of thick slices hold several things; where sides seem to differ there, they do not.
    found = fit_appearance(samples, dense, table, strength, voxel, thin)
    check()
    if found is None or not thin:
        return Looked(found)
    normalised = found.normalised(samples)
    border, *_ = [return_fluid(normalised, one, table, voxel) for one in (dense, *others)]
    check()
    if border.moved or not border.horns_alike:
        found = fit_appearance(samples, dense, table, strength, voxel, thin, border.horns_alike)
    return Looked(found, border.seen)


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
