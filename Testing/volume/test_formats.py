"""Reading and writing: geometry survives, left stays left, files appear whole or not at all."""

import os
import struct
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from SynthSegPlusLib.contract.errors import OutputError
from SynthSegPlusLib.volume import WRITABLE, Volume, conform

TILT = np.array([[-0.9, 0.2, 0.1, 40.5], [0.3, 1.1, -0.2, -70.25], [0.1, 0.3, 2.4, -31.0], [0, 0, 0, 1]])
NAMES = [f"scan{ext}" for ext in WRITABLE]


def perpendicular() -> np.ndarray:
    """An oblique affine with perpendicular axes, which every format can hold."""
    rotation, _ = np.linalg.qr(TILT[:3, :3])
    affine = np.eye(4)
    affine[:3, :3] = rotation * (0.9, 1.1, 2.4)
    affine[:3, 3] = TILT[:3, 3]
    return affine


def numbers(shape=(7, 8, 9), dtype=np.int16) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_what_was_written_is_read_again(tmp_path, name, dtype):
    data = numbers(dtype=dtype)
    path = Volume(data, perpendicular()).write(tmp_path / name)
    back = Volume.read(path)
    assert np.array_equal(back.data, data)
    assert back.data.dtype == dtype
    assert np.allclose(back.affine, perpendicular(), atol=1e-4)
    assert back.name == "scan"
    assert back.source == path
    assert back.findings == ()


@pytest.mark.parametrize("name", NAMES)
def test_posteriors_keep_their_channels(tmp_path, name):
    data = np.random.default_rng(0).random((6, 7, 8, 3), np.float32)
    path = Volume(data, perpendicular()).write(tmp_path / name)
    for frame in range(3):
        assert np.array_equal(Volume.read(path, frame).data, data[..., frame])


@pytest.mark.parametrize("name", NAMES)
def test_left_stays_left_in_every_format(tmp_path, name):
    data = np.zeros((20, 21, 22), np.uint8)
    data[16, 3, 5] = 1
    las = np.diag([-2.0, 2.0, 2.0, 1.0])
    las[:3, 3] = (20, -20, -20)
    scan = Volume(data, las)
    back = Volume.read(scan.write(tmp_path / name))
    world = back.affine @ np.append(np.argwhere(back.data)[0], 1)
    assert np.allclose(world[:3], (-12, -14, -10))


def test_simpleitk_sees_a_written_nrrd_where_we_do(tmp_path):
    path = Volume(numbers(), perpendicular()).write(tmp_path / "scan.nrrd")
    image = SimpleITK.ReadImage(str(path))
    lps = image.TransformIndexToPhysicalPoint((2, 3, 4))
    ras = perpendicular() @ (2, 3, 4, 1)
    assert np.allclose((-lps[0], -lps[1], lps[2]), ras[:3])
    assert image[2, 3, 4] == numbers()[2, 3, 4]


def test_a_nifti_header_is_carried_over(tmp_path):
    image = nib.Nifti1Image(numbers(), perpendicular())
    image.header["descrip"] = b"from the scanner"
    image.set_sform(perpendicular(), 1)
    image.set_qform(perpendicular(), 1)
    nib.save(image, tmp_path / "in.nii.gz")
    scan = Volume.read(tmp_path / "in.nii.gz")
    labels = Volume(scan.data.astype(np.int32), scan.affine, header=scan.header)
    out = nib.load(labels.write(tmp_path / "out.nii.gz", dtype=np.int32))
    assert out.get_data_dtype() == np.int32
    assert bytes(out.header["descrip"]).startswith(b"from the scanner")
    assert (int(out.header["sform_code"]), int(out.header["qform_code"])) == (1, 1)
    assert np.array_equal(out.affine, nib.load(tmp_path / "in.nii.gz").affine)


def test_labels_are_not_squeezed_into_the_scans_type(tmp_path):
    nib.save(nib.Nifti1Image(numbers(dtype=np.uint8), np.eye(4)), tmp_path / "in.nii")
    scan = Volume.read(tmp_path / "in.nii")
    labels = np.full(scan.shape, 2035, np.int64)
    back = Volume.read(Volume(labels, scan.affine, header=scan.header).write(tmp_path / "out.nii"))
    assert np.array_equal(back.data, labels)
    assert back.data.dtype == np.int32


@pytest.mark.parametrize("name", ["out.nii.gz", "out.mgz"])
def test_numbers_that_have_the_wanted_type_are_written_without_a_copy_of_them(tmp_path, name):
    data = np.zeros((100, 100, 100), np.float32)
    volume = Volume(data, np.eye(4))
    volume.write(tmp_path / f"first_{name}", dtype=np.float32)  # imports count too
    tracemalloc.start()
    try:
        volume.write(tmp_path / name, dtype=np.float32)
        assert tracemalloc.get_traced_memory()[1] < data.nbytes
    finally:
        tracemalloc.stop()


