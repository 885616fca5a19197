"""`python -m Testing.host` as a person starts it."""

from __future__ import annotations

import os
import shutil
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
        timeout=600,
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


def test_a_window_opens_on_a_screen(tmp_path):
    if shutil.which("xvfb-run") is None:
        pytest.skip("xvfb-run is not installed (Debian: xvfb xauth), and a real screen would show the window")
    script = tmp_path / "window.py"
    script.write_text(
        "from Testing import host\n"
        "started = host.start()\n"
        "started.load_module('Testing/host/example/HostExample.py')\n"
        "window = started.make_window('HostExample', (800, 600))\n"
        "started.process_events(200)\n"
        "print(started.qt_application.platformName, window.visible)\n"
        "started.stop()\n",
        encoding="utf-8",
    )
    environment = {name: value for name, value in os.environ.items() if name != "QT_QPA_PLATFORM"}
    finished = subprocess.run(
        ["xvfb-run", "-a", sys.executable, str(script)],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["xcb", "True"]


def test_a_scan_that_is_not_there_is_named(tmp_path):
    finished = run(str(tmp_path / "absent.nii.gz"), "--screenshot", str(tmp_path / "x.png"))
    assert finished.returncode == 2
    assert "absent.nii.gz" in finished.stderr
    assert "Traceback" not in finished.stderr
