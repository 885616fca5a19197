"""Two ways to join parcels with structures."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.inference._parcels import ConditionalRule, PublishedRule
from SynthSegPlusLib.inference.measures import parcel_volumes
from SynthSegPlusLib.labels import parcels, structures

PARCELS = parcels()
SHAPE = (5, 4, 6)
WHOLE = tuple(slice(0, n) for n in SHAPE)


def s3(seed=0, shape=SHAPE):
    values = np.random.default_rng(seed).random((*shape, len(PARCELS))).astype(np.float32) ** 8
    return values / values.sum(-1, keepdims=True)


def slabs(array):
    yield slice(0, 2), array[:2]
    yield slice(2, len(array)), array[2:]


def test_the_published_rule_equals_its_dense_definition():
    q, cortex = s3(), np.random.default_rng(1).random(SHAPE) > 0.6
    box = (slice(1, 5), slice(0, 4), slice(1, 6))
    rule = PublishedRule(cortex, box)
    rule.add(slabs(q))
    found = rule.result()
    dense, inside = q[box].astype(np.float64), cortex[box]
    dense[..., 0] = np.where(inside, 0.0, 1.0)
    dense /= dense.sum(-1, keepdims=True)
    assert found.sums == pytest.approx(dense[..., 1:].sum((0, 1, 2)), rel=1e-5)
    expected = np.zeros(SHAPE, np.int32)
    expected[box] = np.where(inside, PARCELS.values[dense.argmax(-1)], 0)
    got = np.zeros(SHAPE, np.int32)
    got.reshape(-1)[found.index] = found.labels
    assert np.array_equal(got, expected)


def test_a_cortex_voxel_without_any_parcel_becomes_background_in_the_published_rule():
    q = np.zeros((*SHAPE, len(PARCELS)), np.float32)
    q[..., 0] = 1.0
    rule = PublishedRule(np.ones(SHAPE, bool), WHOLE)
    rule.add(slabs(q))
    assert not rule.result().labels.any()
    assert np.isfinite(rule.result().sums).all()


def conditional(q, soft, hard):
    index = np.arange(len(soft))
    rule = ConditionalRule(index, soft, hard, SHAPE[1] * SHAPE[2])
    rule.add(slabs(q))
    return rule.result()


def test_conditional_parcels_add_up_to_the_cortex_of_their_hemisphere():
    n = int(np.prod(SHAPE))
    soft = np.random.default_rng(2).random((n, 2)).astype(np.float32)
    found = conditional(s3(), soft, np.zeros(n, np.int8))
    volumes = dict(zip(PARCELS.values[1:].tolist(), found.sums, strict=True))
    for side, first in (("left", 0), ("right", 1)):
        total = sum(volumes[label.value] for label in PARCELS.select(hemisphere=side))
        assert total == pytest.approx(soft[:, first].sum(dtype=np.float64), rel=1e-6)


def test_a_conditional_parcel_never_crosses_to_the_other_hemisphere_even_where_s3_insists():
    n = int(np.prod(SHAPE))
    q = np.zeros((*SHAPE, len(PARCELS)), np.float32)
    q[..., PARCELS.channel(1024)] = 1.0  # S3 is sure: left precentral, everywhere
    hard = np.tile(np.array([0, 1], np.int8), n // 2)
    found = conditional(q, np.ones((n, 2), np.float32), hard)
    assert set(found.labels[hard == 0]) == {1024}
    assert set(found.labels[hard == 1]) == {2024}  # the same parcel of the hemisphere that the cortex label says


def test_conditional_labels_are_given_inside_the_hard_cortex_alone():
    n = int(np.prod(SHAPE))
    hard = np.where(np.arange(n) % 3 == 0, 1, -1).astype(np.int8)
    found = conditional(s3(3), np.full((n, 2), 0.5, np.float32), hard)
    assert np.array_equal(found.index, np.flatnonzero(hard == 1))
    assert (found.labels >= 2001).all()


def test_published_parcels_are_scaled_to_the_cortex_and_in_compatibility_mode_to_white_matter():
    table = structures("2.0")
    volumes = np.zeros(len(table))
    volumes[table.channel(2)], volumes[table.channel(41)] = 30.0, 20.0
    volumes[table.channel(3)], volumes[table.channel(42)] = 60.0, 40.0
    rule = PublishedRule(np.ones(SHAPE, bool), WHOLE)
    rule.add(slabs(s3()))
    found = rule.result()
    assert parcel_volumes(found, volumes, 1.0, table, "published", False).sum() == pytest.approx(100.0)
    assert parcel_volumes(found, volumes, 1.0, table, "published", True).sum() == pytest.approx(50.0)
    assert parcel_volumes(found, volumes, 8.0, table, "conditional", False) == pytest.approx(found.sums * 8.0)
