"""Whatever is given, the answer is one sentence that says what to do, and nothing half-written stays behind."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from Testing.cli import broken
from Testing.cli.conftest import write_scan

NAN, INF = float("nan"), float("inf")
NOISE = np.random.default_rng(0).uniform(0, 1, (16, 16, 16))
SINGULAR = np.diag([1.0, 1.0, 0.0, 1.0])

# What is made as --i, and a word of the answer.
SCANS = {
    "missing file": (lambda folder: folder / "none.nii.gz", "no file or folder"),
    "dangling link": (lambda folder: _link(folder), "no file or folder"),
    "unknown extension": (broken.raw_file("s.docx", b"PK"), "extension"),
    "analyze pair": (broken.raw_file("s.img", b"x" * 400), "extension"),
    "empty nifti": (broken.raw_file("s.nii", b""), "empty"),
    "empty gzip": (broken.raw_file("s.nii.gz", b""), "empty"),
    "wrong magic": (broken.nifti_with(broken.MAGIC, "4s", b"abcd"), "s.nii"),
    "text as nifti": (broken.raw_file("s.nii", b"hello world\n" * 100), "s.nii"),
    "text as gzip": (broken.raw_file("s.nii.gz", b"hello world\n" * 100), "s.nii.gz"),
    "truncated gzip": (broken.cut("s.nii.gz"), "s.nii.gz"),
    "truncated nifti": (broken.cut("s.nii"), "s.nii"),
    "nifti cut in its header": (broken.cut("s.nii", 0.01), "s.nii"),
    "truncated mgz": (broken.cut("s.mgz"), "s.mgz"),
    "text as mgz": (broken.raw_file("s.mgz", b"hello" * 100), "s.mgz"),
    "truncated nrrd": (broken.cut("s.nrrd"), "s.nrrd"),
    "text as nrrd": (broken.raw_file("s.nrrd", b"NRRD0004\nnonsense\n\n"), "s.nrrd"),
    "text as metaimage": (broken.raw_file("s.mha", b"ObjectType = Picture\n"), "s.mha"),
    "truncated npz": (broken.cut("s.npz"), "s.npz"),
    "npz without vol_data": (broken.npz_of(other=NOISE), "vol_data"),
    "npz of python objects": (broken.npz_of(vol_data=np.array([{"a": 1}], object)), "s.npz"),
    "npz of text": (broken.npz_of(vol_data=np.full((4, 4, 4), "a")), "s.npz"),
    "folder without images": (broken.folder_with("readme.md", b"hi"), "no images"),
    "empty folder": (broken.folder_with(None), "no images"),
    "broken dicom": (broken.folder_with("1.dcm", b"\0" * 128 + b"DICMjunk"), "series"),
    "two dimensions": (broken.nifti_of(np.ones((16, 16))), "2 axes"),
    "one slice": (broken.nifti_of(np.ones((16, 16, 1))), "2-D"),
    "zero-size axis": (broken.nifti_of(np.zeros((16, 0, 16))), "no voxels"),
    "all NaN": (broken.nifti_of(np.full((16, 16, 16), NAN)), "same intensity"),
    "constant": (broken.nifti_of(np.full((16, 16, 16), 7.0)), "same intensity"),
    "complex numbers": (broken.nifti_of(NOISE.astype(np.complex64)), "complex"),
    "colours": (broken.rgb, "colour"),
    "zero voxel size": (broken.nifti_with(broken.PIXDIM + 4, "<3f", 0, 0, 0), "above 0 mm"),
    "negative voxel size": (broken.nifti_with(broken.PIXDIM + 4, "<f", -2), "above 0 mm"),
    "NaN voxel size and no affine": (lambda folder: _no_affine(folder, NAN), "s.nii"),
    "NaN affine": (broken.nifti_with(broken.SROW, "<f", NAN), "s.nii"),
    "infinite affine": (broken.nifti_with(broken.SROW, "<f", INF), "s.nii"),
    "collapsed affine": (broken.nifti_with(broken.SROW + 32, "<4f", 0, 0, 0, 0), "s"),
    "negative dimension": (broken.nifti_with(broken.DIM + 2, "<h", -16), "s.nii"),
    "no dimensions": (broken.nifti_with(broken.DIM, "<h", 0), "s.nii"),
    "nine dimensions": (broken.nifti_with(broken.DIM, "<h", 9), "s.nii"),
    "dimensions beyond the file": (broken.nifti_with(broken.DIM + 2, "<3h", 3000, 3000, 3000), "s.nii"),
    "unknown data type": (broken.nifti_with(broken.DATATYPE, "<h", 999), "s.nii"),
}

MODELS = {
    "no such folder": (lambda folder: folder / "none", "no model set"),
    "folder without weights": (broken.folder_with("readme.md", b"hi"), "no model set"),
    "weights missing": (broken.model_set(broken.without_weights), "starter_s_2mm.h5"),
    "weights changed": (broken.edited_weights(broken.poison_kernel, with_checksum=False), "SHA-256"),
    "weights truncated": (broken.model_set(broken.cut_weights), "starter_s_2mm.h5"),
    "weights not HDF5": (broken.model_set(broken.not_hdf5), "starter_s_2mm.h5"),
    "weights of another shape": (broken.edited_weights(broken.reshape_kernel), "unet_conv_downarm_0_0"),
    "a layer missing": (broken.edited_weights(broken.drop_kernel), "unet_conv_downarm_0_0"),
    "weights with NaN": (broken.edited_weights(broken.poison_kernel), "unet_conv_downarm_0_0"),
    "another schema": (broken.model_set(broken.setting("schema", 99)), "schema 99"),
    "unknown entry": (broken.model_set(broken.setting("colour", "blue")), "colour"),
    "impossible resolution": (broken.model_set(broken.setting("working_resolution_mm", -1)), "working_resolution_mm"),
    "no roles": (broken.model_set(broken.setting("roles", {})), "role"),
    "description that is no JSON": (broken.folder_with("model_set.json", b"{"), "model_set.json"),
}

FLAGS = {
    "robust and v1": (["--robust", "--v1"], "--v1"),
    "two modes": (["--mode", "robust", "--fast"], "contradict"),
    "cpu and gpu": (["--cpu", "--device", "gpu"], "contradict"),
    "unknown mode": (["--mode", "best"], "invalid choice"),
    "crop of zero": (["--crop", "0"], "Crop"),
    "negative crop": (["--crop", "-5", "5", "5"], "Crop"),
    "crop of two numbers": (["--crop", "96", "96"], "one or three"),
    "crop that is a word": (["--crop", "all"], "invalid int"),
    "crop without a number": (["--crop"], "at least one"),
    "no threads": (["--threads", "0"], "--threads"),
    "threads that are a word": (["--threads", "many"], "invalid int"),
    "threshold above one": (["--qc-threshold", "65"], "threshold"),
    "threshold NaN": (["--qc-threshold", "nan"], "threshold"),
    "unknown backend": (["--backend", "caffe"], "invalid choice"),
    "unknown device": (["--device", "abacus"], "abacus"),
    "unknown precision": (["--precision", "int8"], "invalid choice"),
    "unknown flag": (["--sharpen"], "--sharpen"),
    "shortened flag": (["--rob"], "--rob"),
    "QC from a denoiser that does not run": (["--qc-from-denoiser"], "denoiser"),
    "parcels that the set lacks": (["--parc"], "parcellation"),
    "flag without a value": (["--vol"], "expected one argument"),
}


def _link(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "s.nii.gz").symlink_to(folder / "gone.nii.gz")
    except OSError:
        pytest.skip("this system makes no symbolic links")
    return folder / "s.nii.gz"


def _no_affine(folder: Path, size: float) -> Path:
    path = broken.nifti_with(broken.PIXDIM + 4, "<f", size)(folder)
    raw = bytearray(path.read_bytes())
    raw[broken.SFORM_CODE - 2:broken.SFORM_CODE + 2] = b"\0" * 4
    path.write_bytes(raw)
    return path


def judge(said, words: str, folder: Path) -> None:
    """One complaint, to the point, without a traceback, and no file but whole tables."""
    assert said.status in (1, 2), said
    assert len(said.complaints) == 1, said.err
    complaint = said.complaints[0]
    assert words in complaint
    assert complaint.rstrip().endswith((".", "--help")), complaint
    assert "Something unforeseen" not in complaint
    assert "Traceback" not in said.err
    assert len(complaint) < 700
    left = [path.name for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    assert left == []


@pytest.mark.parametrize("case", SCANS)
def test_a_scan_that_cannot_be_used_is_named(case, tmp_path, say):
    make, words = SCANS[case]
    said = say("segment", "--i", make(tmp_path / "in"), "--o", tmp_path / "o" / "x.nii.gz", "--fast")
    judge(said, words, tmp_path / "o")


@pytest.mark.parametrize("case", MODELS)
def test_a_model_set_that_cannot_be_used_is_named(case, scan, tmp_path, say):
    make, words = MODELS[case]
    said = say("segment", "--i", scan, "--o", tmp_path / "o", "--fast", "--models", make(tmp_path / "m"))
    judge(said, words, tmp_path / "o")
    assert said.status == 2


@pytest.mark.parametrize("case", FLAGS)
def test_flags_that_cannot_be_are_named(case, scan, tmp_path, say):
    flags, words = FLAGS[case]
    said = say("segment", "--i", scan, "--o", tmp_path / "o", *flags)
    judge(said, words, tmp_path / "o")
    assert said.status == 2


@pytest.mark.parametrize("words", [["segment", "--o", "x"], ["segment", "--i", "x"], ["sharpen"], ["--i", "x"]])
def test_a_command_line_without_its_parts_is_refused(words, say):
    said = say(*words)
    assert said.status == 2
    assert len(said.complaints) == 1


@pytest.mark.parametrize("words", [[], ["segment"]])
def test_no_argument_at_all_prints_the_help_and_is_an_error(words, say):
    said = say(*words)
    assert said.status == 1
    assert said.out.startswith("usage: synthsegplus")


def test_debug_shows_where_an_error_came_from(tmp_path, say):
    said = say("segment", "--i", tmp_path / "none.nii", "--o", tmp_path / "o", "--debug")
    assert "Traceback" in said.err
    assert said.complaints


def test_an_output_below_a_file_is_refused(scan, tmp_path, engine, say):
    (tmp_path / "file").write_text("x")
    for flags in (["--o", tmp_path / "file" / "x.nii.gz"],
                  ["--o", tmp_path / "o", "--vol", tmp_path / "file" / "v.csv"]):
        said = say("segment", "--i", scan, *flags)
        judge(said, "file", tmp_path / "o")
    assert engine.calls == []


def test_an_output_that_is_a_folder_is_refused(scan, tmp_path, engine, say):
    (tmp_path / "v.csv").mkdir()
    judge(say("segment", "--i", scan, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv"), "folder", tmp_path / "o")


def test_a_name_that_is_too_long_is_refused(scan, tmp_path, engine, say):
    judge(say("segment", "--i", scan, "--o", tmp_path / f"{'x' * 300}.nii.gz"), "too long", tmp_path / "o")


def test_an_output_without_permission_is_refused(scan, tmp_path, engine, say):
    folder = tmp_path / "o"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    judge(say("segment", "--i", scan, "--o", folder / "x.nii.gz"), "permission", folder)


def test_a_disk_that_fills_up_fails_the_scan_and_leaves_what_was_there(scan, tmp_path, engine, say, monkeypatch):
    say("segment", "--i", scan, "--o", tmp_path / "o")
    before = (tmp_path / "o" / "b_synthseg.nii.gz").read_bytes()
    engine.hook = lambda name: monkeypatch.setattr(os, "replace", full)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = say("segment", "--i", scan, "--o", tmp_path / "o")
    assert said.status == 1
    assert len(said.complaints) == 1
    assert "space" in said.complaints[0]
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["b_synthseg.nii.gz"]
    assert (tmp_path / "o" / "b_synthseg.nii.gz").read_bytes() == before


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A file system of 96 kB, where this user may mount one."""
    yield from _mounted(tmp_path / "disk", "size=96k")


