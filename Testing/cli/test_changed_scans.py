"""--resume keeps a result only of the very scan that lies there now, whatever a scan consists of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from SynthSegPlusLib.cohort.files import sha256_of
from Testing.cli.conftest import write_scan
from Testing.volume.test_dicom import numbers, series

SHAPE = (16, 16, 12)


def head(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, SHAPE).astype(np.int16)


def test_a_scan_that_is_replaced_while_it_is_segmented_is_done_again(scan, tmp_path, engine, say):
    words = ["segment", "--i", scan, "--o", tmp_path / "o", "--resume"]
    engine.hook = lambda name: write_scan(scan, seed=9)
    assert say(*words).status == 0
    engine.hook = lambda name: None
    assert say(*words).status == 0
    assert engine.calls == ["b", "b"]
    assert say(*words).status == 0
    assert engine.calls == ["b", "b"]


@pytest.mark.parametrize("given", ["folder", "folder of folders", "one slice"])
def test_a_slice_that_changed_makes_its_series_be_done_again(given, tmp_path, engine, say):
    place = tmp_path / "dicom"
    slices = place / "series" if given == "folder of folders" else place
    series(slices, head())
    if given == "folder of folders":
        (place / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    asked = place / "im000.dcm" if given == "one slice" else place
    words = ["segment", "--i", asked, "--o", tmp_path / "o", "--resume"]
    for _ in range(2):
        said = say(*words)
        assert said.status == 0, said.err
    assert len(engine.calls) == 1
    series(slices, head(1), skip=(0, *range(2, SHAPE[2])))
    assert say(*words).status == 0
    assert len(engine.calls) == 2


@pytest.mark.parametrize("given", ["folder", "one slice"])
def test_results_among_the_slices_are_no_change_of_them(given, tmp_path, engine, say):
    place = tmp_path / "dicom"
    series(place, head())
    out = place / "results"
    asked = place / "im000.dcm" if given == "one slice" else place
    words = ["segment", "--i", asked, "--o", out, "--vol", out / "v.csv", "--picture", place / "p.png", "--resume"]
    for _ in range(2):
        said = say(*words)
        assert said.status == 0, said.err
    assert len(engine.calls) == 1


def test_slices_of_one_folder_that_may_be_of_different_series_are_different_scans(tmp_path):
    series(tmp_path, numbers(), uid="1.2.3")
    series(tmp_path, numbers(), uid="1.2.9", prefix="other")
    assert sha256_of(tmp_path / "im000.dcm") != sha256_of(tmp_path / "other000.dcm")


def test_the_checksum_of_an_image_is_that_of_its_bytes(scan: Path):
    assert sha256_of(scan) == hashlib.sha256(scan.read_bytes()).hexdigest()


def test_a_slice_that_moves_to_another_folder_is_a_change(tmp_path):
    series(tmp_path / "a", numbers())
    before = sha256_of(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "im000.dcm").rename(tmp_path / "b" / "im000.dcm")
    assert sha256_of(tmp_path) != before
