"""The published way to conform, bit for bit against numbers of the reference implementation."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.volume import Volume, conform
from SynthSegPlusLib.volume._orientation import published_orientation
from SynthSegPlusLib.volume._published import positions, resampled_affine
from Testing.volume.phantom import phantom

FIXTURE = Path(__file__).parents[1] / "fixtures" / "phantom_conformed_published.npz"
# What the reference printed: name, shape after alignment, padded shape, whether it resampled.
GOLDEN = [
    ("A_t1_oblique", (127, 151, 126), (128, 160, 128), True),
    ("B_pd_thick", (127, 156, 126), (128, 160, 128), True),
    ("C_t1_1mm_float", (140, 150, 130), (160, 160, 160), False),
]


def phantom_volume() -> Volume:
    """The phantom as read from a NIfTI file, whose header holds float32."""
    data, affine = phantom()
    affine = affine.astype(np.float32).astype(np.float64)
    sizes = np.linalg.norm(affine[:3, :3], axis=0).astype(np.float32)
    return Volume(data, affine, "phantom", header_sizes=sizes)


def test_the_phantom_is_conformed_bit_for_bit():
    stored = np.load(FIXTURE)
    conformed = conform(phantom_volume(), "published")
    box = stored["box"]
    assert conformed.inner == tuple(slice(a, b) for a, b in zip(box[:3], box[3:], strict=True))
    assert conformed.image.dtype == np.float32
    assert np.array_equal(conformed.image[::4, ::4, ::4], stored["image_stride4"])
    assert conformed.image.mean(dtype=np.float64) == pytest.approx(float(stored["mean"]), rel=1e-6)


@pytest.mark.parametrize(("name", "shape", "padded", "resampled"), GOLDEN)
def test_golden_scans_get_the_references_grid(shared, name, shape, padded, resampled):
    scan = Volume.read(shared / "reference" / "golden" / "inputs" / f"{name}.nii.gz")
    conformed = conform(scan, "published")
    assert conformed.output_shape == shape
    assert conformed.image.shape == padded
    assert conformed.resampled is resampled
    assert conformed.voxel_volume_mm3 == pytest.approx(1.0, abs=1e-6)


def test_golden_scan_a_is_conformed_bit_for_bit(shared):
    golden = shared / "reference" / "golden"
    conformed = conform(Volume.read(golden / "inputs" / "A_t1_oblique.nii.gz"), "published")
    with np.load(golden / "intermediates_A" / "image_stride2.npz") as stored:
        assert np.array_equal(conformed.image[::2, ::2, ::2], stored["image"])


@pytest.mark.parametrize("name", ["A_t1_oblique", "B_pd_thick"])
def test_the_resampled_scan_is_written_bit_for_bit(shared, tmp_path, name):
    golden = shared / "reference" / "golden"
    conformed = conform(Volume.read(golden / "inputs" / f"{name}.nii.gz"), "published")
    written = nib.load(conformed.resampled_volume().write(tmp_path / "resampled.nii.gz", dtype="header"))
    with np.load(golden / "runs" / f"{name[0]}_robust_parc_qc" / "resampled_stride4.npz") as stored:
        assert np.array_equal(written.get_fdata()[::4, ::4, ::4].astype(np.float32), stored["resampled"])


@pytest.mark.parametrize(("name", "shape", "padded", "resampled"), GOLDEN)
def test_a_label_map_gets_the_references_header(shared, tmp_path, name, shape, padded, resampled):
    golden = shared / "reference" / "golden"
    conformed = conform(Volume.read(golden / "inputs" / f"{name}.nii.gz"), "published")
    labels = conformed.restore(conformed.to_output(np.zeros(padded, np.int32)))
    image = nib.load(labels.write(tmp_path / "seg.nii.gz", dtype=np.int32))
    expected = json.loads((golden / "runs" / "summary.json").read_text())[f"{name[0]}_fast"]["seg"]
    assert list(image.shape) == expected["shape"]
    assert str(image.get_data_dtype()) == expected["dtype"]
    assert np.allclose(image.affine, expected["affine"], atol=2e-6)
    assert np.allclose(image.header.get_zooms(), expected["zooms"])
    assert int(image.header["sform_code"]) == expected["sform_code"]
    assert int(image.header["qform_code"]) == expected["qform_code"]


def test_rounding_of_the_affine_adds_a_sample_as_in_the_reference():
    assert len(positions(84, 1.5)) == 126
    assert len(positions(84, float(np.float32(1.5000001)))) == 127
    assert len(positions(24, float(np.float32(1.2)))) == 30
    samples = positions(24, float(np.float32(1.2)))
    assert samples[0] == 0
    assert samples[-1] == 23
    assert np.all(np.diff(samples) >= 0)


def test_outer_voxel_edges_coincide_after_resampling():
    affine = np.array([[0, -2.5, 0, 7], [0.8, 0, 0, -3], [0, 0, 1.25, 11], [0, 0, 0, 1]])
    edge = np.array([-0.5, -0.5, -0.5, 1])
    assert np.allclose(resampled_affine(affine) @ edge, affine @ edge)
    assert np.allclose(np.linalg.norm(resampled_affine(affine)[:3, :3], axis=0), 1)


def test_a_conflict_of_axes_goes_to_the_last_as_in_the_reference():
    # Both R and A lie closest to the first voxel axis.
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.inv([[0.9, 0.8, 0.0], [0.3, 0.2, 0.1], [0.0, 0.1, 1.0]])
    assert published_orientation(affine).axes == (0, 1, 2)


def test_voxel_sizes_near_1_mm_are_kept_and_counted():
    data, _ = phantom()
    conformed = conform(Volume(data, np.diag([0.96, 1.04, 1.0, 1.0])), "published")
    assert not conformed.resampled
    assert conformed.output_shape == data.shape
    assert conformed.voxel_volume_mm3 == pytest.approx(0.96 * 1.04)
    assert conform(Volume(data, np.diag([0.94, 1.0, 1.0, 1.0])), "published").resampled


def test_the_header_decides_on_resampling_and_the_affine_does_it():
    data, _ = phantom()
    kept = conform(Volume(data, np.diag([1.5, 1.5, 1.5, 1]), header_sizes=np.ones(3)), "published")
    assert not kept.resampled
    assert kept.voxel_volume_mm3 == 1


def test_a_crop_takes_the_centre_and_goes_back_into_background():
    data, _ = phantom()
    scan = Volume(np.pad(data, 20), np.eye(4))
    conformed = conform(scan, "published", crop=(60, 96, 32))
    assert conformed.image.shape == (64, 96, 32)
    assert [s.start for s in conformed.patch] == [18, 7, 36]
    labels = conformed.to_output(np.ones(conformed.image.shape, np.int32))
    assert labels.shape == scan.shape
    assert labels.sum() == 64 * 96 * 32
    posteriors = np.zeros((*conformed.image.shape, 2), np.float32)
    posteriors[..., 1] = 1
    back = conformed.to_output(posteriors)
    assert np.all(back.sum(axis=-1) == 1)
    assert np.array_equal(back[..., 1], labels)


def test_a_crop_larger_than_the_scan_pads_up_to_it():
    data, _ = phantom()
    conformed = conform(Volume(data, np.eye(4)), "published", crop=96)
    assert conformed.image.shape == (96, 96, 96)
    assert conformed.to_output(conformed.image).shape == data.shape


def test_ct_is_clipped_before_scaling():
    ramp = np.linspace(-1000, 1000, 32**3).reshape(32, 32, 32)
    image = conform(Volume(ramp, np.eye(4)), "published", ct=True, minimum=32).image
    assert np.count_nonzero(image == 0) == np.count_nonzero(ramp <= 0)
    assert np.count_nonzero(image == 1) == np.count_nonzero(ramp >= 80)


def test_only_1_mm_is_published():
    data, affine = phantom()
    with pytest.raises(OptionsError, match="2 mm"):
        conform(Volume(data, affine), "published", resolution_mm=2)
    with pytest.raises(OptionsError, match="neither"):
        conform(Volume(data, affine), "neither")
