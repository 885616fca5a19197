"""`synthsegplus segment` with an engine that answers at once: flags, tables, failures, resume."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

from SynthSegPlusLib.contract import Finding
from SynthSegPlusLib.inference.model_set import ModelSet
from Testing.cli.conftest import read_labels, write_scan


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode())))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for index, name in enumerate(("a.nii.gz", "b.nii", "c.mgz")):
        write_scan(folder / name, seed=index)
    return folder


@pytest.fixture
def broken(three: Path) -> Path:
    """Three scans of which the middle one is damaged."""
    (three / "b.nii").write_bytes(b"this is no image" * 30)
    return three


def test_one_scan_gives_labels_of_the_published_type_and_a_record(scan, tmp_path, engine, say):
    said = say("segment", "--i", scan, "--o", tmp_path / "o" / "x.nii.gz")
    assert said.status == 0
    labels = read_labels(tmp_path / "o" / "x.nii.gz")
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == {0, 2}
    record = json.loads((tmp_path / "o" / "x_record.json").read_text())
    assert record["run"]["device"] == "none"
    assert record["request"]["options"]["mode"] == "default"
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["x.nii.gz", "x_record.json"]


@pytest.mark.parametrize(("flags", "expected"), [
    ([], {"mode": "default", "grid": "1mm", "precision": "float32", "quality": False, "compatibility": False}),
    (["--fast"], {"mode": "fast"}),
    (["--robust"], {"mode": "robust", "label_version": "2.0"}),
    (["--robust", "--fast"], {"mode": "robust"}),
    (["--mode", "s1-s2"], {"mode": "s1-s2"}),
    (["--mode", "fast", "--fast"], {"mode": "fast"}),
    (["--v1"], {"mode": "default", "label_version": "1.0"}),
    (["--v1", "--fast", "--parc"], {"mode": "fast", "label_version": "1.0", "parcellation": True}),
    (["--ct"], {"ct": True}),
    (["--crop", "96"], {"crop": (96, 96, 96)}),
    (["--crop", "96", "128", "64"], {"crop": (96, 128, 64)}),
    (["--native", "--precision", "bfloat16", "--compatibility"],
     {"grid": "native", "precision": "bfloat16", "compatibility": True}),
    (["--keepgeom"], {"grid": "native"}),
    (["--qc-threshold", "0.5"], {"quality": True, "qc_threshold": 0.5}),
    (["--qc-from-denoiser", "--robust"], {"quality_from_denoiser": True, "quality": False}),
])
def test_flags_become_the_engines_options(flags, expected, scan, tmp_path, engine, full_set, say):
    said = say("segment", "--i", scan, "--o", tmp_path / "x.nii.gz", *flags)
    assert said.status == 0, said.err
    options = engine.made[0].options
    assert {name: getattr(options, name) for name in expected} == expected


def test_every_output_that_is_asked_for_is_written(scan, tmp_path, engine, full_set, say):
    out = tmp_path / "o"
    said = say("segment", "--i", scan, "--o", out, "--post", out, "--resample", out, "--picture", out, "--record", out,
               "--vol", out / "v", "--qc", out / "q.csv", "--table", out / "t.csv", "--parc", "--robust")
    assert said.status == 0, said.err
    assert sorted(path.name for path in out.iterdir()) == [
        "b_picture.png", "b_picture_qc.png", "b_posteriors.nii.gz", "b_record.json", "b_resampled.nii.gz",
        "b_synthseg.nii.gz", "q.csv", "t.csv", "v.csv",
    ]
    assert "v has no .csv extension" in said.err
    assert set(np.unique(read_labels(out / "b_synthseg.nii.gz"))) == {1001}
    posteriors = read_labels(out / "b_posteriors.nii.gz")
    assert posteriors.shape == (16, 16, 16, 33)
    assert posteriors.dtype == np.float32


def test_a_scan_that_needed_no_resampling_gives_no_resampled_image(tmp_path, engine, say):
    scan = write_scan(tmp_path / "one.nii.gz", spacing=1.0)
    assert say("segment", "--i", scan, "--o", tmp_path / "o", "--resample", tmp_path / "r").status == 0
    assert list((tmp_path / "r").iterdir()) == []


def test_volume_and_quality_tables_have_the_published_columns(three, tmp_path, engine, full_set, shared, say):
    say("segment", "--i", three, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--qc", tmp_path / "q.csv",
        "--robust", "--parc")
    golden = shared / "reference" / "golden" / "runs" / "A_robust_parc_qc"
    assert rows(tmp_path / "v.csv")[0] == rows(golden / "vol.csv")[0]
    assert rows(tmp_path / "q.csv")[0] == rows(golden / "qc.csv")[0]
    assert [row[0] for row in rows(tmp_path / "v.csv")[1:]] == ["a", "b.nii", "c.mgz"]
    assert (tmp_path / "v.csv").read_bytes().count(b"\r\n") == 4
    assert rows(tmp_path / "q.csv")[1][1:] == ["0.9500", "0.9000", "0.8500", "0.8000", "0.7500", "0.7000", "0.6500",
                                              "0.6000"]


def test_version_1_has_no_intracranial_volume(scan, tmp_path, engine, full_set, shared, say):
    say("segment", "--i", scan, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--v1")
    assert rows(tmp_path / "v.csv")[0] == rows(shared / "reference" / "golden" / "runs" / "A_v1_qc" / "vol.csv")[0]


def test_volumes_are_printed_with_at_most_three_decimals(scan, tmp_path, engine, say):
    say("segment", "--i", scan, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv")
    header, values = rows(tmp_path / "v.csv")
    assert values[header.index("total intracranial")] == "1234567.891"
    expected = engine.made[0]._measures(float(np.float64(1)), None)
    assert len(values) == len(expected) + 2
    assert all(math.isclose(float(value), round(float(value), 3)) for value in values[1:])


def test_compatibility_prints_single_precision_as_the_published_command_does(scan, tmp_path, engine, say):
    say("segment", "--i", scan, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--compatibility")
    assert rows(tmp_path / "v.csv")[1][1] == "1234567.9"


def test_a_list_gives_each_scan_a_table_of_two_rows_with_an_empty_first_cell(three, tmp_path, engine, say):
    lists = {"i": [three / "b.nii", three / "a.nii.gz"], "o": [tmp_path / "1.nii.gz", tmp_path / "2.nii.gz"],
             "v": [tmp_path / "1.csv", tmp_path / "2.csv"]}
    for name, lines in lists.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(map(str, lines)))
    said = say("segment", "--i", tmp_path / "i.txt", "--o", tmp_path / "o.txt", "--vol", tmp_path / "v.txt")
    assert said.status == 0, said.err
    first, second = rows(tmp_path / "1.csv")
    assert (first[0], second[0]) == ("", "b.nii")
    assert rows(tmp_path / "2.csv")[1][0] == "a"


def test_a_set_with_ten_regions_writes_their_names(scan, tmp_path, engine, say, monkeypatch):
    monkeypatch.setattr(ModelSet, "require", lambda self, role: self.roles["segmenter"])
    said = say("segment", "--i", scan, "--o", tmp_path / "o", "--qc", tmp_path / "q.csv")
    assert said.status == 0, said.err
    assert rows(tmp_path / "q.csv")[0] == [
        "subject", "white matter", "cortex", "lateral ventricle", "cerebellum", "thalamus", "hippocampus", "amygdala",
        "pallidum", "putamen", "brainstem",
    ]


def test_a_failed_scan_is_a_row_with_its_reason_and_the_others_go_on(broken, tmp_path, engine, say):
    said = say("segment", "--i", broken, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--table",
               tmp_path / "t.csv")
    assert said.status == 1
    assert len(said.complaints) == 1
    assert "b.nii" in said.complaints[0]
    assert "Traceback" not in said.err
    table = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    failed = [row for row in table if row["status"] == "failed"]
    assert [row["subject"] for row in failed] == ["b.nii"]
    assert failed[0]["reason"]
    assert failed[0]["label"] == ""
    assert {row["subject"] for row in table if row["status"] == "done"} == {"a", "c.mgz"}
    assert rows(tmp_path / "v.csv")[2] == ["b.nii"] + [""] * 33
    assert (tmp_path / "o" / "failed_scans.csv").read_text().splitlines()[1].startswith("b.nii,")
    assert "3 scans: 2 done, 0 kept from an earlier run, 1 failed" in said.err
    assert sorted(path.name for path in (tmp_path / "o").glob("*synthseg*")) == [
        "a_synthseg.nii.gz", "a_synthseg_record.json", "c_synthseg.mgz", "c_synthseg.mgz_record.json"]


def test_an_implausible_result_is_warned_of_and_named_in_table_and_record_also_when_kept(scan, tmp_path, engine, say):
    engine.implausible = (Finding("empty-segmentation", "warning", "Nothing was found.", "Look."),)
    words = ["segment", "--i", scan, "--o", tmp_path / "o", "--table", tmp_path / "t.csv", "--resume"]
    assert "warning: Nothing was found. Look." in say(*words).err
    for _ in range(2):
        table = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
        assert {row["findings"].split()[-1] for row in table} == {"empty-segmentation"}
        say(*words)
    record = json.loads((tmp_path / "o" / "b_synthseg_record.json").read_text())
    assert record["findings"][-1] == "empty-segmentation"
    assert len(engine.calls) == 1


def test_compatibility_leaves_a_failed_scan_out_of_the_published_tables(broken, tmp_path, engine, say):
    say("segment", "--i", broken, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--compatibility")
    assert [row[0] for row in rows(tmp_path / "v.csv")] == ["subject", "a", "c.mgz"]


def test_an_error_that_nobody_foresaw_fails_its_scan_only(three, tmp_path, engine, say):
    def hook(name):
        if name == "a":
            raise ZeroDivisionError("unlucky")

    engine.hook = hook
    said = say("segment", "--i", three, "--o", tmp_path / "o")
    assert said.status == 1
    assert "ZeroDivisionError: unlucky" in said.complaints[0]
    assert "--debug" in said.complaints[0]
    assert len(list((tmp_path / "o").glob("*_record.json"))) == 2


def test_debug_shows_the_traceback_of_an_error_that_nobody_foresaw(scan, tmp_path, engine, say):
    def hook(name):
        raise ZeroDivisionError("unlucky")

    engine.hook = hook
    said = say("segment", "--i", scan, "--o", tmp_path / "o", "--debug")
    assert said.status == 2
    assert "Traceback" in said.err


def test_debug_shows_the_traceback_of_a_scan_that_cannot_be_read(broken, tmp_path, engine, say):
    said = say("segment", "--i", broken, "--o", tmp_path / "o", "--debug")
    assert said.status == 2
    assert "Traceback" in said.err
    assert "InputError" in said.err
    assert engine.calls == ["a"]


def test_resume_does_only_what_is_not_finished(three, tmp_path, engine, say):
    words = ("segment", "--i", three, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--table", tmp_path / "t.csv")
    say(*words)
    first = ((tmp_path / "v.csv").read_bytes(), (tmp_path / "t.csv").read_bytes())
    (tmp_path / "o" / "b_synthseg.nii").unlink()
    engine.made.clear()
    said = say(*words, "--resume")
    assert said.status == 0
    assert engine.calls == ["b"]
    assert ((tmp_path / "v.csv").read_bytes(), (tmp_path / "t.csv").read_bytes()) == first
    assert "3 scans: 1 done, 2 kept from an earlier run, 0 failed" in said.err


def test_resume_with_nothing_to_do_segments_nothing(three, tmp_path, engine, say):
    say("segment", "--i", three, "--o", tmp_path / "o")
    engine.made.clear()
    assert say("segment", "--i", three, "--o", tmp_path / "o", "--resume").status == 0
    assert engine.calls == []


@pytest.mark.parametrize("change", ["option", "scan", "output", "damaged record", "truncated result"])
def test_resume_does_a_scan_again_when_anything_differs(change, scan, tmp_path, engine, say):
    words = ["segment", "--i", scan, "--o", tmp_path / "o"]
    say(*words)
    engine.made.clear()
    if change == "option":
        words += ["--fast"]
    elif change == "scan":
        write_scan(scan, seed=9)
    elif change == "output":
        words += ["--post", tmp_path / "p"]
    elif change == "damaged record":
        record = tmp_path / "o" / "b_synthseg_record.json"
        record.write_text(record.read_text()[:200])
    else:
        labels = tmp_path / "o" / "b_synthseg.nii.gz"
        labels.write_bytes(labels.read_bytes()[:50])
    assert say(*words, "--resume").status == 0
    assert engine.calls == ["b"]


def test_a_scan_that_failed_is_tried_again_and_the_list_of_failures_goes(broken, tmp_path, engine, say):
    words = ("segment", "--i", broken, "--o", tmp_path / "o")
    assert say(*words).status == 1
    write_scan(broken / "b.nii")
    engine.made.clear()
    assert say(*words, "--resume").status == 0
    assert engine.calls == ["b"]
    assert not (tmp_path / "o" / "failed_scans.csv").exists()


def test_without_resume_everything_is_done_again(three, tmp_path, engine, say):
    say("segment", "--i", three, "--o", tmp_path / "o")
    engine.made.clear()
    say("segment", "--i", three, "--o", tmp_path / "o")
    assert len(engine.calls) == 3


def test_a_role_that_the_set_lacks_is_named_before_anything_is_written(scan, tmp_path, engine, say):
    for flags, role in ((["--parc"], "parcellation"), (["--qc", tmp_path / "q.csv"], "quality control"),
                        (["--robust"], "tissue network"), (["--v1"], "1.0")):
        said = say("segment", "--i", scan, "--o", tmp_path / "o", *flags)
        assert said.status == 2
        assert len(said.complaints) == 1
        assert role in said.complaints[0]
    assert not (tmp_path / "o").exists()
    assert engine.made == []


@pytest.mark.parametrize(
    ("flags", "hidden"), [(["--cpu"], True), (["--device", "cpu"], True), (["--device", "CPU"], True), ([], False)]
)
def test_on_the_cpu_no_backend_sees_a_gpu(scan, tmp_path, engine, say, flags, hidden):
    seen, before = [], os.environ.get("CUDA_VISIBLE_DEVICES")
    engine.hook = lambda name: seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert say("segment", "--i", scan, "--o", tmp_path / "o", *flags).status == 0
    assert seen == ["-1" if hidden else before]


def test_a_mode_that_the_set_cannot_run_comes_with_one_that_it_can(scan, tmp_path, engine, say):
    said = say("segment", "--i", scan, "--o", tmp_path / "o", "--robust")
    assert "--mode default" in said.err


def test_dry_run_says_what_how_long_and_how_much_and_writes_nothing(three, tmp_path, engine, say):
    said = say("segment", "--i", three, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--dry-run")
    assert said.status == 0
    assert said.out.count("segment     ") == 3
    assert "a_synthseg.nii.gz" in said.out
    for word in ("model set", "networks", "time        about", "memory      about", "3 to segment of 3"):
        assert word in said.out
    assert engine.made == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_dry_run_says_what_its_numbers_rest_on_and_takes_measured_ones_once_there_are_any(scan, tmp_path, say):
    words = ["segment", "--i", scan, "--o", tmp_path / "o", "--fast"]
    assert re.search(r"basis +\d+\.\d Tflop.* Gflop/s .*nothing was measured yet", say(*words, "--dry-run").out)
    assert say(*words).status == 0
    record = tmp_path / "o" / "b_synthseg_record.json"
    content = json.loads(record.read_text())
    stages = content["run"]["timings"]
    stages["Finishing"]["wall_s"] += 1000 - sum(stage["wall_s"] for stage in stages.values())
    content["run"]["peak_memory_bytes"] = 7_000_000_000
    record.write_text(json.dumps(content))
    said = say(*words, "--dry-run").out
    assert "time        about 17 min on this machine, device cpu" in said
    assert "memory      about 7.0 GB" in said
    assert "measured: records of 1 earlier scans" in said
    content["run"]["processors"] = -1  # another machine's
    record.write_text(json.dumps(content))
    assert "nothing was measured yet" in say(*words, "--dry-run").out


def test_dry_run_with_resume_shows_what_would_be_kept_and_what_cannot_work(broken, tmp_path, engine, say):
    say("segment", "--i", broken, "--o", tmp_path / "o")
    said = say("segment", "--i", broken, "--o", tmp_path / "o", "--dry-run", "--resume")
    assert said.out.count("keep        ") == 2
    assert said.out.count("would fail  ") == 1


def test_quiet_says_nothing_when_all_goes_well(scan, tmp_path, engine, say):
    said = say("segment", "--i", scan, "--o", tmp_path / "o", "--quiet")
    assert (said.status, said.out, said.err) == (0, "", "")


def test_stages_are_lines_where_there_is_no_terminal(scan, tmp_path, engine, say):
    said = say("segment", "--i", scan, "--o", tmp_path / "o")
    assert "[1/1] b.nii.gz: network" in said.err
    assert "\x1b" not in said.err
    assert "done in" in said.err


def test_an_interrupt_is_one_line_and_keeps_what_was_finished(three, tmp_path, engine, say):
    def hook(name):
        if name == "b":
            raise KeyboardInterrupt

    engine.hook = hook
    said = say("segment", "--i", three, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv")
    assert said.status == 130
    assert "Traceback" not in said.err
    assert [row[0] for row in rows(tmp_path / "v.csv")] == ["subject", "a"]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["a_synthseg.nii.gz", "a_synthseg_record.json"]
