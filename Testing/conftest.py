"""Fixtures that every area uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A check of the same commit gives the same answer; people's own runs go on looking for new cases.
settings.register_profile("same-cases", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("same-cases")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the project; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("SYNTHSEGPLUS_SHARED", ROOT.parent / "shared"))
    if not (folder / "reference" / "golden").is_dir():
        pytest.skip(f"needs the reference data in {folder.name}/ beside the project, which is not here")
    return folder


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the five stand-in weight files (see `Testing.standin`)."""
    from Testing.standin import write_standin

    return write_standin(tmp_path_factory.mktemp("standin"))
