"""What whole runs must share with the reference, and how far they may differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

FIXTURE = Path(__file__).with_name("fixtures") / "phantom.npz"
"""What the reference gave for the phantom."""

VOXELS_THAT_MAY_DIFFER = 1e-4
"""Share of voxels; the reference differs from itself by 9e-6 when its summation order changes."""

VOLUMES_MAY_DIFFER = 5e-3
"""Relative: the reference's sums in float32 are up to 3.5e-3 off."""

SCORES_MAY_DIFFER = 1e-3

SMALL_MM3 = 100.0
"""Structures below this are compared within 1 mm3."""


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; the file is closed."""
    with np.load(path) as stored:
        return dict(stored)


def assert_same_labels(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == np.int32
    assert np.mean(ours != theirs) < VOXELS_THAT_MAY_DIFFER


def assert_same_volumes(ours: dict[str, float], names: list[str], theirs: list[float]) -> None:
    """Volumes in mm3 by name against the reference's row."""
    assert set(ours) == set(names)
    for name, value in zip(names, theirs, strict=True):
        if value < SMALL_MM3:
            assert ours[name] == pytest.approx(value, abs=1.0), name
        else:
            assert ours[name] == pytest.approx(value, rel=VOLUMES_MAY_DIFFER), name
