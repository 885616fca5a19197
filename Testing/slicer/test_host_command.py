"""`python -m Testing.host` as a person starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from Testing import host

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _host_can_run() -> None:
    reason = host.missing_requirement()
    if reason is not None:
        pytest.skip(f"the Slicer test host cannot run: {reason}")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "Testing.host", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_panel_and_views_are_written_as_one_picture(tmp_path):
    from PySide6 import QtGui

    picture = tmp_path / "host.png"
    finished = run("--screenshot", str(picture), "--size", "1000x700")
    assert finished.returncode == 0, finished.stderr
    image = QtGui.QImage(str(picture))
    size = image.size() if callable(image.size) else image.size
    assert (size.width(), size.height()) == (1000, 700)


def test_a_scan_that_is_not_there_is_named(tmp_path):
    finished = run(str(tmp_path / "absent.nii.gz"), "--screenshot", str(tmp_path / "x.png"))
    assert finished.returncode == 2
    assert "absent.nii.gz" in finished.stderr
    assert "Traceback" not in finished.stderr
