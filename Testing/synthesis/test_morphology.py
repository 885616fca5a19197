"""Changed anatomies."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.synthesis.config import Anatomy, generator_config
from SynthSegPlusLib.synthesis.draw import draw, draw_amygdalae, draw_atrophy, draw_hippocampi, draw_horns
from SynthSegPlusLib.synthesis.generator import flip_labels, strip
from SynthSegPlusLib.synthesis.label_maps import label_space
from SynthSegPlusLib.synthesis.morphology import (
    add_lesions,
    enlarge_ventricles,
    resize_amygdalae,
    resize_hippocampi,
    thin_cortex,
    widen_horns,
)
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
    assert np.array_equal(numpy(resize_hippocampi(labels, (1.0, 1.0), 1.0)), numpy(labels))


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


def mesial() -> np.ndarray:
    """The toy head with tilted ellipsoids for the hippocampi, amygdalae in front of them and thin temporal horns."""
    values = SPACE.values[phantom().index]
    x, y, z = np.indices(values.shape) - (np.array(values.shape) - 1)[:, None, None, None] / 2
    for side, hippocampus, amygdala, horn in ((-1, 17, 18, 5), (1, 53, 54, 44)):
        body = ((x - side * 9 + 0.31 * y) / 3.1) ** 2 + (y / 6.3) ** 2 + ((z + 7.2 + 0.17 * y) / 2.9) ** 2 < 1
        values[body] = np.where(y < 3, hippocampus, amygdala)[body]
        values[(np.abs(x - side * 9) < 2) & (np.abs(y) < 3) & (np.abs(z + 3.5) < 1)] = horn
    positions = np.full(SPACE.values.max() + 1, -1)
    positions[SPACE.values] = np.arange(len(SPACE.values))
    return positions[values]


@pytest.mark.parametrize("factor", [0.4, 0.75, 1.25])
def test_a_hippocampus_gets_the_asked_volume_and_the_other_stays(factor):
    labels = tensor(mesial(), "int32")
    changed = resize_hippocampi(labels, (factor, 1.0), 1.0)
    assert volumes(changed, 17) == pytest.approx(factor * volumes(labels, 17), abs=2)
    assert np.array_equal(numpy(changed)[24:], numpy(labels)[24:])
    assert volumes(changed, 18) == volumes(labels, 18)
    assert volumes(changed, 2, 5, 17) == volumes(labels, 2, 5, 17)


def test_what_a_hippocampus_leaves_is_ventricle_and_nothing_opens_towards_the_amygdala():
    labels = tensor(mesial(), "int32")
    before, after = SPACE.values[mesial()], SPACE.values[numpy(resize_hippocampi(labels, (1.0, 0.5), 1.0))]
    assert set(after[(before == 53) & (after != 53)]) == {44}
    beside = np.zeros(before.shape, bool)
    beside[:, 1:] = before[:, :-1] == 53  # an amygdala's voxel with hippocampus behind it
    border = beside & (before == 54)
    lost = (before == 53) & (after != 53)
    assert lost[:, :-1][border[:, 1:]].mean() < lost[before == 53].mean()


def test_a_hippocampus_grows_into_white_matter_and_temporal_horn_alone():
    labels = tensor(mesial(), "int32")
    before, after = SPACE.values[mesial()], SPACE.values[numpy(resize_hippocampi(labels, (1.2, 1.2), 1.0))]
    assert set(before[(after == 17) & (before != 17)]) <= {2, 5}
    assert set(before[(after == 53) & (before != 53)]) <= {41, 44}


@pytest.mark.parametrize("factor", [0.4, 1.25])
def test_an_amygdala_gets_the_asked_volume_and_trades_with_white_matter_and_horn(factor):
    labels = tensor(mesial(), "int32")
    changed = resize_amygdalae(labels, (1.0, factor), 1.0)
    assert volumes(changed, 54) == pytest.approx(factor * volumes(labels, 54), abs=2)
    assert np.array_equal(numpy(changed)[:24], numpy(labels)[:24])
    before, after = SPACE.values[mesial()], SPACE.values[numpy(changed)]
    others = set(after[before == 54]) if factor < 1 else set(before[after == 54])
    assert others - {54} <= ({41} if factor < 1 else {41, 44})
    assert volumes(changed, 53) == volumes(labels, 53)


def test_a_temporal_horn_gains_the_asked_volume_from_what_lies_against_it():
    labels = tensor(mesial(), "int32")
    changed = widen_horns(labels, (0.0, 60.0), 1.0)
    assert volumes(changed, 44) == pytest.approx(volumes(labels, 44) + 60, abs=2)
    assert np.array_equal(numpy(changed)[:24], numpy(labels)[:24])
    before, after = SPACE.values[mesial()], SPACE.values[numpy(changed)]
    gained = (after == 44) & (before != 44)
    assert set(before[gained]) <= {41, 53, 54}
    assert 53 in before[gained]  # the hippocampus lies under it
    horn, places = np.argwhere(before == 44), np.argwhere(gained)
    assert np.abs(places[:, None] - horn[None]).max(-1).min(1).max() <= 2  # one shell after the other


def test_a_horn_that_is_not_there_stays_away():
    values = SPACE.values[mesial()]
    values[values == 44] = 41
    positions = np.full(SPACE.values.max() + 1, -1)
    positions[SPACE.values] = np.arange(len(SPACE.values))
    labels = tensor(positions[values], "int32")
    assert np.array_equal(numpy(widen_horns(labels, (0.0, 60.0), 1.0)), numpy(labels))


def test_voxel_size_counts_in_the_volume_of_a_horn():
    labels = tensor(mesial(), "int32")
    gained = volumes(widen_horns(labels, (320.0, 0.0), 2.0), 5) - volumes(labels, 5)
    assert gained == pytest.approx(40, abs=8)  # 320 mm3 in voxels of 8; voxels that are equally near come together


STEPS_OF_TWO_SIDES = {
    "hippocampi": (draw_hippocampi, 1.0), "amygdalae": (draw_amygdalae, 1.0), "horns": (draw_horns, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS_OF_TWO_SIDES)
def test_values_of_two_sides_are_drawn_in_their_range_and_often_alike(step):
    draw_step, none = STEPS_OF_TWO_SIDES[step]
    limits = {"horns": "horns_mm3"}.get(step, f"{step}_volume")
    config = Anatomy(**{step: 0.5, limits: (0.5, 1.2)})
    drawn = np.array([draw_step(config, [3, k]) for k in range(400)])
    changed = drawn[(drawn != none).any(1)]
    assert 160 < len(changed) < 240
    assert changed.min() > 0.5
    assert changed.max() < 1.2
    assert 0.4 < (changed[:, 0] == changed[:, 1]).mean() < 0.6
    assert draw_step(config, [3, 1]) == draw_step(config, [3, 1])
    assert draw_step(Anatomy(), [3, 1]) == (none, none)


def test_steps_of_two_sides_are_drawn_independently():
    config = Anatomy(hippocampi=0.5, amygdalae=0.5, horns=0.5)
    happens = np.array([[draw_step(config, [3, k]) != (none, none) for draw_step, none in STEPS_OF_TWO_SIDES.values()]
                        for k in range(400)])  # fmt: skip
    assert np.abs(np.corrcoef(happens.T) - np.eye(3)).max() < 0.15


def test_a_brain_loses_volume_in_many_places_at_once():
    config = Anatomy(atrophy=0.5, ventricles_mm=(0.0, 4.0), cortex_mm=(-1.0, 1.0), hippocampi_volume=(0.45, 1.2))
    drawn = [one for one in (draw_atrophy(config, [3, k]) for k in range(600)) if one is not None]
    assert 250 < len(drawn) < 350
    values = np.array([(one.ventricles_mm, one.cortex_mm, *one.hippocampi) for one in drawn])
    assert (values.min(0) >= np.array([0, 0, 0.45, 0.45]) - 1e-9).all()
    assert (values.max(0) <= (4, 1, 1, 1)).all()
    together = np.corrcoef(values.T * np.array([[1], [1], [-1], [-1]]))
    assert together.min() > 0.6
    assert together[2, 3] < 0.99  # either side by itself
    assert draw_atrophy(Anatomy(), [3, 1]) is None


@pytest.mark.parametrize("wrong", [
    {"atrophy": 1.5}, {"atrophy": -0.1}, {"lesions": 2}, {"atrophy": 0.1, "cortex_mm": [-1, -0.5]},
    {"atrophy": 0.1, "hippocampi_volume": [1.1, 1.3]},
])  # fmt: skip
def test_shares_and_ranges_that_make_no_sense_are_refused(wrong):
    with pytest.raises(OptionsError, match="anatomy"):
        generator_config({"anatomy": wrong})


def test_a_brain_that_has_lost_volume_is_the_same_scan_otherwise():
    plain, shrunken = (
        draw(generator_config({"anatomy": {"atrophy": share, "hippocampi": 0, "ventricles": 0, "cortex": 0}}),
             phantom(), 4)
        for share in (0, 1)
    )  # fmt: skip
    assert plain.ventricles_mm == plain.cortex_mm == 0
    assert plain.hippocampi == (1, 1)
    assert shrunken.ventricles_mm > 0
    assert max(shrunken.hippocampi) < 1
    for name in ("affine", "means", "lesion_threshold", "sigma", "noise_seeds"):
        assert np.array_equal(getattr(plain, name), getattr(shrunken, name))


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
