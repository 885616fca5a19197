"""Runs S3 and joins its parcels with the structures by the model set's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from SynthSegPlusLib.inference._cascade import STAGE_TITLES, Cascade, Segmented
from SynthSegPlusLib.inference._parcels import ConditionalRule, Parcels, PublishedRule
from SynthSegPlusLib.inference._smoothing import smooth_slabs
from SynthSegPlusLib.inference._to_output import on_output
from SynthSegPlusLib.labels import parcels
from SynthSegPlusLib.networks import Inputs

MakeRule = Callable[[], PublishedRule | ConditionalRule]


def prepare_parcellation(cascade: Cascade, found: Segmented, final: np.ndarray) -> Callable[[], Parcels]:
    """Everything but running S3: a function that does, which no longer needs the posteriors of the structures.

    ``final``: final channel map, uint8, on the grid of ``found.soft``.
    """
    sides = [cascade.table.channel(cascade.table.cortex[side]) for side in ("left", "right")]
    published = cascade.model_set.parcel_rule.combination == "published"
    make_rule = _published(cascade, final, sides) if published else _conditional(found, final, sides)
    mask = np.isin(found.channels, sides).astype(np.uint8)

    def run() -> Parcels:
        with cascade.stages.stage(STAGE_TITLES["parcellation"]):
            return cascade.pool.run("parcellation", lambda net: _join(cascade, make_rule(), net, mask))

    return run


def _published(cascade: Cascade, final: np.ndarray, sides: list[int]) -> MakeRule:
    cortex = np.isin(final, sides)
    return lambda: PublishedRule(cortex, cascade.conformed.inner)


def _conditional(found: Segmented, final: np.ndarray, sides: list[int]) -> MakeRule:
    index, soft = found.soft.take(sides)
    hard = np.full(len(index), -1, np.int8)
    for side, channel in enumerate(sides):
        hard[final.reshape(-1)[index] == channel] = side
    return lambda: ConditionalRule(index, soft, hard, final.shape[1] * final.shape[2])


def _join(cascade: Cascade, rule: PublishedRule | ConditionalRule, net: Any, mask: np.ndarray) -> Parcels:
    slabs = _posteriors(cascade, net, mask)
    if cascade.model_set.working_resolution_mm != 1:
        slabs = on_output(cascade.conformed, np.concatenate([slab for _, slab in slabs]), cascade.stages)
    rule.add(slabs)
    return rule.result()


def _posteriors(cascade: Cascade, net: Any, mask: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    options = cascade.options
    # The reference forgets to smooth the parcels when quality is asked for too.
    forgets = options.compatibility and options.quality
    sigma = 0.0 if forgets else cascade.rules.parcellation_sigma
    if cascade.flips_cascade:
        return cascade.averaged(net, parcels().partners, sigma, mask, 2)
    inputs = Inputs(image=cascade.conformed.image, groups=mask, n_groups=2)
    return smooth_slabs(net.slabs(inputs, cascade.stages.update, cascade.stages.is_cancelled), sigma)
