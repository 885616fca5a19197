"""The centred way to conform depends on the anatomy alone."""

import itertools

import numpy as np
import pytest

from SynthSegPlusLib.volume import Volume, conform
from SynthSegPlusLib.volume._orientation import Orientation, nearest_orientation

ORIENTATIONS = [
    Orientation(axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def oblique(angles=(0.2, -0.1, 0.15)) -> np.ndarray:
    """Rotation matrix [3, 3] from three angles in radians."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (k for k in range(3) if k != axis)
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def scan(shape=(41, 36, 17), sizes=(1.3, 0.7, 2.75), seed=0, rotation=None) -> Volume:
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = (oblique() if rotation is None else rotation) * np.array(sizes)
    affine[:3, 3] = (-20, 13, 7)
    return Volume(rng.normal(100, 30, shape).astype(np.float32), affine)


def stored_as(volume: Volume, orientation: Orientation) -> Volume:
    """The same scan with its voxel axes in another order and direction."""
    return Volume(
        np.ascontiguousarray(orientation.apply(volume.data)), orientation.apply_affine(volume.affine, volume.shape)
    )


@pytest.mark.parametrize("resolution", [1.0, 2.0])
@pytest.mark.parametrize("sizes", [(1.3, 0.7, 2.75), (1.0, 1.0, 1.0), (0.9999, 1.0001, 4.40001)])
def test_all_48_orientations_give_the_same_array(resolution, sizes):
    volume = scan(sizes=sizes)
    expected = conform(volume, "centred", resolution, multiple=16, minimum=16)
    assert len(ORIENTATIONS) == 48
    for orientation in ORIENTATIONS:
        got = conform(stored_as(volume, orientation), "centred", resolution, multiple=16, minimum=16)
        assert np.array_equal(got.image, expected.image)
        assert np.allclose(got.affine, expected.affine, atol=1e-9)
        assert got.inner == expected.inner


@pytest.mark.parametrize("angle", [45.0, -45.0, 135.0])
def test_a_scan_tilted_by_45_degrees_does_not_depend_on_its_storage(angle):
    volume = scan(rotation=oblique((0, 0, np.deg2rad(angle))), sizes=(1.5, 1.5, 1.5))
    expected = conform(volume, "centred", multiple=16, minimum=16).image
    for orientation in ORIENTATIONS:
        assert np.array_equal(
            conform(stored_as(volume, orientation), "centred", multiple=16, minimum=16).image, expected
        )


@pytest.mark.parametrize("shape", [(41, 36, 17), (40, 35, 18)])
@pytest.mark.parametrize("resolution", [1.0, 2.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_scan_gives_the_mirrored_array(shape, resolution, axis):
    volume = scan(shape)
    mirrored = Volume(np.flip(volume.data, axis), volume.affine)
    image = conform(volume, "centred", resolution, multiple=16, minimum=16).image
    assert np.array_equal(conform(mirrored, "centred", resolution, multiple=16, minimum=16).image, np.flip(image, axis))


@pytest.mark.parametrize("width", [40, 41])
def test_mirroring_about_the_scans_middle_is_exact_at_its_own_grid(width):
    volume = scan((width, 36, 20), (1, 1, 1), rotation=np.eye(3))
    first = conform(volume, "centred", multiple=16, minimum=16)
    second = conform(Volume(volume.data[::-1], volume.affine), "centred", multiple=16, minimum=16)
    assert not first.resampled
    assert np.array_equal(first.mirror(first.image), second.image)
    labels = np.random.default_rng(1).integers(0, 60, first.image.shape)
    assert np.array_equal(
        first.to_output(first.mirror(labels)), first.to_output(labels)[::-1]
    )


def test_a_mirrored_affine_gives_the_mirrored_array():
    volume = scan((41, 36, 18))
    mirrored = Volume(volume.data, np.diag([-1.0, 1, 1, 1]) @ volume.affine)
    image = conform(volume, "centred", multiple=16, minimum=16).image
    assert np.array_equal(conform(mirrored, "centred", multiple=16, minimum=16).image, image[::-1])


def test_left_stays_left():
    data = np.zeros((30, 30, 30), np.float32)
    data[2:8, 18:28, 20:28] = 1
    right_posterior = np.diag([-1.0, -1.0, 1.0, 1.0])
    right_posterior[:3, 3] = (15, 15, -15)
    conformed = conform(Volume(data, right_posterior), "centred", multiple=16, minimum=32)
    place = np.argwhere(conformed.image > 0.5).mean(axis=0)
    world = conformed.affine[:3, :3] @ place + conformed.affine[:3, 3]
    expected = right_posterior[:3, :3] @ np.argwhere(data).mean(axis=0) + right_posterior[:3, 3]
    assert np.allclose(world, expected, atol=1e-9)
    assert world[0] > 0
    assert place[0] > 16


@pytest.mark.parametrize("resolution", [1.0, 2.0])
def test_the_grid_covers_the_scan_around_its_centre(resolution):
    volume = scan()
    conformed = conform(volume, "centred", resolution, multiple=16, minimum=16)
    box = np.array([(s.start, s.stop) for s in conformed.inner])
    assert np.array_equal(box[:, 0], np.array(conformed.image.shape) - box[:, 1])
    middle = (np.array(conformed.image.shape) - 1) / 2
    native = volume.affine[:3, :3] @ ((np.array(volume.shape) - 1) / 2) + volume.affine[:3, 3]
    assert np.allclose(conformed.affine[:3, :3] @ middle + conformed.affine[:3, 3], native)
    assert np.all((box[:, 1] - box[:, 0]) * resolution >= volume.spacing * volume.shape - 0.05 * resolution)
    assert np.allclose(np.linalg.norm(conformed.affine[:3, :3], axis=0), resolution)


@pytest.mark.parametrize("scheme", ["centred", "published"])
@pytest.mark.parametrize("orientation", ORIENTATIONS[::5])
def test_a_linear_ramp_in_the_world_stays_that_ramp(scheme, orientation):
    volume = stored_as(scan((30, 31, 16), (0.8, 1.2, 2.5)), orientation)
    grid = np.indices(volume.shape).reshape(3, -1)
    world = volume.affine[:3, :3] @ grid + volume.affine[:3, 3:]
    weights = np.array([0.7, -0.4, 1.1])
    ramp = Volume((weights @ world).reshape(volume.shape), volume.affine)
    conformed = conform(ramp, scheme, multiple=16, minimum=16)
    found = conformed.resampled_volume()
    inside = np.indices(found.shape).reshape(3, -1)
    expected = (weights @ (found.affine[:3, :3] @ inside + found.affine[:3, 3:])).reshape(found.shape)
    margin = tuple(slice(5, -5) for _ in range(3))
    assert np.allclose(found.data[margin], expected[margin], atol=1e-3)


@pytest.mark.parametrize(("scheme", "resolution"), [("centred", 1.0), ("centred", 2.0), ("published", 1.0)])
@pytest.mark.parametrize("sizes", [(1.3, 0.7, 2.75), (1.0, 1.0, 1.0)])
def test_a_blob_comes_back_to_where_it_was(scheme, resolution, sizes):
    for orientation in ORIENTATIONS[::7]:
        volume = stored_as(scan((44, 60, 32), sizes), orientation)
        blob = np.zeros(volume.shape, np.float32)
        blob[tuple(slice(n // 3, n // 3 + n // 4) for n in volume.shape)] = 1
        conformed = conform(Volume(blob, volume.affine), scheme, resolution, multiple=16, minimum=16)
        output = conformed.to_output(conformed.image)
        assert output.shape == tuple(conformed.output_shape)
        native = conformed.restore(output, "native", "linear")
        assert native.shape == volume.shape
        assert np.array_equal(native.affine, volume.affine)
        overlap = np.mean((native.data > 0.5) == (blob > 0.5))
        assert overlap > 0.95
        one_mm = conformed.restore(output, "1mm")
        back = np.argwhere(one_mm.data > 0.5).mean(axis=0)
        centre = np.argwhere(blob).mean(axis=0)
        assert np.allclose(
            one_mm.affine[:3, :3] @ back + one_mm.affine[:3, 3],
            volume.affine[:3, :3] @ centre + volume.affine[:3, 3],
            atol=0.75,
        )


@pytest.mark.parametrize("scheme", ["centred", "published"])
def test_a_scan_at_1_mm_comes_back_voxel_for_voxel(scheme):
    labels = np.random.default_rng(3).integers(0, 60, (33, 40, 37)).astype(np.int32)
    affine = np.diag([-1.0, 1.0, -1.0, 1.0])
    for orientation in ORIENTATIONS:
        volume = stored_as(Volume(labels, affine), orientation)
        conformed = conform(volume, scheme, multiple=16, minimum=16)
        padded = np.zeros(conformed.image.shape, np.int32)
        padded[conformed.inner] = conformed.orientation.apply(volume.data)
        assert conformed.output_is_inner
        for grid in ("1mm", "native"):
            back = conformed.restore(conformed.to_output(padded), grid)
            assert np.array_equal(back.data, volume.data)
            assert np.array_equal(back.affine, volume.affine)


@pytest.mark.parametrize("resolution", [1.0, 2.0])
def test_posteriors_sum_to_one_on_every_grid(resolution):
    conformed = conform(scan((30, 41, 19)), "centred", resolution, multiple=16, minimum=16)
    posteriors = np.random.default_rng(2).dirichlet(np.ones(5), conformed.image.shape).astype(np.float32)
    output = conformed.to_output(posteriors)
    assert output.shape == (*conformed.output_shape, 5)
    for grid in ("1mm", "native"):
        found = conformed.restore(output, grid, "linear").data
        assert np.allclose(found.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("crop", [None, 20])
def test_posteriors_come_channel_by_channel_as_single_maps_do(crop):
    conformed = conform(scan((30, 41, 19)), "centred", 2.0, crop=crop, multiple=4, minimum=4)
    posteriors = np.random.default_rng(2).random((*conformed.image.shape, 3), np.float32)
    output = conformed.to_output(posteriors)
    for channel in (1, 2):
        assert np.allclose(output[..., channel], conformed.to_output(posteriors[..., channel]), atol=1e-6)
    planes = list(conformed.output_planes(posteriors))
    assert np.array_equal(np.stack(planes), output)


def test_labels_on_the_native_grid_are_those_of_the_nearest_voxel():
    conformed = conform(scan((30, 41, 19), (2.0, 0.5, 3.0), rotation=np.eye(3)), "centred", multiple=16, minimum=16)
    labels = np.arange(np.prod(conformed.output_shape)).reshape(conformed.output_shape)
    native = conformed.restore(labels, "native")
    assert native.data.dtype == labels.dtype
    for index in [(0, 0, 0), (3, 17, 5), (29, 40, 18)]:
        world = native.affine @ np.array([*index, 1])
        place = (np.linalg.inv(conformed.output_affine) @ world)[:3]
        found = np.unravel_index(native.data[index], labels.shape)
        assert np.all(np.abs(place - found) <= 0.5 + 1e-6)


def test_a_crop_keeps_its_place_at_2_mm():
    volume = scan((60, 64, 40), (1.0, 1.0, 1.0), rotation=np.eye(3))
    conformed = conform(volume, "centred", 2.0, crop=30, multiple=8)
    assert conformed.image.shape == (16, 16, 16)
    posteriors = np.zeros((16, 16, 16, 2), np.float32)
    posteriors[..., 1] = 1
    output = conformed.to_output(posteriors)
    assert output.shape == (60, 64, 40, 2)
    assert np.allclose(output.sum(axis=-1), 1)
    assert output[30, 32, 20, 1] == 1
    assert output[0, 0, 0, 0] == 1


def test_volumes_count_the_cell_of_the_grid():
    own = conform(scan(sizes=(0.97, 1.02, 1.0)), "centred")
    assert not own.resampled
    assert own.voxel_volume_mm3 == pytest.approx(0.97 * 1.02)
    other = conform(scan(), "centred", 2.0)
    assert other.voxel_volume_mm3 == pytest.approx(1)
    assert other.working_voxel_volume_mm3 == pytest.approx(8)


def test_nan_infinity_and_huge_numbers_do_no_harm():
    volume = scan((24, 24, 24), (1.5, 1.5, 1.5))
    data = volume.data.astype(np.float64)
    data[0, 0, 0], data[1, 1, 1], data[2, 2, 2], data[3, 3, 3] = np.nan, np.inf, -np.inf, 1e300
    for scheme in ("centred", "published"):
        image = conform(Volume(data, volume.affine), scheme).image
        assert np.isfinite(image).all()
        assert image.min() == 0
        assert image.max() == 1


def test_a_constant_scan_becomes_zero():
    image = conform(Volume(np.full((20, 20, 20), 7), np.eye(4)), "centred").image
    assert not image.any()


def test_orientations_undo_themselves():
    data = np.random.default_rng(0).normal(size=(3, 4, 5, 2))
    affine = scan().affine
    for orientation in ORIENTATIONS:
        turned = orientation.apply(data)
        assert np.array_equal(orientation.undo(turned), data)
        assert np.allclose(orientation.undo_affine(orientation.apply_affine(affine, data.shape), turned.shape), affine)
        found = nearest_orientation(orientation.apply_affine(affine, data.shape))
        assert np.array_equal(found.apply(turned), nearest_orientation(affine).apply(data))


def test_an_array_on_another_grid_is_refused():
    conformed = conform(scan(), "centred")
    with pytest.raises(ValueError, match="not on the output grid"):
        conformed.restore(np.zeros((5, 5, 5)))
    with pytest.raises(ValueError, match="grid must be"):
        conformed.restore(np.zeros(conformed.output_shape), "2mm")
