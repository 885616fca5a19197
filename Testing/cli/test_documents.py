"""The documents of the command line say what the program does, and the examples in them run."""

from __future__ import annotations

import argparse
import doctest
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import zoom

from SynthSegPlusLib.cli import COMMANDS, OneSentenceParser
from SynthSegPlusLib.commands import _segment_arguments
from SynthSegPlusLib.commands.demo import nilearn_files
from SynthSegPlusLib.contract import MODE_MEANINGS, InputError
from SynthSegPlusLib.volume import Volume

FACTOR = 3


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A T1 of 3 mm as `t1.nii.gz` in the current folder."""
    try:
        files = nilearn_files()
    except InputError as error:
        pytest.skip(str(error))
    template = Volume.read(files["scan"])
    affine = template.affine @ np.diag([FACTOR, FACTOR, FACTOR, 1.0])
    small = zoom(np.asarray(template.data, np.float32), 1 / FACTOR, order=1)
    Volume(small, affine).write(tmp_path / "t1.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "t1.nii.gz"


def test_the_examples_of_the_python_page_run(head, root):
    page = root / "docs" / "python.md"
    done = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted > 40
    assert done.failed == 0


def flags_of_segment() -> set[str]:
    parser = OneSentenceParser()
    _segment_arguments.add_arguments(parser)
    return {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}


def test_every_flag_of_segment_is_on_the_page_and_no_other(root):
    text = (root / "docs" / "command-line.md").read_text()
    tables = "\n".join(line for line in text.splitlines() if line.startswith("| `--"))
    first_cells = " ".join(line.split("|")[1] for line in tables.splitlines())
    listed = set(re.findall(r"`(--[a-z0-9-]+)`", first_cells))
    assert listed == flags_of_segment()


def test_the_flags_of_the_published_command_are_all_there():
    published = "--i --o --parc --robust --fast --ct --vol --qc --post --resample --crop --threads --cpu --v1"
    assert set(published.split()) <= flags_of_segment()


def test_every_command_and_mode_is_on_its_page(root):
    commands = (root / "docs" / "command-line.md").read_text()
    assert all(f"`{name}`" in commands for name in COMMANDS)
    modes = (root / "docs" / "modes.md").read_text()
    assert all(f"`{name}`" in modes for name in MODE_MEANINGS)


def test_command_lines_on_the_pages_are_understood(root):
    parser = OneSentenceParser()
    _segment_arguments.add_arguments(parser)
    lines = [
        line for page in ("docs/command-line.md", "README.md") for line in (root / page).read_text().splitlines()
        if line.startswith("synthsegplus segment")
    ]
    assert len(lines) >= 4
    for line in lines:
        assert isinstance(parser.parse_args(shlex.split(line)[2:]), argparse.Namespace)
