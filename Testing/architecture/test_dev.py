"""What the developers' door makes of its tools' answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import dev


@pytest.mark.parametrize(("codes", "status"), [
    ([0, 0], 0), ([0, -9], -9), ([-11, 0], -11), ([1, 0], 1), ([dev.NOTHING_CHOSEN, 0], 0),
    ([dev.NOTHING_CHOSEN, 1], 1), ([dev.NOTHING_CHOSEN, dev.NOTHING_CHOSEN], dev.NOTHING_CHOSEN),
])  # fmt: skip
def test_a_half_that_was_killed_or_failed_fails_the_whole(codes, status):
    assert dev._worst(codes) == status


def test_an_environment_without_pip_or_of_another_python_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(dev, "PYTHON", Path(sys.executable))
    assert dev.is_usable()
    monkeypatch.setattr(dev, "PYTHON", tmp_path / "python")
    assert not dev.is_usable()
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert not dev.is_usable()


def test_what_is_installed_counts_for_one_folder_and_python_only(monkeypatch, tmp_path):
    before = dev.fingerprint("project")
    assert dev.fingerprint("project") == before
    monkeypatch.setattr(dev.sys, "version_info", (3, 12, 0))
    assert dev.fingerprint("project") != before
