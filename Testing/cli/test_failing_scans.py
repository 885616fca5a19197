"""Scans that show no brain go through the whole engine, none comes out as a good result, and a whole head does."""

from __future__ import annotations

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from SynthSegPlusLib.commands.demo import nilearn_files
from SynthSegPlusLib.contract import InputError
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.labels import parcels, structures

pytestmark = pytest.mark.long

NAMED = {"empty-segmentation", "intracranial-volume-implausible", "intracranial-volume-of-a-part", "sides-differ"}


def test_a_whole_head_is_not_named(tmp_path, say):
    try:
        scan = nilearn_files()["scan"]
    except InputError as error:
        pytest.skip(str(error))
    out, bundled = tmp_path / "head.nii.gz", ModelSet.find("starter_cascade_2mm")
    said = say("segment", "--i", scan, "--o", out, "--robust", "--models", bundled.folder)
    assert said.status == 0, said.err
    assert "warning" not in said.err
    assert json.loads((tmp_path / "head_record.json").read_text())["findings"] == []


def test_scans_without_a_brain_run_through_and_are_named(shared, tmp_path, say):
    scans = sorted((shared / "data" / "scans").glob("FAIL_*"))
    assert len(scans) >= 5
    outputs = [tmp_path / "o" / scan.name for scan in scans]
    (tmp_path / "in.txt").write_text("\n".join(map(str, scans)))
    (tmp_path / "out.txt").write_text("\n".join(map(str, outputs)))
    bundled = ModelSet.find("starter_cascade_2mm")
    said = say("segment", "--i", tmp_path / "in.txt", "--o", tmp_path / "out.txt", "--robust", "--parc", "--table",
               tmp_path / "t.csv", "--qc-threshold", "0.65", "--models", bundled.folder)
    assert said.status == 0, said.err
    assert "Traceback" not in said.err
    values = {*structures("2.0").values.tolist(), *parcels().values.tolist()}
    for scan, output in zip(scans, outputs, strict=True):
        labels = nib.load(output)
        assert set(np.unique(labels.dataobj)) <= values
        assert np.isfinite(labels.affine).all()
        record = json.loads(output.with_name(output.name.removesuffix(".nii.gz") + "_record.json").read_text())
        assert record["run"]["findings"], scan.name
        rejected = record["quality"]["verdict"] == "fail"
        assert rejected or NAMED & set(record["findings"]), f"{scan.name} came out as a good result"
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert {row["scan"] for row in rows} == {str(scan) for scan in scans}
    assert all(np.isfinite(float(row["volume_mm3"])) for row in rows)
