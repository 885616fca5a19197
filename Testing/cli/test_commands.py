"""The other commands, and how fast and quiet the program is when nothing is to be done."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SynthSegPlusLib import __version__
from SynthSegPlusLib.cli import COMMANDS, main
from SynthSegPlusLib.cohort.naming import Job
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.commands import demo
from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.commands._estimate import Grids, grids_of, matrix_rate, operations, work_of
from SynthSegPlusLib.commands._progress import LineReporter, TerminalReporter, reporter_for
from SynthSegPlusLib.contract import MeasuresTable, QualityReport, RegionScore, SegmentOptions, Verdict
from SynthSegPlusLib.inference import ModelSet
from SynthSegPlusLib.networks import UNetSpec
from SynthSegPlusLib.volume import Volume
from Testing.cli.conftest import write_scan
from Testing.inference.tiny import write_tiny_set

HEAVY = ("keras", "tensorflow", "torch", "jax", "nibabel", "scipy", "SimpleITK", "h5py", "matplotlib")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["segment", "--help"], ["models"]])
def test_help_and_models_load_nothing_heavy(words, root):
    program = ("import sys; from SynthSegPlusLib.cli import main; status = main(sys.argv[2:]); "
               "print([name for name in sys.argv[1].split() if name in sys.modules]); sys.exit(status)")
    done = subprocess.run([sys.executable, "-c", program, " ".join(HEAVY), *words], cwd=root, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_package_runs_as_a_module(root):
    done = subprocess.run([sys.executable, "-m", "SynthSegPlusLib", "--version"], cwd=root, capture_output=True,
                          text=True)
    assert done.stdout.strip() == f"synthsegplus {__version__}"


def test_a_reader_that_goes_away_is_no_error(root):
    command = [sys.executable, "-m", "SynthSegPlusLib", "models", "show", "starter_2mm"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert "Traceback" not in said
    assert "Broken" not in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(name, say):
    said = say(name, "--help")
    assert said.status == 0, said.err
    assert said.out.startswith(f"usage: synthsegplus {name}")


def test_models_lists_where_each_set_is_and_what_it_can_do(full_set, say):
    said = say("models")
    assert said.status == 0
    line = next(line for line in said.out.splitlines() if str(full_set) in line)
    assert "robust" in line
    assert "8 regions" in line
    assert "starter_2mm" in said.out


def test_models_show_names_what_is_missing_and_where_to_get_it(full_set, say):
    (full_set / "synthseg_qc_2.0.h5").unlink()
    said = say("models", "show", full_set)
    assert "synthseg_qc_2.0.h5 is not there" in said.out
    assert "get it" in said.out


def test_models_check_finds_files_that_are_not_what_they_should_be(full_set, say):
    said = say("models", "check")
    assert said.status == 1
    assert "starter_2mm: starter_s_2mm.h5 (segmenter): sound" in said.out
    assert said.out.count("sound") < len(said.out.splitlines())


def test_models_check_names_a_place_that_holds_no_set(tmp_path, say, monkeypatch):
    monkeypatch.setenv("SYNTHSEGPLUS_MODELS", str(tmp_path / "nowhere"))
    said = say("models", "check")
    assert said.status == 1
    assert f"Not usable: There is no model set at {tmp_path / 'nowhere'}" in said.out
    assert "starter_2mm: starter_s_2mm.h5 (segmenter): sound" in said.out


def test_models_check_names_files_that_a_set_describes_and_lacks(tmp_path, say):
    folder = write_tiny_set(tmp_path / "tiny", ("segmenter", "quality"))
    assert say("models", "check", folder).status == 0
    (folder / "quality.h5").unlink()
    said = say("models", "check", folder)
    assert said.status == 1
    assert said.out.splitlines() == ["tiny: segmenter.h5 (segmenter): sound", "tiny: quality.h5 (quality): missing"]


def test_models_check_does_not_miss_published_files_of_which_many_people_have_a_part(full_set, say):
    (full_set / "synthseg_qc_2.0.h5").unlink()
    assert "missing" not in say("models", "check").out


def test_models_show_of_an_unknown_set_is_refused(say):
    said = say("models", "show", "no_such_set")
    assert said.status == 2
    assert len(said.complaints) == 1


def test_check_names_findings_and_advises_a_mode(tmp_path, say):
    scan = write_scan(tmp_path / "s.nii.gz", spacing=4.0)
    said = say("check", scan)
    assert said.status == 0
    assert "16 x 16 x 16 voxels of 4 x 4 x 4 mm" in said.out
    assert "advice   mode" in said.out
    found = json.loads(say("check", scan, "--json").out)
    assert found["spacing_mm"] == [4, 4, 4]
    assert found["mode"] == "default"


def test_check_of_a_scan_that_cannot_be_segmented_is_status_1(tmp_path, say):
    path = tmp_path / "flat.nii.gz"
    Volume(np.ones((8, 8, 8), np.float32), np.eye(4)).write(path)
    said = say("check", path)
    assert said.status == 1
    assert "ERROR    constant" in said.out


def test_check_goes_on_after_a_scan_that_cannot_be_read(tmp_path, say):
    scans = [write_scan(tmp_path / "a.nii.gz"), tmp_path / "none.nii.gz", write_scan(tmp_path / "c.nii.gz")]
    said = say("check", *scans)
    assert said.status == 1
    assert said.out.count("advice   mode") == 2
    assert f"{scans[1]}:\n  ERROR    {scans[1]} does not exist; check the path.\n" in said.out
    found = [json.loads(line) for line in say("check", "--json", *scans).out.splitlines()]
    assert [entry["scan"] for entry in found] == [str(scan) for scan in scans]
    assert found[1] == {"scan": str(scans[1]), "error": f"{scans[1]} does not exist; check the path."}


def test_check_with_debug_ends_at_a_scan_that_cannot_be_read(tmp_path, say):
    said = say("check", tmp_path / "none.nii.gz", "--debug")
    assert said.status == 2
    assert "Traceback" in said.err


def test_doctor_lists_packages_devices_and_model_sets(say, monkeypatch):
    from SynthSegPlusLib import networks

    backends = [networks.Backend("tensorflow", True, "2.x", ("Some GPU",)),
                networks.Backend("torch", False, problem="not installed")]
    monkeypatch.setattr(networks, "probe_backends", lambda: backends)
    said = say("doctor")
    assert said.status == 0
    for word in (__version__, "numpy", "CPU, Some GPU", "not installed", "starter_2mm", "memory"):
        assert word in said.out
    backends.pop(0)
    said = say("doctor")
    assert said.status == 1
    assert "PROBLEM: No deep-learning backend" in said.out


# ---- the demo -------------------------------------------------------------------------------------------


def test_the_demo_segments_and_shows_everything(tmp_path, engine, say):
    scan = write_scan(tmp_path / "in" / "head.nii.gz")
    out = tmp_path / "out"
    said = say("demo", "--scan", scan, "--output", out)
    assert said.status == 0, said.err
    assert sorted(path.name for path in out.iterdir()) == [
        "picture.png", "record.json", "segmentation.nii.gz", "table.csv", "volumes.csv"]
    for word in ("no QC in this model set", "no robust mode in this model set", "ICV         1.235 l",
                 "Cerebral white matter", str(out)):
        assert word in said.out
    assert "Dice" not in said.out


def test_the_demo_with_a_set_that_can_do_everything_does_everything(tmp_path, engine, full_set, say):
    said = say("demo", "--scan", write_scan(tmp_path / "s.nii.gz"), "--output", tmp_path / "o")
    options = engine.made[0].options
    assert (options.mode, options.parcellation, options.quality) == ("robust", True, True)
    assert "QC          fail at 0.65" in said.out
    assert (tmp_path / "o" / "picture_qc.png").exists()


def test_the_demo_finds_the_template_without_importing_nilearn(root):
    program = ("import sys; from SynthSegPlusLib.commands.demo import nilearn_files; "
               "print(all(p.exists() for p in nilearn_files().values()), 'nilearn' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_without_nilearn_the_demo_says_what_to_install(say, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = say("demo")
    assert said.status == 2
    assert "pip install nilearn" in said.complaints[0]
    assert "--scan" in said.complaints[0]


def test_tissue_dice_is_one_for_the_tissue_itself_and_counts_parcels_as_grey():
    white, grey = np.zeros((4, 4, 4)), np.zeros((4, 4, 4))
    white[:2], grey[2:] = 255, 255
    labels = np.where(white > 0, 41, 2012)
    maps = {"white matter": Volume(white, np.eye(4)), "grey matter": Volume(grey, np.eye(4))}
    assert demo.tissue_dice(labels, maps) == {"white matter": 1.0, "grey matter": 1.0}
    labels[0] = 0
    scores = demo.tissue_dice(labels, maps)
    assert scores["white matter"] == pytest.approx(2 * 16 / (16 + 32))


# ---- progress and forecast ------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_updating_line_a_stage():
    stream = Terminal()
    reporter = reporter_for(stream)
    assert isinstance(reporter, TerminalReporter)
    job = Job(Path("a.nii"), "a.nii", Path("o.nii"), Path("r.json"))
    reporter.started(1, 2, job)
    for fraction in (0.0, 0.5, 1.0):
        reporter.stage("network", fraction, fraction / 2)
    reporter.stage("finish", 1.0, 1.0)
    reporter.ended(Outcome(Path("a.nii"), "a.nii", "done", "", MeasuresTable(()), 1.5e6))
    lines = stream.getvalue().split("\n")
    assert lines[0] == "[1/2] a.nii"
    assert lines[1].count("\r") == 2
    assert "100%" in lines[1]
    assert "finish" in lines[2]
    assert lines[3] == "[1/2] a.nii: done in 0 s, ICV 1.500 l"


def test_elsewhere_there_are_plain_lines_and_failed_regions_are_named():
    stream = io.StringIO()
    reporter = reporter_for(stream)
    assert isinstance(reporter, LineReporter)
    report = QualityReport((RegionScore("thalamus", 0.5, Verdict.FAIL), RegionScore("cortex", 0.9, Verdict.PASS)), 0.65)
    reporter.started(1, 1, Job(Path("a.nii"), "a.nii", Path("o.nii"), Path("r.json")))
    reporter.ended(Outcome(Path("a.nii"), "a.nii", "done", "", MeasuresTable(()), None, report))
    assert "quality fail (thalamus 0.50), look at it" in stream.getvalue()


def test_operations_of_a_network_are_counted_level_by_level():
    spec = UNetSpec("u", in_channels=1, n_labels=2, features=4, levels=2, kernel=3, convolutions=1, skips="all")
    voxels = 8**3
    down = 27 * (1 * 4 * voxels + 4 * 8 * voxels / 8)
    up = 27 * (8 + 4) * 4 * voxels
    last = 4 * 2 * voxels
    assert operations(spec, (8, 8, 8)) == pytest.approx(2 * (down + up + last))


def forecast_grids(model_set: ModelSet, scan: Path, **options):
    choice = Choice(model_set, SegmentOptions(mode="fast", **options))
    grids = grids_of(Job(scan, "s", scan, scan), choice)
    return grids, work_of(grids, choice), choice.roles()[0].network


def test_a_forecast_knows_the_grids_of_a_crop_and_of_a_set_that_looks_for_the_brain_first(tmp_path):
    scan = write_scan(tmp_path / "s.nii.gz", (50, 60, 40), 4.0)
    whole = ModelSet.find("starter_2mm")
    framed = replace(whole, field_of_view_mm=(160, 192, 160))
    grids, work, network = forecast_grids(whole, scan)
    assert grids == Grids((104, 120, 80), (200, 240, 160), (50, 60, 40))
    assert work == operations(network, (104, 120, 80))
    grids, work, network = forecast_grids(framed, scan)
    assert grids == Grids((80, 96, 80), (200, 240, 160), (50, 60, 40))
    assert work == operations(network, (80, 96, 80)) + operations(network, (104, 120, 80))
    for model_set in (whole, framed):
        grids, work, network = forecast_grids(model_set, scan, crop=(96, 96, 96))
        assert grids == Grids((48, 48, 48), (200, 240, 160), (50, 60, 40))
        assert work == operations(network, (48, 48, 48))


def test_the_matrix_rate_of_a_machine_is_a_rate():
    assert 1e7 < matrix_rate(128, 2) < 1e16


def test_a_name_that_the_terminal_cannot_print_ends_nothing(tmp_path, root):
    scan = write_scan(tmp_path / "Gehirn_\u8111.nii.gz")
    command = [sys.executable, "-m", "SynthSegPlusLib", "check", str(scan)]
    done = subprocess.run(command, cwd=root, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert b"Gehirn_\\u8111.nii.gz" in done.stdout


def test_main_takes_its_words_from_the_process_by_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["synthsegplus", "--version"])
    assert main() == 0
    assert __version__ in capsys.readouterr().out
