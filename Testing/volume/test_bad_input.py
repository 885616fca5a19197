"""Whatever an archive holds, the answer is one or two sentences: what is wrong, and what to do."""

import gzip
import warnings

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.volume import Volume, check, conform


def nifti(path, shape=(12, 13, 14), dtype=np.int16, affine=None, **fields):
    image = nib.Nifti1Image(np.ones(shape, dtype), np.eye(4) if affine is None else affine)
    nib.save(image, path)
    raw = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(raw[:348]), check=False)
    for key, value in fields.items():
        header[key] = value
    raw[:348] = header.binaryblock
    path.write_bytes(raw)
    return path


def truncated(path, keep=0.5, noise=False):
    data = np.random.default_rng(0).integers(0, 999, (30, 30, 30)).astype(np.int16) if noise else np.ones((30, 30, 30))
    Volume(data, np.eye(4)).write(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep)])
    return path


def written(path, content):
    path.write_bytes(content)
    return path


def pixdim(*sizes):
    return np.array([1, *sizes, 0, 0, 0, 0], np.float32)


def sform(value):
    return {"srow_x": [value, 0, 0, 0], "sform_code": 1}


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def itk(path, array, vector=False):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=vector), str(path))
    return path


def structured(path):
    colours = np.zeros((5, 6, 7), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), path)
    return path


RGB = np.zeros((7, 6, 5, 3), np.uint8)
CASES = {
    "missing": (lambda d: d / "none.nii.gz", "does not exist"),
    "empty nii.gz": (lambda d: written(d / "a.nii.gz", b""), "empty"),
    "empty mgz": (lambda d: written(d / "a.mgz", b""), "empty"),
    "empty nrrd": (lambda d: written(d / "a.nrrd", b""), "empty"),
    "unknown extension": (lambda d: written(d / "a.png", b"x"), "not supported"),
    "no extension": (lambda d: written(d / "scan", b"x"), "not supported"),
    "wrong magic nii": (lambda d: written(d / "a.nii", b"x" * 900), "not a NIfTI"),
    "wrong magic nii.gz": (lambda d: written(d / "a.nii.gz", gzip.compress(b"x" * 900)), "not a NIfTI"),
    "plain as gz": (lambda d: written(d / "a.nii.gz", b"x" * 900), "not; rename"),
    "gzip as plain": (lambda d: written(d / "a.nii", gzip.compress(b"x" * 900)), r"add \.gz"),
    "short header": (lambda d: written(d / "a.nii", b"\x5c\x01\0\0"), "not a NIfTI"),
    "broken gzip": (lambda d: written(d / "a.nii.gz", b"\x1f\x8b" + b"y" * 60), "damaged"),
    "truncated nii": (lambda d: truncated(d / "a.nii"), "damaged"),
    "truncated nii.gz": (lambda d: truncated(d / "a.nii.gz", noise=True), "damaged"),
    "truncated mgz": (lambda d: truncated(d / "a.mgz", noise=True), "damaged"),
    "truncated mgh": (lambda d: truncated(d / "a.mgh"), "damaged"),
    "truncated nrrd": (lambda d: truncated(d / "a.nrrd", noise=True), "damaged"),
    "truncated mha": (lambda d: truncated(d / "a.mha", noise=True), "damaged"),
    "truncated npz": (lambda d: truncated(d / "a.npz", noise=True), "not a readable npz"),
    "wrong magic mgz": (lambda d: written(d / "a.mgz", gzip.compress(b"x" * 900)), "not an MGH"),
    "wrong magic nrrd": (lambda d: written(d / "a.nrrd", b"x" * 900), "not an NRRD"),
    "wrong magic mha": (lambda d: written(d / "a.mha", b"x" * 900), "not a MetaImage"),
    "wrong magic npz": (lambda d: written(d / "a.npz", b"x" * 900), "not a readable npz"),
    "npz without vol_data": (lambda d: npz(d / "a.npz", other=np.ones((5, 5, 5))), "vol_data"),
    "npz of objects": (lambda d: npz(d / "a.npz", vol_data=np.array([{}], object)), "not a readable npz"),
    "npz of text": (lambda d: npz(d / "a.npz", vol_data=np.full((4, 4, 4), "x")), "not intensities"),
    "npz 2-D": (lambda d: npz(d / "a.npz", vol_data=np.ones((5, 5))), "2-D"),
    "npz zero axis": (lambda d: npz(d / "a.npz", vol_data=np.ones((5, 0, 5))), "no voxels"),
    "npz bad affine": (lambda d: npz(d / "a.npz", vol_data=np.ones((5, 5, 5)), affine=np.zeros((4, 4))), "collapses"),
    "2-D": (lambda d: nifti(d / "a.nii", (12, 13)), "2 axes"),
    "one slice": (lambda d: nifti(d / "a.nii", (12, 13, 1)), "single 2-D slice"),
    "one slice in time": (lambda d: nifti(d / "a.nii", (12, 13, 1, 30)), "single 2-D slice"),
    "zero axis": (lambda d: nifti(d / "a.nii", dim=[3, 12, 0, 14, 1, 1, 1, 1]), "no voxels"),
    "negative axis": (lambda d: nifti(d / "a.nii", dim=[3, 12, -5, 14, 1, 1, 1, 1]), "no voxels"),
    "absurd axes": (lambda d: nifti(d / "a.nii", dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), "damaged|memory"),
    "absurd rank": (lambda d: nifti(d / "a.nii", dim=[999, 12, 13, 14, 1, 1, 1, 1]), "damaged"),
    "unknown type": (lambda d: nifti(d / "a.nii", datatype=9999), "damaged"),
    "complex": (lambda d: nifti(d / "a.nii", dtype=np.complex64), "complex"),
    "RGB nifti": (lambda d: structured(d / "a.nii"), "RGB"),
    "RGB nrrd": (lambda d: itk(d / "a.nrrd", RGB, vector=True), "RGB"),
    "RGB mha": (lambda d: itk(d / "a.mha", RGB, vector=True), "RGB"),
    "2-D nrrd": (lambda d: itk(d / "a.nrrd", np.ones((5, 6), np.uint8)), "2 axes"),
    "one slice mha": (lambda d: itk(d / "a.mha", np.ones((1, 5, 6), np.uint8)), "single 2-D slice"),
    "zero voxel size": (lambda d: nifti(d / "a.nii", pixdim=pixdim(1, 0, 1)), "above 0 mm"),
    "negative voxel size": (lambda d: nifti(d / "a.nii", pixdim=pixdim(1, -1, 1)), "above 0 mm"),
    "NaN voxel size": (lambda d: nifti(d / "a.nii", pixdim=pixdim(1, np.nan, 1)), "above 0 mm"),
    "infinite voxel size": (lambda d: nifti(d / "a.nii", pixdim=pixdim(np.inf, 1, 1)), "above 0 mm"),
    "NaN affine": (lambda d: nifti(d / "a.nii", **sform(np.nan)), "not numbers"),
    "infinite affine": (lambda d: nifti(d / "a.nii", **sform(np.inf)), "not numbers"),
    "singular affine": (lambda d: nifti(d / "a.nii", **sform(0)), "collapses"),
    "folder without images": (lambda d: d, "no DICOM images"),
    "broken DICOM": (lambda d: written(d / "a.dcm", b"x" * 900), "no DICOM images"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_plain_sentence(tmp_path, case):
    make, pattern = CASES[case]
    path = make(tmp_path)
    with pytest.raises(InputError, match=pattern) as caught:
        Volume.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    assert message.endswith(".")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = nifti(tmp_path / "a.nii")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("SynthSegPlusLib.volume._nifti.open_maybe_gzip", refuse)
    with pytest.raises(InputError, match=r"a\.nii.*(permission|Permission)"):
        Volume.read(path)


def test_a_frame_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="3 frames"):
        Volume.read(nifti(tmp_path / "a.nii", (5, 5, 5, 3)), frame=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 347), value=st.integers(0, 255), more=st.lists(st.integers(0, 255), max_size=7))
