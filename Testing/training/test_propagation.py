"""Parcels carried from brain to brain."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.labels import parcels
from SynthSegPlusLib.training.brains import (
    Brain,
    brain_from_freesurfer,
    brain_from_table,
    crop,
    fill_nearest,
    parcel_names,
)
from SynthSegPlusLib.training.propagation import fit_affine, landmarks, parcel_dice, propagate


def toy(stretch: float = 1.0, shift: int = 0) -> Brain:
    """Two half shells of cortex with six parcels along y, and a few deep structures."""
    shape = (44, 52, 44)
    x, y, z = (axis - size / 2 for axis, size in zip(np.indices(shape), shape, strict=True))
    y = y - shift
    radius = np.sqrt(x**2 + (y / stretch) ** 2 + z**2)
    structures, numbers = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    ribbon = (radius < 16) & (radius > 12)
    structures[ribbon] = np.where(x < 0, 3, 42)[ribbon]
    numbers[ribbon] = (np.clip((y / stretch + 16) // 5.34, 0, 5) + 1).astype(np.uint8)[ribbon]
    for value, place in {10: (-4, 2), 49: (4, 2), 17: (-6, -4), 53: (6, -4), 16: (0, 0)}.items():
        spot = np.abs(x - place[0]) + np.abs(y / stretch - place[1]) + np.abs(z + 3) < 3
        structures[spot] = value
    return Brain("toy", structures, numbers)


def test_the_affine_fit_recovers_an_affine_map():
    rng = np.random.default_rng(0)
    matrix = np.eye(4)
    matrix[:3] += rng.normal(0, 0.2, (3, 4))
    points = rng.normal(0, 20, (12, 3))
    source = points @ matrix[:3, :3].T + matrix[:3, 3]
    source[3] = np.nan
    assert np.allclose(fit_affine(points, source), matrix)


def test_landmarks_move_with_the_brain():
    moved = landmarks(toy(shift=3).structures) - landmarks(toy().structures)
    assert np.allclose(moved[np.isfinite(moved).all(1)], [0, 3, 0], atol=0.01)


def test_parcels_reach_a_stretched_and_shifted_brain():
    target, source = toy(1.15, 2), toy()
    found = propagate(Brain("target", target.structures), [source, source])
    ribbon = np.isin(target.structures, (3, 42))
    assert (found[ribbon] > 0).all()
    assert not found[~ribbon].any()
    assert np.nanmean(parcel_dice(found, target.parcels, ribbon)) > 0.9


def test_every_voxel_takes_the_nearest_parcel():
    line = np.array([0, 1, 0, 0, 0, 2, 0]).reshape(1, 1, 7).astype(np.uint8)
    assert fill_nearest(line).ravel().tolist() in ([1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2, 2])


def test_parcel_dice_by_hand():
    one, two = np.array([1, 1, 2, 2]), np.array([1, 2, 2, 2])
    found = parcel_dice(one, two, np.ones(4, bool))
    assert found[:2] == pytest.approx([2 * 1 / 3, 2 * 2 / 5])
    assert np.isnan(found[2:]).all()


def test_freesurfer_values_and_a_table_give_the_same_brain(tmp_path):
    values = [label.value for label in parcels() if label.value]
    freesurfer = np.array([0, *values, 10, 49, 16]).reshape(1, 1, -1)
    rows, ids = ["id,label,hemisphere,structure"], {}
    for number, value in enumerate([*values, 10, 49, 16], 1):
        ids[value] = number
        if value > 1000:
            side, name = ("L" if value < 2000 else "R"), parcels()[value].name[7:]
        else:
            side, name = {10: ("L", "thalamusproper"), 49: ("R", "thalamusproper"), 16: ("B", "brainstem")}[value]
        rows.append(f"{number},{name},{side},x")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    one = brain_from_freesurfer("a", freesurfer)
    two = brain_from_table("a", np.vectorize(lambda value: ids.get(value, 0))(freesurfer), table)
    assert np.array_equal(one.structures, two.structures)
    assert np.array_equal(one.parcels, two.parcels)
    assert len(parcel_names()) == one.parcels.max() == 34


def test_a_brain_without_parcels_is_refused():
    with pytest.raises(InputError, match="0 cortical parcels"):
        brain_from_freesurfer("bare", np.full((3, 3, 3), 10))


def test_cropping_keeps_the_whole_brain():
    brain = toy()
    small, box = crop(brain, 2)
    assert np.array_equal(brain.structures[box], small.structures)
    assert (small.structures > 0).sum() == (brain.structures > 0).sum()
