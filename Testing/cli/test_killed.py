"""A run that is killed at any step leaves no damaged file, and --resume finishes the rest.

Here the engine answers at once, so that every step can be tried; `test_killed_stages` kills real runs.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from Testing.cli.conftest import write_scan
from Testing.cli.kill_driver import words

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and SIGKILL")
STEPS = 200


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Path, Path, int]:
    """Folder of two scans, folder of the outputs of runs killed at step 1, 2, ..., and how many there were."""
    place = tmp_path_factory.mktemp("killed")
    scans = place / "in"
    for index, name in enumerate(("a.nii.gz", "b.nii.gz")):
        write_scan(scans / name, seed=index)
    command = [sys.executable, "-m", "Testing.cli.kill_driver", str(scans), str(place), str(STEPS)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return scans, place, int(done.stdout)


def visible(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.iterdir() if not path.name.startswith(".")} if folder.exists() else {}


def digest(path: Path) -> str:
    """Of what a file says, without what depends on time and place."""
    if path.name.endswith(".nii.gz"):
        return hashlib.sha256(np.ascontiguousarray(nib.load(path).dataobj)).hexdigest()
    if path.suffix == ".json":
        return hashlib.sha256(json.dumps(json.loads(path.read_text())["measures"]).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_runs_were_killed_at_many_steps(killed):
    assert 30 < killed[2] < STEPS


def test_what_a_killed_run_left_is_whole(killed):
    _, place, count = killed
    whole = {name: digest(path) for name, path in visible(place / str(count + 1)).items()}
    assert len(whole) == 10
    for steps in range(1, count + 1):
        for name, path in visible(place / str(steps)).items():
            if path.suffix == ".csv":
                rows = list(csv.reader(path.read_text().splitlines()))
                assert len({len(row) for row in rows}) == 1
            else:
                assert digest(path) == whole[name], f"{name} after a kill at step {steps}"


def test_a_record_proves_that_all_files_of_its_scan_are_there(killed):
    _, place, count = killed
    proved = 0
    for steps in range(1, count + 1):
        for name, path in visible(place / str(steps)).items():
            if path.suffix == ".json":
                proved += 1
                for output in json.loads(path.read_text())["outputs"].values():
                    assert Path(output["path"]).stat().st_size == output["bytes"], f"{name} at step {steps}"
    assert proved


def test_resume_finishes_what_a_killed_run_began(killed, engine, say):
    scans, place, count = killed
    whole = {name: digest(path) for name, path in visible(place / str(count + 1)).items()}
    total = 0
    for steps in range(1, count + 1, 3):
        out = place / str(steps)
        before = sum(path.suffix == ".json" for path in visible(out).values())
        engine.made.clear()
        assert say(*words(scans, out), "--resume").status == 0
        assert len(engine.calls) == 2 - before
        assert {name: digest(path) for name, path in visible(out).items()} == whole
        assert sorted(path.name for path in out.iterdir()) == sorted(whole), f"litter after step {steps}"
        total += before
    assert total > 3
