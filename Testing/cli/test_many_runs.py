"""What several runs leave in one folder, and what another program that holds a table may do to a run: nothing."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from SynthSegPlusLib.cohort import loop
from SynthSegPlusLib.cohort.files import replacing
from Testing.cli.conftest import write_scan


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(loop, "PATIENCE_SECONDS", (0.0, 0.0))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for index, name in enumerate(("a.nii.gz", "b.nii.gz", "c.nii.gz")):
        write_scan(tmp_path / "in" / name, seed=index)
    return tmp_path / "in"


@pytest.fixture
def hold(monkeypatch) -> Callable[[Path, int], list[Path]]:
    """Let a file be open in another program, as on Windows, for so many attempts to replace it."""

    def start(held: Path, attempts: int) -> list[Path]:
        refused: list[Path] = []
        replace = os.replace

        def guarded(source, target):
            if Path(target) == held and len(refused) < attempts:
                refused.append(held)
                raise PermissionError(errno.EACCES, "Access is denied")
            replace(source, target)

        monkeypatch.setattr(os, "replace", guarded)
        # What a run costs must not decide whether a table is tried again.
        monkeypatch.setattr(loop, "TABLES_SHARE", float("inf"))
        return refused

    return start


def column(path: Path, name: str) -> list[str]:
    return [row[name] for row in csv.DictReader(path.read_text().splitlines())]


def site(tmp_path: Path, name: str, *broken: str) -> Path:
    """A folder with two scans, of which some are damaged."""
    for index, scan in enumerate((f"{name}1.nii.gz", f"{name}2.nii.gz")):
        write_scan(tmp_path / name / scan, seed=index)
        if scan in broken:
            (tmp_path / name / scan).write_bytes(b"this is no image" * 30)
    return tmp_path / name


# ---- a table that another program holds -------------------------------------------------------------------


def test_a_table_that_is_open_elsewhere_for_a_while_costs_no_scan_and_is_whole_in_the_end(
    three, tmp_path, engine, hold, say
):
    refused = hold(tmp_path / "v.csv", 2)
    said = say("segment", "--i", three, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv")
    assert said.status == 0, said.err
    assert engine.calls == ["a", "b", "c"]
    assert len(refused) == 2
    assert said.err.count("open in another program") == 1
    assert column(tmp_path / "v.csv", "subject") == ["a", "b", "c"]


def test_a_table_that_stays_open_elsewhere_is_an_error_when_all_scans_are_done_and_the_others_are_written(
    three, tmp_path, engine, hold, say
):
    (three / "b.nii.gz").write_bytes(b"this is no image" * 30)
    hold(tmp_path / "v.csv", 1000)
    said = say("segment", "--i", three, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv", "--table",
               tmp_path / "t.csv")
    assert said.status == 2
    assert "open in another program" in said.complaints[-1]
    assert engine.calls == ["a", "c"]
    assert set(column(tmp_path / "t.csv", "subject")) == {"a", "b", "c"}
    assert column(tmp_path / "o" / "failed_scans.csv", "subject") == ["b"]
    assert not list(tmp_path.rglob(".partial-*"))


def test_a_table_is_tried_again_in_the_end_before_the_run_gives_up(three, tmp_path, engine, hold, say):
    # After each of three scans, and twice at the end.
    refused = hold(tmp_path / "v.csv", 5)
    said = say("segment", "--i", three, "--o", tmp_path / "o", "--vol", tmp_path / "v.csv")
    assert said.status == 0, said.err
    assert len(refused) == 5
    assert column(tmp_path / "v.csv", "subject") == ["a", "b", "c"]


def test_a_list_of_failures_that_is_open_elsewhere_and_should_go_ends_no_scan(tmp_path, engine, say, monkeypatch):
    scans, out = site(tmp_path, "a", "a1.nii.gz"), tmp_path / "o"
    say("segment", "--i", scans, "--o", out)
    write_scan(scans / "a1.nii.gz")
    unlink = Path.unlink

    def guarded(path, missing_ok=False):
        if path.name == "failed_scans.csv":
            raise PermissionError(errno.EACCES, "Access is denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", guarded)
    engine.made.clear()
    said = say("segment", "--i", scans, "--o", out)
    assert engine.calls == ["a1", "a2"]
    assert "open in another program" in said.complaints[-1]


# ---- the list of failed scans -----------------------------------------------------------------------------


def test_the_failures_of_another_run_into_the_same_folder_stay_listed(tmp_path, engine, say):
    out = tmp_path / "o"
    first, second = site(tmp_path, "a", "a1.nii.gz", "a2.nii.gz"), site(tmp_path, "b", "b2.nii.gz")
    say("segment", "--i", first, "--o", out)
    say("segment", "--i", second, "--o", out)
    assert column(out / "failed_scans.csv", "subject") == ["a1", "a2", "b2"]
    for path in (first / "a1.nii.gz", second / "b2.nii.gz"):
        write_scan(path)
    say("segment", "--i", second, "--o", out)
    assert column(out / "failed_scans.csv", "subject") == ["a1", "a2"]
    say("segment", "--i", first, "--o", out)
    assert column(out / "failed_scans.csv", "subject") == ["a2"]
    assert all(column(out / "failed_scans.csv", "reason"))
    write_scan(first / "a2.nii.gz")
    say("segment", "--i", first, "--o", out)
    assert not (out / "failed_scans.csv").exists()


def test_a_scan_that_was_not_tried_before_an_interrupt_stays_listed(tmp_path, engine, say):
    scans, out = site(tmp_path, "a", "a2.nii.gz"), tmp_path / "o"
    say("segment", "--i", scans, "--o", out)
    write_scan(scans / "a2.nii.gz")

    def hook(name):
        if name == "a2":
            raise KeyboardInterrupt

    engine.hook = hook
    assert say("segment", "--i", scans, "--o", out).status == 130
    assert column(out / "failed_scans.csv", "subject") == ["a2"]


def test_two_runs_that_list_their_failures_at_once_do_not_share_a_temporary_file(tmp_path, engine, say, monkeypatch):
    seen = set()

    def watching(path, mark=""):
        seen.add(mark)
        return replacing(path, mark)

    monkeypatch.setattr("SynthSegPlusLib.cohort.files.replacing", watching)
    for name in ("a", "b"):
        say("segment", "--i", site(tmp_path, name, f"{name}1.nii.gz"), "--o", tmp_path / "o")
    marks = seen - {""}
    assert len(marks) == 2
    assert not list((tmp_path / "o").glob(".partial-*"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00 no table", b"subject;reason;scan\na;b;c\n", b"subject\na\n"])
def test_a_list_of_failures_that_is_none_is_replaced(content, tmp_path, engine, say):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "failed_scans.csv").write_bytes(content)
    assert say("segment", "--i", site(tmp_path, "a", "a1.nii.gz"), "--o", tmp_path / "o").status == 1
    assert column(tmp_path / "o" / "failed_scans.csv", "subject") == ["a1"]
