"""Whole runs on every other backend: the published command's files, headers, labels, volumes and scores.

Keras' backend is fixed for a process, so the command line runs in one of its own. The robust chain is compared
network by network elsewhere: with random weights its two hard decisions make it chaotic.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from SynthSegPlusLib.volume import Volume
from Testing.inference.published import FIXTURE, SCORES_MAY_DIFFER, arrays_of, assert_same_labels, assert_same_volumes
from Testing.volume.phantom import phantom

BACKENDS = ["torch", "jax"]
ALL = ("--parc", "--compatibility")


@dataclass(frozen=True)
class Files:
    """What one run of the command line wrote."""

    folder: Path

    @property
    def image(self) -> Any:
        return nib.load(self.folder / "seg.nii.gz")

    @property
    def labels(self) -> np.ndarray:
        return np.asarray(self.image.dataobj)

    def table(self, name: str) -> tuple[list[str], list[str]]:
        """Header and row of a CSV file, without the column of the scan's name."""
        header, row = rows_of(self.folder / name)
        return header[1:], row[1:]

    @property
    def volumes(self) -> tuple[list[str], dict[str, float]]:
        """Column names in order, and mm3 by name."""
        names, cells = self.table("vol.csv")
        return names, dict(zip(names, map(float, cells), strict=True))

    @property
    def scores(self) -> dict[str, float]:
        """Raw predicted Dice by region; the CSV file's are clipped and rounded."""
        record = json.loads((self.folder / "seg_record.json").read_text(encoding="utf-8"))
        return {region["name"]: region["score"] for region in record["quality"]["regions"]}

    @property
    def backend(self) -> str:
        record = json.loads((self.folder / "seg_record.json").read_text(encoding="utf-8"))
        return record["run"]["backend"]


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def run(backend: str, scan: Path, models: Path, folder: Path, *flags: str) -> Files:
    """`synthsegplus segment` on a backend; skips where that is not installed."""
    pytest.importorskip(backend)
    wanted = ["--qc", folder / "qc.csv"] if "--parc" in flags else []
    words = ["segment", "--i", scan, "--o", folder / "seg.nii.gz", "--vol", folder / "vol.csv", *wanted, "--models",
             models, "--backend", backend, "--device", "cpu", "--threads", "2", "--quiet", *flags]
    # Other tests of this process have named theirs in the environment; the command line must win.
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-m", "SynthSegPlusLib", *map(str, words)], capture_output=True, text=True,
                          timeout=3000, env=environment)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    files = Files(folder)
    assert files.backend == backend
    return files


@pytest.fixture(scope="module")
def phantom_scan(tmp_path_factory):
    data, affine = phantom()
    return Volume(data, affine.astype(np.float32), "phantom").write(tmp_path_factory.mktemp("in") / "phantom.nii.gz")


def assert_the_phantoms(files: Files, run_name: str) -> None:
    stored = arrays_of(FIXTURE)
    assert_same_labels(files.labels[::2, ::2, ::2], stored[f"{run_name}_labels"].astype(np.int32))
    np.testing.assert_allclose(files.image.affine, stored["affine"], atol=1e-5)
    names, volumes = files.volumes
    assert names == stored[f"{run_name}_names"].tolist()
    assert_same_volumes(volumes, names, stored[f"{run_name}_volumes"].tolist())
    if "parc" in run_name:
        expected = dict(zip(stored["qc_names"].tolist(), stored["qc_scores"].tolist(), strict=True))
        assert list(files.scores) == list(expected)
        assert files.scores == pytest.approx(expected, abs=SCORES_MAY_DIFFER)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_whole_run_on_another_backend_gives_the_references_results(backend, phantom_scan, standin, tmp_path):
    assert_the_phantoms(run(backend, phantom_scan, standin, tmp_path, "--fast"), "fast")


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_parcels_and_scores_on_another_backend_are_the_references(backend, phantom_scan, standin, tmp_path):
    assert_the_phantoms(run(backend, phantom_scan, standin, tmp_path, *ALL), "default_parc_qc")


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thick_scan_on_another_backend_gives_the_published_commands_files(backend, shared, standin, tmp_path):
    golden = shared / "reference" / "golden"
    files = run(backend, golden / "inputs" / "B_pd_thick.nii.gz", standin, tmp_path, *ALL)
    theirs = golden / "runs" / "B_default_parc_qc"
    image = nib.load(theirs / "seg.nii.gz")
    assert files.image.get_data_dtype() == image.get_data_dtype()
    assert files.image.header.get_zooms() == pytest.approx(image.header.get_zooms())
    np.testing.assert_allclose(files.image.affine, image.affine, atol=1e-4)
    for name in ("dim", "pixdim", "sform_code", "qform_code"):  # our header also says that lengths are millimetres
        np.testing.assert_allclose(files.image.header[name], image.header[name], atol=1e-5, err_msg=name)
    assert_same_labels(files.labels, np.asarray(image.dataobj))
    header, row = rows_of(theirs / "vol.csv")
    names, volumes = files.volumes
    assert names == header[1:]
    assert_same_volumes(volumes, names, [float(value) for value in row[1:]])
    header, row = rows_of(theirs / "qc.csv")
    assert files.table("qc.csv")[0] == header[1:]
    assert list(files.scores.values()) == pytest.approx([float(value) for value in row[1:]], abs=SCORES_MAY_DIFFER)