def test_any_damage_to_a_header_is_survived(tmp_path, position, value, more):
    path = nifti(tmp_path / "a.nii", affine=np.diag([1.2, 1.0, 3.0, 1]))
    raw = bytearray(path.read_bytes())
    patch = bytes([value, *more])[: 348 - position]
    raw[position : position + len(patch)] = patch
    path.write_bytes(raw)
    try:
        scan = Volume.read(path)
    except InputError:
        return
    findings = check(scan)
    assert all(finding.message for finding in findings)


SIZES = st.floats(0.3, 12)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 24)] * 3),
    sizes=st.tuples(SIZES, SIZES, SIZES),
    kind=st.sampled_from(["u1", "i2", "i4", "f4", "f8"]),
    seed=st.integers(0, 2**16),
    scheme=st.sampled_from(["published", "centred"]),
)
def test_any_small_scan_goes_through_and_back(shape, sizes, kind, seed, scheme):
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array(sizes)
    scan = Volume(rng.integers(0, 200, shape).astype(kind), affine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(scan)
        conformed = conform(scan, scheme, multiple=16, minimum=16)
    assert np.isfinite(conformed.image).all()
    assert 0 <= conformed.image.min() <= conformed.image.max() <= 1
    output = conformed.to_output(conformed.image)
    assert output.shape == tuple(conformed.output_shape)
    assert conformed.restore(output, "native", "linear").shape == shape
    one_mm = conformed.restore(output)
    assert np.allclose(np.linalg.norm(one_mm.affine[:3, :3], axis=0), 1, atol=0.051)


def test_an_infinite_orientation_beside_a_finite_one_is_refused_without_a_numeric_warning(tmp_path):
    image = nib.Nifti1Image(np.ones((4, 4, 4), np.float32), None)
    image.header["sform_code"], image.header["qform_code"] = 1, 1
    image.header["srow_x"] = [np.inf, 0, 0, 0]
    nib.save(image, tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match="not numbers"):
        Volume.read(tmp_path / "scan.nii.gz")
