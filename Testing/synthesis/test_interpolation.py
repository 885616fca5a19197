"""Separable operators as matrices, and sampling."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.synthesis.acquisition import acquire, blur_sigma, field_of_view_mask
from SynthSegPlusLib.synthesis.interpolation import (
    apply_along_axes,
    blur_matrix,
    linear_matrix,
    nearest_matrix,
    resize,
    sample_linear,
    sample_nearest,
)
from Testing.synthesis.phantoms import numpy, tensor


def test_resizing_to_the_same_size_changes_nothing():
    assert np.array_equal(linear_matrix(7, 7), np.eye(7))
    assert np.array_equal(nearest_matrix(7, 7), np.eye(7))


def test_a_blurred_impulse_has_the_asked_width():
    row = blur_matrix(101, 3.0, 15)[50]
    offsets = np.arange(101) - 50
    assert row.sum() == pytest.approx(1.0)
    assert np.sqrt((row * offsets**2).sum()) == pytest.approx(3.0, rel=0.01)


def test_no_blur_at_sigma_zero():
    assert np.array_equal(blur_matrix(9, 0.0), np.eye(9))


def test_linear_sampling_is_exact_on_a_plane_and_clamps_outside():
    x, y, z = np.indices((6, 7, 8)).astype(float)
    plane = (x + 2 * y - z)[..., None]
    points = np.array([[1.25, 2.5, 3.75], [-3.0, 2.0, 2.0], [9.0, 6.0, 7.0]])
    found = numpy(sample_linear(tensor(plane), tensor(points)))[:, 0]
    assert np.allclose(found, [1.25 + 5 - 3.75, 0 + 4 - 2, 5 + 12 - 7], atol=1e-5)


def test_nearest_sampling_outside_gives_the_edge_or_the_asked_value():
    volume = tensor(np.arange(27).reshape(3, 3, 3) + 1, "int32")
    points = tensor([[-2.0, 0.0, 0.0], [1.0, 1.0, 1.2]])
    assert numpy(sample_nearest(volume, points)).tolist() == [1, 14]
    assert numpy(sample_nearest(volume, points, outside=0)).tolist() == [0, 14]


def test_acquiring_at_the_working_resolution_without_blur_changes_nothing():
    image = np.random.default_rng(0).random((12, 13, 14)).astype(np.float32)
    assert np.allclose(numpy(acquire(tensor(image), (1, 1, 1), (0, 0, 0), 1.0)), image, atol=1e-6)


def test_thick_slices_keep_a_constant_image_and_lose_fine_detail():
    flat = np.full((16, 16, 32), 0.7, np.float32)
    stripes = np.broadcast_to(np.arange(32) % 2, (16, 16, 32)).astype(np.float32)
    sigma = blur_sigma(4.0, 4.0, 1.0)
    inner = (slice(None), slice(None), slice(8, 20))
    assert np.allclose(numpy(acquire(tensor(flat), (1, 1, 4), (0, 0, sigma), 1.0))[inner], 0.7, atol=0.01)
    assert np.ptp(numpy(acquire(tensor(stripes), (1, 1, 4), (0, 0, sigma), 1.0))[inner]) < 0.05


def test_blur_follows_thickness_not_spacing():
    assert blur_sigma(6.0, 2.0, 1.0) == pytest.approx(1.5)
    assert blur_sigma(4.0, 4.0, 2.0) == pytest.approx(1.5)
    assert blur_sigma(1.0, 1.0, 1.0) == 0.5


def test_the_field_of_view_is_a_box():
    mask = field_of_view_mask((4, 5, 6), (0, 1, 0), (4, 3, 6))
    assert mask.sum() == 4 * 2 * 6
    assert mask[:, 1:3].all()


def test_operators_equal_the_reference(shared):
    golden = np.load(shared / "reference" / "golden" / "ops.npz")
    small = golden["resize_in"][0]
    assert np.allclose(numpy(resize(tensor(small), (12, 15, 9))), golden["resize_linear_12_15_9"][0], atol=1e-5)
    picks = [nearest_matrix(new, old) for new, old in zip((3, 4, 2), small.shape, strict=False)]
    assert np.allclose(numpy(apply_along_axes(tensor(small), picks)), golden["resize_nearest_3_4_2"][0])
    image = golden["blur_in"][0, ..., 0]
    for name, sigmas, radius in (
        ("gaussian_blur_sigma0.5", (0.5, 0.5, 0.5), 1),
        ("dynamic_blur_sigma_1.3_0.5_4.1_max6", (1.3, 0.5, 4.1), 7),
    ):
        blurs = [blur_matrix(size, sigma, radius) for size, sigma in zip(image.shape, sigmas, strict=True)]
        assert np.allclose(numpy(apply_along_axes(tensor(image), blurs)), golden[name][0, ..., 0], atol=1e-5)
    for name, spacing in (("mimic_acq_res_1_3.5_6", (1, 3.5, 6)), ("mimic_acq_res_2.2_1_1.7", (2.2, 1, 1.7))):
        assert np.allclose(numpy(acquire(tensor(image), spacing, (0, 0, 0), 1.0)), golden[name][0, ..., 0], atol=1e-5)