def test_scaled_integers_are_read_as_intensities(tmp_path):
    image = nib.Nifti1Image(np.linspace(0, 1, 504).reshape(7, 8, 9), np.eye(4))
    image.header.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "scaled.nii")
    scan = Volume.read(tmp_path / "scaled.nii")
    assert scan.data.dtype == np.float64
    assert np.array_equal(scan.data, nib.load(tmp_path / "scaled.nii").get_fdata())


def test_big_endian_and_trailing_single_axes_are_read(tmp_path):
    image = nib.Nifti1Image(numbers().astype(">i2")[..., None, None], np.eye(4), nib.Nifti1Header(endianness=">"))
    nib.save(image, tmp_path / "big.nii")
    scan = Volume.read(tmp_path / "big.nii")
    assert np.array_equal(scan.data, numbers())
    assert scan.data.dtype.isnative
    assert scan.findings == ()


def test_the_first_frame_of_a_series_is_taken_and_said(tmp_path):
    data = numbers((7, 8, 9, 12))
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "bold.nii.gz")
    scan = Volume.read(tmp_path / "bold.nii.gz")
    assert np.array_equal(scan.data, data[..., 0])
    assert [finding.code for finding in scan.findings] == ["several-frames"]
    assert "12" in scan.findings[0].message
    assert np.array_equal(Volume.read(tmp_path / "bold.nii.gz", frame=3).data, data[..., 3])


def test_eight_slices_are_slices_and_not_channels(tmp_path):
    nib.save(nib.Nifti1Image(numbers((40, 50, 8)), np.diag([1.0, 1.0, 6.0, 1.0])), tmp_path / "thin.nii")
    assert conform(Volume.read(tmp_path / "thin.nii"), "published").output_shape == (40, 50, 48)


def test_a_header_in_metres_is_converted(tmp_path):
    image = nib.Nifti1Image(numbers(), np.diag([0.001, 0.001, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "metres.nii")
    scan = Volume.read(tmp_path / "metres.nii")
    assert np.allclose(scan.spacing, (1, 1, 3))
    assert [finding.code for finding in scan.findings] == ["units"]
    again = Volume.read(scan.write(tmp_path / "again.nii"))
    assert np.allclose(again.spacing, (1, 1, 3))
    assert again.findings == ()


def test_a_header_that_claims_micrometres_of_a_head_is_not_believed(tmp_path):
    image = nib.Nifti1Image(numbers(), np.eye(4))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "micron.nii")
    scan = Volume.read(tmp_path / "micron.nii")
    assert np.allclose(scan.spacing, 1)
    assert "not" not in scan.findings[0].code
    assert "taken as millimetres" in scan.findings[0].message


def test_an_archive_without_affine_is_taken_as_ras(tmp_path):
    np.savez(tmp_path / "plain.npz", vol_data=numbers())
    scan = Volume.read(tmp_path / "plain.npz")
    assert np.array_equal(scan.affine, np.eye(4))
    assert [finding.code for finding in scan.findings] == ["no-orientation"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch, name):
    def fail(source, target):
        raise OSError(28, "No space left on device")

    old = Volume(numbers(), perpendicular()).write(tmp_path / name).read_bytes()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        Volume(numbers() + 1, perpendicular()).write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == old


def test_the_folder_of_an_output_is_made_and_an_impossible_one_is_named(tmp_path):
    assert Volume(numbers(), np.eye(4)).write(tmp_path / "new" / "deep" / "x.nii.gz").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Volume(numbers(), np.eye(4)).write(tmp_path / "file" / "x.nii.gz")
    with pytest.raises(OutputError, match="extension"):
        Volume(numbers(), np.eye(4)).write(tmp_path / "x.png")
    (tmp_path / "taken.nii").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        Volume(numbers(), np.eye(4)).write(tmp_path / "taken.nii")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "new", "taken.nii"]


def test_a_converted_header_contradicts_nothing(tmp_path):
    image = nib.Nifti1Image(numbers((40, 41, 42)), np.diag([0.001, 0.001, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "metres.nii")
    scan = Volume.read(tmp_path / "metres.nii")
    assert np.allclose(scan.stated_sizes, scan.spacing)
    assert conform(scan, "centred").output_shape == (40, 42, 126)


def test_an_extension_of_an_odd_size_is_no_matter(tmp_path):
    """Nothing is read from extensions; a warning would be an error here."""
    image = nib.Nifti1Image(np.arange(8 * 8 * 8, dtype=np.float32).reshape(8, 8, 8), np.diag([1, 1, 1, 1]))
    path = tmp_path / "odd.nii"
    nib.save(image, path)
    raw = bytearray(path.read_bytes())
    raw[108:112] = struct.pack("<f", 376.0)  # where the voxels begin
    extension = struct.pack("<ii", 24, 0) + bytes(16)  # 24 is no multiple of 16
    path.write_bytes(raw[:348] + bytes([1, 0, 0, 0]) + extension + raw[352:])
    assert np.array_equal(Volume.read(path).data, np.asarray(image.dataobj))
