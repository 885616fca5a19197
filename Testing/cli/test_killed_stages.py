"""A real process killed in every stage of a real run: nothing damaged is left, and --resume finishes the rest.

`test_killed` kills at every step of the files with an engine that answers at once; here the networks run.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from SynthSegPlusLib import ModelSet, Segmenter
from Testing.cli.test_killed import digest, visible
from Testing.inference.tiny import scan, write_tiny_set

OPTIONS = {"mode": "robust", "parcellation": True, "quality": True}

STAGES = (
    "Preparing the scan", "Tissues (S1)", "Denoising (D)", "Structures (S2)", "Postprocessing", "Parcellation (S3)",
    "Second opinion (S)", "Quality control (R)", "Finishing",
)  # fmt: skip

# In the order in which they are written.
SCANS_FILES = ("x.nii.gz", "p.nii.gz", "r.nii.gz", "x.png", "x_record.json")
TABLES = ("v.csv", "q.csv", "t.csv")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan that needs resampling and a set of small networks."""
    folder = tmp_path_factory.mktemp("killed")
    scan((20, 22, 18), spacing=1.2).write(folder / "scan.nii.gz")
    rule = {"intercept": [0.1] * 10, "regressor": [0.5] * 10, "agreement": [0.2] * 10}
    write_tiny_set(folder / "tiny", quality={"grid": [32, 32, 32], "ignored_labels": [24], "second_opinion": rule})
    return folder


def words(place: Path, out: Path) -> list[str]:
    files = {"--o": "x.nii.gz", "--post": "p.nii.gz", "--resample": "r.nii.gz", "--picture": "x.png", "--vol": "v.csv",
             "--qc": "q.csv", "--table": "t.csv"}  # fmt: skip
    named = [word for flag, name in files.items() for word in (flag, str(out / name))]
    return ["segment", "--i", str(place / "scan.nii.gz"), *named, "--models", str(place / "tiny"), "--robust", "--parc",
            "--device", "cpu", "--quiet"]  # fmt: skip


@pytest.fixture(scope="module")
def whole(place: Path, root: Path) -> dict[str, str]:
    """What the files of an undisturbed run say."""
    out = place / "whole"
    subprocess.run([sys.executable, "-m", "SynthSegPlusLib", *words(place, out)], cwd=root, check=True)
    found = {name: digest(path) for name, path in visible(out).items()}
    assert set(found) >= {*SCANS_FILES, *TABLES}
    return found


def killed(place: Path, out: Path, root: Path, moment: str) -> None:
    """Run until a moment of `stage_driver` and see that it was reached."""
    driver = [sys.executable, "-m", "Testing.cli.stage_driver", moment, *words(place, out)]
    done = subprocess.run(driver, cwd=root, capture_output=True, text=True)
    assert done.returncode == end_code(), done.stderr[-2000:]


def end_code() -> int:
    return 15 if sys.platform == "win32" else -9


def resume(place: Path, out: Path, say, whole: dict[str, str]) -> None:
    said = say(*words(place, out), "--resume")
    assert said.status == 0, said.err
    assert {name: digest(path) for name, path in visible(out).items()} == whole
    assert {path.name for path in out.iterdir()} == set(whole), "temporary files are left"


def test_these_are_the_stages_of_a_run(place):
    assert Segmenter(ModelSet.load(place / "tiny"), **OPTIONS).stage_names == STAGES


def moments(names: Sequence[str], *always: str) -> list[Any]:
    """All names; every one costs a process with its networks, so only some are tried in the short suite."""
    return [pytest.param(name, marks=() if name in always else pytest.mark.long) for name in names]


@pytest.mark.parametrize("stage", moments(["Reading", *STAGES], "Reading", "Structures (S2)"))
def test_a_kill_before_the_writing_leaves_nothing_at_all(stage, place, root, tmp_path):
    fraction = round(random.Random(stage).uniform(0.0, 0.9), 3)
    moment = f"read:{place / 'scan.nii.gz'}" if stage == "Reading" else f"stage:{fraction}:{stage}"
    killed(place, tmp_path / "o", root, moment)
    # To --resume this is a run that never was.
    assert list((tmp_path / "o").iterdir()) == []


def test_resume_does_a_scan_of_which_nothing_is_there(place, whole, tmp_path, say):
    resume(place, tmp_path / "o", say, whole)


@pytest.mark.parametrize("name", moments([*SCANS_FILES, *TABLES], "p.nii.gz", "v.csv"))
def test_a_kill_while_a_file_is_written_leaves_the_earlier_ones_whole(name, place, whole, root, tmp_path, say):
    out = tmp_path / "o"
    killed(place, out, root, f"write:{out / name}")
    left = visible(out)
    assert name not in left
    order = [*SCANS_FILES, *TABLES]
    assert set(order[: order.index(name)]) <= set(left)
    assert {key: digest(path) for key, path in left.items()} == {key: whole[key] for key in left}
    assert (out / f".partial-{name}").exists(), "the moment was missed"
    resume(place, out, say, whole)
