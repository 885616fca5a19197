"""Where voxels come from."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.synthesis.geometry import affine_matrix, displacement_field, integrate_velocity, voxel_grid
from SynthSegPlusLib.synthesis.interpolation import sample_linear, sample_nearest
from Testing.synthesis.phantoms import numpy, tensor


def test_no_rotation_shear_or_scaling_is_the_identity():
    assert np.array_equal(affine_matrix((0, 0, 0), (0,) * 6, (1, 1, 1)), np.eye(4))


def test_a_quarter_turn_about_z_takes_x_to_y():
    turned = affine_matrix((0, 0, 90), (0,) * 6, (1, 1, 1))[:3, :3] @ [1, 0, 0]
    assert np.allclose(turned, [0, 1, 0])


def test_volume_scales_with_the_determinant_of_the_affine():
    shape = (40, 40, 40)
    ball = np.linalg.norm(np.indices(shape).T - 19.5, axis=-1).T < 9
    matrix = affine_matrix((10, -5, 7), (0.01, 0, -0.01, 0, 0.01, 0), (1.2, 0.9, 1.1))[:3, :3]
    place = (numpy(voxel_grid(shape)) - 19.5) @ matrix.T + 19.5
    moved = numpy(sample_nearest(tensor(ball, "int32"), tensor(place)))
    assert moved.sum() * np.linalg.det(matrix) == pytest.approx(ball.sum(), rel=0.02)


def test_a_constant_velocity_is_its_own_displacement():
    velocity = np.broadcast_to(np.array([0.5, -1.0, 0.25], np.float32), (10, 9, 8, 3))
    assert np.allclose(numpy(integrate_velocity(tensor(velocity))), velocity, atol=1e-5)


def test_the_opposite_velocity_gives_the_inverse_deformation():
    rng = np.random.default_rng(0)
    control = rng.normal(0, 2, (3, 3, 3, 3)).astype(np.float32)
    shape = (32, 32, 32)
    there, back = (displacement_field(sign * control, shape, 1.0) for sign in (1, -1))
    composed = numpy(there + sample_linear(back, voxel_grid(shape) + there))
    inner = (slice(8, -8),) * 3
    assert np.abs(numpy(there)[inner]).max() > 1.0
    assert np.abs(composed[inner]).mean() < 0.03 * np.abs(numpy(there)[inner]).mean()


def test_a_displacement_has_the_same_size_in_mm_at_1_and_2_mm():
    control = np.random.default_rng(1).normal(0, 3, (3, 3, 3, 3))
    fine, coarse = (numpy(displacement_field(control, (size,) * 3, unit)) for size, unit in ((48, 1.0), (24, 2.0)))
    assert np.abs(fine[::2, ::2, ::2] - coarse)[4:-4, 4:-4, 4:-4].mean() < 0.1 * np.abs(fine).mean()


def test_geometry_equals_the_reference_operators(shared):
    golden = np.load(shared / "reference" / "golden" / "ops.npz")
    numbers = golden["affine_params_rot_shear_scale_trans"]
    matrix = affine_matrix(numbers[:3], numbers[3:9], numbers[9:12], numbers[12:])
    assert np.allclose(matrix, golden["affine"][0], atol=1e-6)
    displacement = integrate_velocity(tensor(golden["svf"][0]))
    assert np.allclose(numpy(displacement), golden["svf_integrated_7steps"][0], atol=1e-5)
    volume = golden["warp_vol"][0]
    centre = (np.array(volume.shape[:3]) - 1) / 2
    place = numpy(voxel_grid(volume.shape[:3])) - centre
    for moved, name in ((place, "affine"), (place + numpy(displacement), "affine_svf")):
        source = tensor(moved @ matrix[:3, :3].T + matrix[:3, 3] + centre)
        assert np.allclose(numpy(sample_linear(tensor(volume), source)), golden[f"warp_{name}_linear"][0], atol=1e-4)
        nearest = numpy(sample_nearest(tensor(volume[..., 0]), source))
        assert np.array_equal(nearest, golden[f"warp_{name}_nearest"][0, ..., 0])
