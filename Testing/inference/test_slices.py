"""How thick slices are, whatever the file says, and what follows from it."""

import numpy as np
import pytest

from SynthSegPlusLib.inference import Segmenter, _to_output
from SynthSegPlusLib.inference._slices import LEAST_ROUGHNESS, SHARE_IN_THICK, relative_roughness, strength_in
from SynthSegPlusLib.volume import Volume
from Testing.inference.appearances import a_set, interpolated
from Testing.inference.tiny import scan


def test_smoothness_tells_interpolated_slices_along_any_axis():
    rng = np.random.default_rng(2)
    sharp = rng.normal(100, 10, (40, 44, 48)).astype(np.float32)
    assert relative_roughness(sharp) > 0.9
    for axis in range(3):
        turned = np.moveaxis(interpolated(Volume(sharp, np.eye(4), "noise"), 8).data, 2, axis)
        assert relative_roughness(turned) < LEAST_ROUGHNESS
    assert relative_roughness(np.zeros((8, 8, 8), np.float32)) == 0.0


def test_strength_counts_the_voxels_of_the_scan():
    assert strength_in(0.5, np.array([1.0, 1.0, 1.0])) == 0.5
    assert strength_in(0.5, np.array([1.0, 4.0, 1.0])) == 0.25
    assert strength_in(0.5, np.array([0.5, 0.5, 1.0])) == 0.5
    assert strength_in(0.5, np.array([0.5, 0.5, 4.0])) == 0.25


def test_slices_that_look_thick_say_less_but_are_not_counted_twice():
    assert strength_in(0.5, np.ones(3), thick=True) == 0.5 * SHARE_IN_THICK
    assert strength_in(0.5, np.array([1.0, 1.0, 6.25]), thick=True) == 0.2
    assert strength_in(0.5, np.array([1.0, 2.0, 1.0]), thick=True) == 0.5 * SHARE_IN_THICK


@pytest.mark.parametrize(("roughness", "strength"), [(LEAST_ROUGHNESS - 0.01, 0.25), (LEAST_ROUGHNESS, 0.5)])
def test_the_scan_decides_how_much_intensities_say(tmp_path, monkeypatch, roughness, strength):
    told = []
    fit = _to_output.fit_appearance
    monkeypatch.setattr(_to_output, "relative_roughness", lambda image: roughness)
    monkeypatch.setattr(
        _to_output, "fit_appearance", lambda seen, dense, table, own, *rest: told.append(own) or fit(
            seen, dense, table, own, *rest)
    )  # fmt: skip
    Segmenter(a_set(tmp_path / "set", 0.5), mode="fast", device="cpu", quality=False).segment(scan())
    assert set(told) == {strength}
