"""Runs S3 and joins its parcels with the structures by the model set's rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from SynthSegPlusLib.inference._cascade import STAGE_TITLES, Cascade, Segmented
from SynthSegPlusLib.inference._parcels import ConditionalRule, Parcels, PublishedRule
from SynthSegPlusLib.inference._smoothing import smooth_slabs
from SynthSegPlusLib.networks import Inputs


def parcellate(cascade: Cascade, found: Segmented, final: np.ndarray) -> Parcels:
    """Parcels of a segmented scan. ``final``: final channel map, on the grid of ``found.soft``."""
    mask = np.isin(found.channels, _cortex_channels(cascade)).astype(np.uint8)
    inputs = Inputs(image=cascade.conformed.image, groups=mask, n_groups=2)
    join = _published if cascade.model_set.parcel_rule.combination == "published" else _conditional
    with cascade.stages.stage(STAGE_TITLES["parcellation"]):
        return cascade.pool.run("parcellation", lambda net: join(cascade, found, final, _slabs(cascade, net, inputs)))


def _cortex_channels(cascade: Cascade) -> list[int]:
    """Channels of the left and of the right cortex."""
    cortex = cascade.table.cortex
    return [cascade.table.channel(cortex[side]) for side in ("left", "right")]


def _slabs(cascade: Cascade, net: Any, inputs: Inputs) -> Iterator[tuple[slice, np.ndarray]]:
    options = cascade.options
    # The reference forgets to smooth the parcels when quality is asked for too.
    forgets = options.compatibility and options.quality
    sigma = 0.0 if forgets else cascade.rules.parcellation_sigma
    return smooth_slabs(net.slabs(inputs, cascade.stages.update, cascade.stages.is_cancelled), sigma)


def _published(cascade: Cascade, found: Segmented, final: np.ndarray, slabs: Iterator) -> Parcels:
    rule = PublishedRule(np.isin(final, _cortex_channels(cascade)), cascade.conformed.inner)
    rule.add(slabs)
    return rule.result()


def _conditional(cascade: Cascade, found: Segmented, final: np.ndarray, slabs: Iterator) -> Parcels:
    sides = _cortex_channels(cascade)
    index, soft = found.soft.take(sides)
    hard = np.full(len(index), -1, np.int8)
    for side, channel in enumerate(sides):
        hard[final.reshape(-1)[index] == channel] = side
    rule = ConditionalRule(index, soft, hard)
    if cascade.model_set.working_resolution_mm == 1:
        rule.add_slabs(slabs, final.shape[1] * final.shape[2])
        return rule.result()
    dense = np.concatenate([slab for _, slab in slabs])
    rows = np.empty((len(index), dense.shape[-1]), np.float32)
    for channel in range(dense.shape[-1]):
        rows[:, channel] = cascade.conformed.to_output(dense[..., channel]).reshape(-1)[index]
        cascade.stages.check()
    rule.add_rows(slice(0, len(index)), rows)
    return rule.result()
