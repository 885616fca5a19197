"""Tables of the accuracy benchmark: a run that stopped goes on, and gives what one run gives."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.inference._rules import SecondOpinion
from SynthSegPlusLib.networks import choose_backend
from SynthSegPlusLib.synthesis import make_label_map
from SynthSegPlusLib.volume import Volume
from Testing.benchmarks.accuracy import bench as bench_module
from Testing.benchmarks.accuracy import synthetic
from Testing.benchmarks.accuracy.bench import Bench
from Testing.benchmarks.accuracy.plans import synthetic_plan
from Testing.benchmarks.accuracy.tables import Tables, claim, read_all, read_table, write_table
from Testing.inference.tiny import scan, write_tiny_set
from Testing.synthesis.phantoms import head

SMALL = (48, 56, 48)
MODES = ("robust", "fast")


@pytest.fixture(scope="module")
def model_set(tmp_path_factory):
    choose_backend(device="cpu")
    return ModelSet.load(write_tiny_set(tmp_path_factory.mktemp("models") / "tiny", working_resolution_mm=2.0))


@pytest.fixture
def toy_maps(monkeypatch):
    """Scans of a few voxels, of a toy head instead of the label maps."""
    toy = make_label_map(head(SMALL))
    monkeypatch.setattr(synthetic, "SHAPE", SMALL)
    monkeypatch.setattr(synthetic.TestScans, "_read", lambda self, map_id: toy)


def tables_of(out):
    """All rows without the seconds, which no two runs share."""
    return [[{key: value for key, value in row.items() if key != "cpu_seconds"} for row in rows]
            for rows in read_all(out)]  # fmt: skip


def test_a_run_in_two_pieces_gives_the_tables_of_one_run(model_set, toy_maps, tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    for out in (whole, pieces):
        out.mkdir()
    Bench(model_set, MODES, whole, device="cpu").synthetic("synthetic", tmp_path, limit=3)
    Bench(model_set, MODES, pieces, device="cpu").synthetic("synthetic", tmp_path, limit=1)
    assert {row["scan"] for row in read_all(pieces)[1]} == {synthetic_plan()[0].name}
    Bench(model_set, MODES, pieces, device="cpu").synthetic("synthetic", tmp_path, limit=3)
    assert tables_of(pieces) == tables_of(whole)
    dice, scans = read_all(whole)
    assert [(row["scan"], row["mode"]) for row in scans] == [
        (one.name, mode) for one in synthetic_plan()[:3] for mode in ("fast", "robust")
    ]
    assert {row["kind"] for row in dice} == {"structure", "tissue", "region"}
    scored = [row for row in dice if row["kind"] == "region"]
    assert all(row["score"] for row in scored)
    assert all(bool(row["estimate"]) == (row["mode"] == "robust") for row in scored)


def test_an_interrupted_run_keeps_the_scans_that_were_finished(model_set, toy_maps, tmp_path, monkeypatch):
    made = []

    def stop_at_the_second(self, planned):
        made.append(planned.name)
        if len(made) == 2:
            raise KeyboardInterrupt
        return original(self, planned)

    original = synthetic.TestScans.make
    monkeypatch.setattr(synthetic.TestScans, "make", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        Bench(model_set, MODES, tmp_path, device="cpu").synthetic("synthetic", tmp_path, limit=3)
    assert {row["scan"] for row in read_all(tmp_path)[1]} == {made[0]}
    Bench(model_set, MODES, tmp_path, device="cpu").synthetic("synthetic", tmp_path, limit=3)
    assert len(made) == 4  # the first scan was not made again
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_real_scans_without_a_reference_are_judged_and_drawn(model_set, tmp_path, monkeypatch):
    folder, out = tmp_path / "scans", tmp_path / "out"
    for made in (folder, out):
        made.mkdir()
    volume = scan((40, 44, 36))
    for name in ("FAIL_fruit", "head_T1"):
        volume.write(folder / f"{name}.nii.gz")
    Volume(np.full((9, 9, 9), 7.0, np.float32), np.eye(4), "even").write(folder / "FAIL_even.nii.gz")
    truth = np.zeros(volume.shape, np.int32)
    truth[10:30, 10:30, 10:20], truth[10:30, 10:30, 20:30] = 48, 45  # left hippocampus and white matter
    volume.write(folder / "malf_T1.nii.gz")
    Volume(truth, volume.affine, "truth").write(folder / "malf_REF_manual.nii.gz")
    for _ in range(2):
        Bench(model_set, MODES, out, device="cpu").real(folder)
        scans = read_table(out / "scans_real.csv")
        assert [(row["scan"], row["part"], row["mode"]) for row in scans] == [
            ("malf_T1", "real", "fast"), ("malf_T1", "real", "robust"), ("FAIL_even", "fail", "robust"),
            ("FAIL_fruit", "fail", "robust"), ("head_T1", "real", "robust"),
        ]  # fmt: skip
        assert scans[2]["verdict"] == "refused"
        assert scans[3]["verdict"] in ("pass", "fail")
        monkeypatch.setattr(bench_module.Variants, "segment", None)  # the second time nothing is segmented
    assert scans[0]["true_hippocampus_mm3"] == "4000"
    assert scans[0]["true_icv_mm3"] == ""
    assert {row["name"] for row in read_table(out / "dice_real.csv") if row["kind"] == "structure"} == {
        "left hippocampus", "left cerebral white matter"}  # fmt: skip
    assert sorted(path.name for path in (out / "overlays").iterdir()) == [
        "FAIL_fruit.png", "head_T1.png", "malf_T1.png", "sheet_1.png"]  # fmt: skip


def row(scan_name, mode="robust", **more):
    return {"part": "synthetic", "scan": scan_name, "mode": mode, **more}


def test_dice_of_a_scan_that_was_not_finished_is_forgotten(tmp_path):
    tables = Tables(tmp_path, "synthetic")
    tables.add("a", [row("a")], [row("a", name="x", dice="0.5")])
    written = (tmp_path / "scans_synthetic.csv").read_text()
    tables.add("b", [row("b")], [row("b", name="x", dice="0.5")])
    (tmp_path / "scans_synthetic.csv").write_text(written)  # as if the run had ended between the two files
    again = Tables(tmp_path, "synthetic")
    assert [one["scan"] for one in again.dice] == ["a"]
    assert again.has("a", ["robust"])
    assert not again.has("a", ["robust", "fast"])
    assert not again.has("b", ["robust"])


def test_a_scan_that_is_measured_again_replaces_its_rows(tmp_path):
    tables = Tables(tmp_path, "synthetic")
    tables.add("a", [row("a")], [row("a", name="x", dice="0.5")])
    tables.add("a", [row("a"), row("a", "fast")], [row("a", name="x", dice="0.7")])
    again = Tables(tmp_path, "synthetic")
    assert [one["mode"] for one in again.scans] == ["robust", "fast"]
    assert [one["dice"] for one in again.dice] == ["0.7"]


def test_parts_do_not_touch_each_others_tables(tmp_path):
    for part in ("synthetic", "degraded"):
        Tables(tmp_path, part).add(part, [row(part)], [])
    assert {one["scan"] for one in read_all(tmp_path)[1]} == {"synthetic", "degraded"}


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    write_table(path, ("a",), [{"a": "1"}])

    def full(*names):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_table(path, ("a",), [{"a": "2"}])
    assert read_table(path) == [{"a": "1"}]
    assert os.listdir(tmp_path) == ["t.csv"]


def test_parts_that_begin_at_once_claim_one_folder(model_set, tmp_path, monkeypatch):
    replace = os.replace

    def later(partial, path):
        """The other process claims the folder just before this one's file takes its place."""
        monkeypatch.setattr(os, "replace", replace)
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 0)
            claim(tmp_path, model_set)
        replace(partial, path)

    monkeypatch.setattr(os, "replace", later)
    claim(tmp_path, model_set)
    assert os.listdir(tmp_path) == ["run.json"]
    claim(tmp_path, model_set)


def test_numbers_of_another_model_set_are_not_mixed_in(model_set, tmp_path):
    claim(tmp_path, model_set)
    claim(tmp_path, model_set)
    roles = {**model_set.roles, "tissue": dataclasses.replace(model_set.roles["tissue"], sha256="0" * 64)}
    with pytest.raises(OptionsError, match="other weights"):
        claim(tmp_path, dataclasses.replace(model_set, roles=roles))
    rule = SecondOpinion((0.0,) * 10, (1.0,) * 10, (0.0,) * 10)
    quality = dataclasses.replace(model_set.quality, second_opinion=rule)
    with pytest.raises(OptionsError, match="another calibration"):
        claim(tmp_path, dataclasses.replace(model_set, quality=quality))
    for change in ({"segmenter_share": 0.5}, {"appearance": 0.25}):
        rules = dataclasses.replace(model_set.postprocessing, **change)
        with pytest.raises(OptionsError, match="other rules of postprocessing"):
            claim(tmp_path, dataclasses.replace(model_set, postprocessing=rules))
