"""A folder of DICOM files, written here slice by slice."""

import numpy as np
import pytest
import SimpleITK

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.volume import Volume

COSINES = np.array([[1, 0, 0], [0, 0.96, 0.28]])  # of rows and columns, LPS
ORIGIN = np.array([-30.0, -25.0, -20.0])
SPACING = (1.5, 2.0, 4.0)


def series(folder, data, uid="1.2.3", origin=ORIGIN, prefix="im", skip=()):
    """Write data int16 [x, y, z] as one file per slice; return the voxel-to-RAS affine."""
    folder.mkdir(exist_ok=True, parents=True)
    normal = np.cross(*COSINES)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(data.shape[2]):
        if k in skip:
            continue
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(data[:, :, k].T)[None])
        image.SetSpacing(SPACING)
        image.SetDirection(np.stack([*COSINES, normal], axis=1).ravel().tolist())
        place = origin + normal * SPACING[2] * k
        image.SetOrigin(place.tolist())
        text = "\\".join
        tags = {
            "0008|0060": "MR",
            "0020|000e": uid,
            "0020|000d": "1.2",
            "0008|0018": f"{uid}.{k}",
            "0020|0013": str(k),
            "0020|0032": text(f"{v:.6f}" for v in place),
            "0020|0037": text(f"{v:.6f}" for v in COSINES.ravel()),
            "0018|0050": str(SPACING[2]),
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        # Names out of order: the place of a slice is in the file, not in its name.
        writer.SetFileName(str(folder / f"{prefix}{(k * 7) % 100:03d}.dcm"))
        writer.Execute(image)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([*COSINES, normal], axis=1) * SPACING
    affine[:3, 3] = origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def numbers(shape=(10, 12, 6)):
    return np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)


def test_a_folder_becomes_a_volume_in_its_place(tmp_path):
    affine = series(tmp_path / "dicom", numbers())
    scan = Volume.read(tmp_path / "dicom")
    assert np.array_equal(scan.data, numbers())
    assert np.allclose(scan.affine, affine, atol=1e-3)
    assert scan.findings == ()
    assert scan.name == "dicom"


def test_one_file_of_a_series_stands_for_the_series(tmp_path):
    series(tmp_path, numbers())
    scan = Volume.read(tmp_path / "im000.dcm")
    assert np.array_equal(scan.data, numbers())


def test_the_longest_series_is_taken_and_the_others_are_named(tmp_path):
    series(tmp_path / "a", numbers((10, 12, 3)), uid="1.2.9")
    series(tmp_path / "b", numbers(), uid="1.2.3")
    scan = Volume.read(tmp_path)
    assert np.array_equal(scan.data, numbers())
    assert [finding.code for finding in scan.findings] == ["several-series"]


def test_a_missing_slice_is_noticed(tmp_path):
    series(tmp_path, numbers(), skip=(2,))
    assert "uneven-slices" in [finding.code for finding in Volume.read(tmp_path).findings]


def test_two_images_at_one_place_are_two_frames(tmp_path):
    series(tmp_path, numbers(), prefix="a")
    series(tmp_path, numbers() + 1, prefix="b")
    scan = Volume.read(tmp_path)
    assert "several-frames" in [finding.code for finding in scan.findings]
    assert scan.shape == (10, 12, 6)


def test_a_folder_without_images_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError, match="no DICOM images"):
        Volume.read(tmp_path)
