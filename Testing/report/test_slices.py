"""Planes through a volume: position, side and sampling, in closed form."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from SynthSegPlusLib.report.slices import PIXEL_MM, Box, Plane, box_of, planes, sample

SHAPE = (20, 24, 16)
AXIAL = Plane("axial", 2, 0, 1, 8.0, reversed_across=True)
# No sample lies half-way between two voxels, where the nearest one would be a matter of rounding.
WHOLE = Box(np.array([0.1, 0.1, 0.1]), np.array([19.0, 23.0, 15.0]))
ORDERS = [((0, 1, 2), (0,)), ((2, 0, 1), ()), ((1, 2, 0), (0, 2)), ((2, 1, 0), (1,))]


def ramp(axis: int) -> np.ndarray:
    """A volume whose values are its RAS coordinates along an axis, mm."""
    return np.indices(SHAPE)[axis].astype(np.float64)


def grid(data: np.ndarray, affine: np.ndarray | None = None) -> SimpleNamespace:
    return SimpleNamespace(data=data, affine=np.eye(4) if affine is None else affine)


def reoriented(data: np.ndarray, order: tuple[int, ...], flips: tuple[int, ...]) -> SimpleNamespace:
    """The same volume with other axes: data and affine changed together."""
    affine = np.eye(4)[:, [*order, 3]]
    data = data.transpose(order)
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
        affine[:3, axis] *= -1
        data = np.flip(data, axis)
    return grid(data, affine)


def test_an_axial_plane_shows_right_on_the_left_and_front_at_the_top():
    across = sample(grid(ramp(0)), AXIAL, WHOLE, linear=True)
    up = sample(grid(ramp(1)), AXIAL, WHOLE, linear=True)
    assert across[0, 0] > across[0, -1]
    assert up[-1, 0] > up[0, 0]
    np.testing.assert_allclose(np.diff(across[3]), -PIXEL_MM, atol=1e-5)
    np.testing.assert_allclose(sample(grid(ramp(2)), AXIAL, WHOLE, linear=True), 8, atol=1e-5)


@pytest.mark.parametrize(("order", "flips"), ORDERS)
@pytest.mark.parametrize("plane", [AXIAL, Plane("coronal", 1, 0, 2, 5.0, True), Plane("sagittal", 0, 1, 2, 7.0, True)])
def test_the_order_of_a_volumes_axes_changes_nothing(order, flips, plane):
    data = np.random.default_rng(0).integers(0, 9, SHAPE)
    expected = sample(grid(data), plane, WHOLE, linear=False)
    np.testing.assert_array_equal(sample(reoriented(data, order, flips), plane, WHOLE, linear=False), expected)


def test_labels_are_sampled_and_never_mixed():
    data = np.where(ramp(0) > 9, 60, 2)
    assert set(np.unique(sample(grid(data), AXIAL, WHOLE, linear=False))) == {2, 60}


def test_outside_a_volume_there_is_nothing():
    box = Box(WHOLE.lower - 10, WHOLE.upper + 10)
    seen = sample(grid(np.ones(SHAPE)), AXIAL, box, linear=True)
    # Each voxel reaches half a voxel beyond its centre.
    assert seen[0, 0] == 0
    assert seen.sum() == pytest.approx(20 * 24 / PIXEL_MM**2)


def test_the_box_is_around_the_labels_and_the_centre_is_their_centre_of_mass():
    labels = np.zeros(SHAPE, int)
    labels[4:9, 6:11, 2:5] = 3
    box, centre = box_of(grid(labels, np.diag([2.0, 1.0, 3.0, 1.0])))
    np.testing.assert_allclose((box.lower, box.upper), [(8, 6, 6), (16, 10, 12)])
    np.testing.assert_allclose(centre, (12, 8, 9))


def test_without_labels_the_whole_grid_is_shown():
    box, centre = box_of(grid(np.zeros(SHAPE, int)))
    np.testing.assert_allclose(box.upper, (19, 23, 15))
    np.testing.assert_allclose(centre, (9.5, 11.5, 7.5))


def test_three_slices_a_view_with_the_middle_one_through_the_centre():
    views = planes(WHOLE, np.array([9.0, 11.0, 7.0]))
    assert list(views) == ["axial", "coronal", "sagittal"]
    assert [row[1].position for row in views.values()] == [7, 11, 9]
    assert all(row[0].position < row[1].position < row[2].position for row in views.values())


@pytest.mark.parametrize(("radiological", "axial"), [(True, ("R", "L")), (False, ("L", "R"))])
def test_marks_name_the_sides_of_the_picture(radiological, axial):
    views = planes(WHOLE, np.zeros(3), radiological)
    assert [views[name][0].marks for name in views] == [axial, axial, ("A", "P")]
