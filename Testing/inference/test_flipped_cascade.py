"""A set may ask for its cascade to be averaged with the mirror image: then it has no side of its own."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.labels import structures
from Testing.inference.test_engine import mirrored, swapped
from Testing.inference.tiny import scan, write_tiny_set


def lopsided(folder, flip_cascade):
    """A tiny set whose S1, S2 and S3 prefer one side."""
    write_tiny_set(folder, postprocessing={"foreground_threshold": 0.25, "flip_cascade": flip_cascade})
    make_lopsided(folder, ["tissue", "structure", "parcellation"])
    return ModelSet.load(folder)


def make_lopsided(folder, roles):
    """Let the networks of these roles prefer one side."""
    for role in roles:
        with h5py.File(folder / f"{role}.h5", "r+") as file:
            names = []
            file.visit(lambda name, names=names: names.append(name) if name.endswith("kernel:0") else None)
            for name in names:
                kernel = file[name][()]
                file[name][...] = kernel * (1 + 0.3 * np.random.default_rng(3).standard_normal(kernel.shape))


def labels_and_volumes(models, volume, mode):
    result = Segmenter(models, mode=mode, device="cpu", parcellation=True).segment(volume)
    return result.parcellation.data, {row.label: row.volume_mm3 for row in result.volumes}


@pytest.mark.parametrize("mode", ["robust", "s1-s2-d"])
def test_averaged_with_its_mirror_image_a_lopsided_cascade_mirrors(tmp_path, mode):
    models = lopsided(tmp_path / "averaged", True)
    labels, volumes = labels_and_volumes(models, scan(), mode)
    mirror, mirror_volumes = labels_and_volumes(models, mirrored(scan()), mode)
    assert len(np.unique(labels)) > 3
    assert (swapped(mirror) != labels[::-1]).mean() < 1e-3  # ties are broken by the order of the labels
    for label, volume in volumes.items():
        if label < 1000:
            partner = structures("2.0")[label].partner
            assert mirror_volumes[partner] == pytest.approx(volume, rel=1e-5, abs=1e-3)


def test_padding_about_a_narrow_scan_is_divided_by_nothing_when_the_denoiser_corrects_it(tmp_path):
    models = write_tiny_set(tmp_path / "wide", padding={"multiple": 8, "minimum": 32}, postprocessing={
        "foreground_threshold": 0.25, "flip_cascade": True})
    # A warning of numpy would be an error here.
    labels, volumes = labels_and_volumes(ModelSet.load(models), scan((18, 24, 20)), "s1-s2-d")
    assert len(np.unique(labels)) > 3
    assert np.isfinite(list(volumes.values())).all()


def test_without_averaging_the_same_cascade_does_not(tmp_path):
    models = lopsided(tmp_path / "plain", False)
    labels, _ = labels_and_volumes(models, scan(), "robust")
    mirror, _ = labels_and_volumes(models, mirrored(scan()), "robust")
    assert (swapped(mirror) != labels[::-1]).mean() > 0.01


def test_a_flag_that_is_neither_true_nor_false_is_refused(tmp_path):
    with pytest.raises(ModelError, match="flip_cascade is 1 where true or false is needed"):
        lopsided(tmp_path / "wrong", 1)
