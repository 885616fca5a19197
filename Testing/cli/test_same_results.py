"""The command line decides nothing about brains: its files hold what the library returns."""

import csv

import numpy as np

from SynthSegPlusLib import ModelSet, Segmenter, Volume
from SynthSegPlusLib.cli import main
from Testing.cli.conftest import write_scan


def test_the_command_line_writes_the_labels_and_volumes_of_the_library(tmp_path):
    scan = write_scan(tmp_path / "s.nii.gz", (40, 44, 36))
    labels, table = tmp_path / "labels.nii.gz", tmp_path / "table.csv"
    words = ["segment", "--i", str(scan), "--o", str(labels), "--table", str(table), "--fast", "--quiet"]
    assert main([*words, "--models", "starter_2mm"]) == 0

    result = Segmenter(ModelSet.find("starter_2mm"), mode="fast").segment(Volume.read(scan))
    written = Volume.read(labels)
    np.testing.assert_array_equal(written.data, result.labels.data)
    np.testing.assert_allclose(written.affine, result.labels.affine, atol=1e-5)
    rows = [row for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()) if row.get("label")]
    volumes = {int(row["label"]): float(row["volume_mm3"]) for row in rows}
    assert volumes == {label: volume for label, volume in result.volumes.volumes().items() if label in volumes}
    assert len(volumes) == len(result.volumes)
