"""Model sets and scans of the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from SynthSegPlusLib.networks import choose_backend
from Testing.inference.tiny import write_tiny_set


@pytest.fixture(scope="session")
def backend():
    """One backend for the whole process, on the CPU; TensorFlow's threads cannot change once it has started."""
    return choose_backend(device="cpu")


@pytest.fixture(scope="session")
def tiny(backend, tmp_path_factory) -> Path:
    """Folder of a model set with every role, 1 mm."""
    return write_tiny_set(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_2mm(backend, tmp_path_factory) -> Path:
    """The same at a working resolution of 2 mm."""
    return write_tiny_set(tmp_path_factory.mktemp("models") / "tiny_2mm", working_resolution_mm=2.0)
