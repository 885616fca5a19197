"""Changed anatomies."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.synthesis.generator import flip_labels, strip
from SynthSegPlusLib.synthesis.label_maps import label_space
from SynthSegPlusLib.synthesis.morphology import add_lesions, enlarge_ventricles, thin_cortex
from Testing.synthesis.phantoms import numpy, phantom, tensor

SPACE = label_space()


def volumes(labels: object, *values: int) -> int:
    return int(np.isin(SPACE.values[numpy(labels)], values).sum())


@pytest.fixture
def labels():
    return tensor(phantom().index, "int32")


def test_a_flat_wall_moves_by_the_asked_distance():
    slab = np.full((60, 20, 20), SPACE.position(2))
    slab[:30] = SPACE.position(4)
    moved = numpy(enlarge_ventricles(tensor(slab, "int32"), 3.0, 1.0))[:, 10, 10]
    assert (SPACE.values[moved] == 4).sum() == 33


def test_distances_are_mm_whatever_the_voxel():
    slab = np.full((60, 20, 20), SPACE.position(2))
    slab[:30] = SPACE.position(4)
    moved = numpy(enlarge_ventricles(tensor(slab, "int32"), 4.0, 2.0))[:, 10, 10]
    assert (SPACE.values[moved] == 4).sum() == 32


def test_nothing_changes_at_distance_zero(labels):
    assert np.array_equal(numpy(enlarge_ventricles(labels, 0.0, 1.0)), numpy(labels))
    assert np.array_equal(numpy(thin_cortex(labels, 0.0, 1.0)), numpy(labels))


def test_ventricles_grow_into_white_matter_of_their_side_only(labels):
    wide = enlarge_ventricles(labels, 2.0, 1.0)
    assert volumes(wide, 4) > volumes(labels, 4)
    assert volumes(wide, 4, 2) == volumes(labels, 4, 2)
    assert volumes(wide, 43, 41) == volumes(labels, 43, 41)
    assert volumes(wide, 10, 49) == volumes(labels, 10, 49)


@pytest.mark.parametrize("distance", [1.0, -1.0])
def test_cortex_trades_places_with_csf(labels, distance):
    changed = thin_cortex(labels, distance, 1.0)
    assert np.sign(volumes(labels, 3, 42) - volumes(changed, 3, 42)) == np.sign(distance)
    assert volumes(changed, 3, 42, 24) == volumes(labels, 3, 42, 24)


def test_grown_cortex_stays_on_its_side(labels):
    grown = SPACE.values[numpy(thin_cortex(labels, -1.0, 1.0))]
    assert not (grown[26:] == 3).any()
    assert not (grown[:22] == 42).any()


def test_lesions_lie_in_white_matter(labels):
    field = np.random.default_rng(0).normal(size=(6, 7, 6))
    ill = add_lesions(labels, field, 1.0, 1.0)
    assert volumes(ill, 25, 57) > 0
    assert volumes(ill, 2, 25) == volumes(labels, 2, 25)
    assert volumes(add_lesions(labels, field, 99.0, 1.0), 25, 57) == 0


def test_a_flip_swaps_sides_and_twice_is_the_identity(labels):
    once = flip_labels(labels)
    assert np.array_equal(numpy(once), SPACE.partner[numpy(labels)][::-1])
    assert np.array_equal(numpy(flip_labels(once)), numpy(labels))


def test_stripping_removes_the_head_and_keeps_the_brain(labels):
    bare = strip(labels, skull=True, csf=False)
    assert volumes(bare, 511) == 0
    assert volumes(bare, 24) == volumes(labels, 24)
    assert volumes(strip(labels, skull=True, csf=True), 24) == 0
    assert volumes(strip(labels, skull=True, csf=True), 3, 42, 2, 41) == volumes(labels, 3, 42, 2, 41)
