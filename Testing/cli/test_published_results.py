"""The command line end to end with stand-in weights: files, tables and labels of the published command."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.long

LABELS = 1e-4  # share of voxels that may differ: other convolution kernels, other float sums
VOLUMES = 5e-3  # the reference sums in float32
SCORES = 2e-3


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


@pytest.mark.parametrize(("run", "flags"), [("B_fast", ["--fast"]), ("B_v1", ["--v1"])])
def test_labels_header_and_volumes_are_those_of_the_published_command(run, flags, shared, standin, tmp_path, say):
    golden = shared / "reference" / "golden"
    scan = golden / "inputs" / "B_pd_thick.nii.gz"
    said = say("segment", "--i", scan, "--o", tmp_path / "seg.nii.gz", "--vol", tmp_path / "vol.csv",
               "--models", standin, *flags)
    assert said.status == 0, said.err
    ours, theirs = nib.load(tmp_path / "seg.nii.gz"), nib.load(golden / "runs" / run / "seg.nii.gz")
    assert ours.get_data_dtype() == theirs.get_data_dtype()
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
    np.testing.assert_allclose(ours.header.get_zooms(), theirs.header.get_zooms(), rtol=1e-6)
    assert [int(ours.header[name]) for name in ("sform_code", "qform_code")] == [
        int(theirs.header[name]) for name in ("sform_code", "qform_code")]
    assert np.mean(np.asarray(ours.dataobj) != np.asarray(theirs.dataobj)) < LABELS
    mine, published = rows(tmp_path / "vol.csv"), rows(golden / "runs" / run / "vol.csv")
    assert mine[0] == published[0]
    assert mine[1][0] == published[1][0]
    np.testing.assert_allclose(np.array(mine[1][1:], float), np.array(published[1][1:], float), rtol=VOLUMES, atol=1.0)


def test_parcels_and_quality_are_those_of_the_published_command_in_compatibility_mode(shared, standin, tmp_path, say):
    golden = shared / "reference" / "golden"
    run = golden / "runs" / "B_default_parc_qc"
    said = say("segment", "--i", golden / "inputs" / "B_pd_thick.nii.gz", "--o", tmp_path / "seg.nii.gz", "--vol",
               tmp_path / "vol.csv", "--qc", tmp_path / "qc.csv", "--parc", "--compatibility", "--models", standin)
    assert said.status == 0, said.err
    for name, tolerance in (("vol.csv", {"rtol": VOLUMES, "atol": 2.0}), ("qc.csv", {"atol": SCORES})):
        mine, published = rows(tmp_path / name), rows(run / name)
        assert mine[0] == published[0]
        np.testing.assert_allclose(np.array(mine[1][1:], float), np.array(published[1][1:], float), **tolerance)
