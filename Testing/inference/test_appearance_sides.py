"""Structures that look different on their two sides are read apart, and only these."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.inference import _appearance, _to_output
from SynthSegPlusLib.inference._appearance import appearance_classes, fit_appearance
from Testing.inference.appearances import (
    CORTEX,
    FLUID,
    SIDE,
    TABLE,
    WHITE,
    a_set,
    applied,
    blurred,
    folded,
    painted,
    right,
    run,
)


def two_sided() -> np.ndarray:
    """`folded`, whose left half (x from the middle on) has the labels of the left side."""
    channels = folded()
    channels[: SIDE // 2] = TABLE.partners[channels[: SIDE // 2]]
    return channels


RIGHT_WHITE, RIGHT_CORTEX = TABLE.partners[[WHITE, CORTEX]]
ONE_SIDED = {WHITE: 0.9, CORTEX: 0.6, FLUID: 0.2, RIGHT_WHITE: 0.55, RIGHT_CORTEX: 0.95}


def test_sides_that_look_different_are_read_apart(monkeypatch):
    channels = two_sided()
    before, image = blurred(channels), painted(channels, ONE_SIDED)
    _, apart = applied(image, before)
    monkeypatch.setattr(_appearance, "APART", np.inf)
    _, together = applied(image, before)
    assert right(apart, channels) > 0.95
    assert right(together, channels) < right(apart, channels) - 0.02


def asked_of_sides(image, channels, voxel_mm=1.0, field=True):
    """Channels of structures that are taken to look different on their sides, with or without the bias field."""
    told = blurred(channels, 0.7)
    found = fit_appearance(image[None], told, TABLE, 1.0, voxel_mm)
    samples = _appearance._Samples(image[None], told, found.low, found.width, voxel_mm)
    return sorted(_appearance._sides_apart(samples, found.bias if field else 0 * found.bias, TABLE))


def test_only_what_differs_clearly_is_read_apart():
    channels = two_sided()
    pair = [CORTEX, RIGHT_CORTEX]
    for bright, wanted in ((0.62, []), (0.75, pair)):
        image = painted(channels, {**ONE_SIDED, RIGHT_WHITE: 0.9, RIGHT_CORTEX: bright}, 0.04)
        assert asked_of_sides(image, channels) == sorted(wanted)


def test_sides_that_a_bias_field_makes_brighter_stay_together():
    channels = two_sided()
    alike = {WHITE: 0.9, CORTEX: 0.6, FLUID: 0.2, RIGHT_WHITE: 0.9, RIGHT_CORTEX: 0.6}
    image = painted(channels, alike, 0.03) + np.linspace(-0.2, 0.2, SIDE, dtype=np.float32)[:, None, None]
    assert asked_of_sides(image, channels, voxel_mm=4.0) == []
    assert WHITE in asked_of_sides(image, channels, voxel_mm=4.0, field=False)


def test_a_side_of_which_hardly_anything_is_seen_is_not_compared():
    channels = two_sided()
    few = np.argwhere(channels == RIGHT_WHITE)[:8]
    channels[channels == RIGHT_WHITE] = RIGHT_CORTEX
    channels[tuple(few.T)] = RIGHT_WHITE
    assert WHITE not in asked_of_sides(painted(channels, ONE_SIDED), channels)


@pytest.mark.parametrize(("roughness", "asked"), [(0.1, False), (0.9, True)])
def test_sides_are_compared_in_thin_slices_only(tmp_path, monkeypatch, roughness, asked):
    told = []
    monkeypatch.setattr(_to_output, "relative_roughness", lambda image: roughness)
    monkeypatch.setattr(_to_output, "fit_appearance", lambda *about: told.append(about[-1]))
    run(a_set(tmp_path / "set", 0.5))
    assert told == [asked]
    channels = two_sided()
    found = [fit_appearance(painted(channels, ONE_SIDED)[None], blurred(channels), TABLE, 1.0, 1.0, compare)
             for compare in (False, True)]  # fmt: skip
    assert np.array_equal(found[0].factors[:, WHITE], found[0].factors[:, RIGHT_WHITE])
    assert not np.array_equal(found[1].factors[:, WHITE], found[1].factors[:, RIGHT_WHITE])


def test_what_is_read_apart_mirrors_with_the_scan():
    channels = two_sided()
    before, image = blurred(channels), painted(channels, ONE_SIDED)
    _, one = applied(image, before)
    _, two = applied(image[::-1], before[::-1][..., TABLE.partners])
    assert np.array_equal(one.argmax(-1), TABLE.partners[two[::-1].argmax(-1)])
    assert np.abs(one - two[::-1][..., TABLE.partners]).max() < 0.01


def test_a_horn_goes_with_the_ventricle_of_its_side():
    ventricles, horns = TABLE.channels((4, 43)), TABLE.channels((5, 44))
    classes = appearance_classes(TABLE, apart=ventricles)
    assert classes[ventricles[0]] != classes[ventricles[1]]
    assert np.array_equal(classes[horns], classes[ventricles])
    assert len(np.unique(classes)) == len(np.unique(appearance_classes(TABLE))) + 1
    assert np.array_equal(appearance_classes(TABLE, apart=horns), appearance_classes(TABLE))