@pytest.fixture
def sealed_disk(tmp_path: Path):
    """A file system on which nobody may write, where this user may mount one."""
    yield from _mounted(tmp_path / "disk", "ro")


def _mounted(folder: Path, option: str):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this user may mount no file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_output_on_a_disk_that_is_read_only_is_refused(sealed_disk, scan, engine, say):
    said = say("segment", "--i", scan, "--o", sealed_disk / "x.nii.gz")
    judge(said, "No permission", sealed_disk)
    assert engine.calls == []


# nibabel leaves the file open that it could not write; the collector closes it and warns.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*partial:pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_is_really_full_leaves_no_part_of_a_result(tiny_disk, tmp_path, engine, say):
    scan = write_scan(tmp_path / "in" / "s.nii.gz")
    said = say("segment", "--i", scan, "--o", tiny_disk / "x.nii.gz", "--post", tiny_disk / "p.nii",
               "--vol", tiny_disk / "v.csv", "--table", tiny_disk / "t.csv")
    assert said.status == 1
    assert len(said.complaints) == 1
    assert "full" in said.complaints[0] or "space" in said.complaints[0]
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["t.csv", "v.csv", "x.nii.gz"]
    assert ",failed," in (tiny_disk / "t.csv").read_text()


def test_there_are_enough_cases():
    assert len(SCANS) + len(MODELS) + len(FLAGS) >= 75
