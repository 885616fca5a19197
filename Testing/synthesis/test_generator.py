"""Whole scans."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import InputError, OptionsError
from SynthSegPlusLib.labels import parcels
from SynthSegPlusLib.synthesis import Generator, draw, find_label_maps, generator_config, label_space, make_label_map
from SynthSegPlusLib.synthesis.config import PRESETS
from Testing.synthesis.phantoms import head, numpy, phantom

SHAPE = (40, 40, 40)
STILL = {
    "rotation": 0, "scaling": 0, "shearing": 0, "elastic_std": [0, 0], "flip": 0, "crop_jitter": 0,
}  # fmt: skip
PLAIN = {
    "shape": SHAPE, "deformation": STILL, "anatomy": {"ventricles": 0, "cortex": 0, "lesions": 0, "strip_skull": 0},
    "acquisition": {"full": 1, "noise_probability": 0, "partial_view": 0},
}  # fmt: skip


def test_without_deformation_the_labels_are_the_label_map():
    one = phantom()
    sample = Generator([one], generator_config(PLAIN)).sample(3)
    middle = np.round((np.array(one.centre)) - 19.5).astype(int)
    box = tuple(slice(start, start + 40) for start in middle)
    assert np.array_equal(numpy(sample.labels), one.index[box])


def test_one_seed_is_one_scan():
    generator = Generator([phantom()], generator_config({"shape": SHAPE}))
    one, two, other = generator.sample(5), generator.sample(5), generator.sample(6)
    assert np.array_equal(numpy(one.image), numpy(two.image))
    assert np.array_equal(numpy(one.labels), numpy(two.labels))
    assert not np.array_equal(numpy(one.image), numpy(other.image))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_makes_a_finite_image_of_the_asked_shape(preset):
    generator = Generator([phantom()], generator_config({"shape": SHAPE, "resolution": 2.0}, preset))
    for seed in range(3):
        image = numpy(generator.sample(seed).image)
        assert image.shape == SHAPE
        assert np.isfinite(image).all()
        assert image.min() >= -1e-3
        assert np.ptp(image) > 0


def test_outside_the_field_of_view_image_and_labels_are_empty():
    config = generator_config({**PLAIN, "acquisition": {**PLAIN["acquisition"], "partial_view": 1}})
    generator = Generator([phantom()], config)
    drawn = replace(draw(config, generator.maps[0], 1), view=((0, 0, 10), (40, 40, 40)))
    sample = generator.apply(drawn, 0)
    assert not numpy(sample.image)[..., :10].any()
    assert not numpy(sample.labels)[..., :10].any()
    assert numpy(sample.labels)[..., 10:].any()


def test_parcels_cover_the_cortex_and_stay_on_their_side():
    generator = Generator([phantom(parcels=True)], generator_config({"shape": SHAPE}))
    for seed in range(4):
        sample = generator.sample(seed)
        values = label_space().values[numpy(sample.labels)]
        found = parcels().values[numpy(sample.parcels)]
        assert np.array_equal(found > 0, np.isin(values, (3, 42)))
        assert (found[values == 3] // 1000 == 1).all()
        assert (found[values == 42] // 1000 == 2).all()


def test_an_unknown_label_is_named():
    labels = head()
    labels[0, 0, 0] = 77
    with pytest.raises(InputError, match=r"toy contains 1 labels that the generative model does not know \(77\)"):
        make_label_map(labels, "toy")


def test_a_label_map_without_brain_is_refused():
    with pytest.raises(InputError, match="no brain label"):
        make_label_map(np.full((8, 8, 8), 511), "toy")


def test_a_folder_without_label_maps_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no label map"):
        find_label_maps(tmp_path)


def test_label_maps_are_found_by_id_and_other_volumes_ignored(tmp_path):
    for name in ("training_seg_01.nii.gz", "training_seg_02.nii.gz", "fsaverage_aparc+aseg.nii.gz", "x.csv"):
        (tmp_path / name).touch()
    assert [path.name for path in find_label_maps(tmp_path)] == ["training_seg_01.nii.gz", "training_seg_02.nii.gz"]
    assert [path.name for path in find_label_maps(tmp_path, ["02"])] == ["training_seg_02.nii.gz"]


def test_a_shape_that_is_too_small_is_refused():
    with pytest.raises(OptionsError, match="at least 8 voxels"):
        generator_config({"shape": [4, 40, 40]})


SCRIPT = """
import numpy as np
from SynthSegPlusLib.synthesis import Generator, generator_config
from Testing.synthesis.phantoms import numpy, phantom
generator = Generator([phantom()], generator_config({"shape": (40, 40, 40)}), noise="numpy")
mixed = generator_config({"shape": (24, 24, 24), "resolution": 2.0, "oversampling": 2, "anatomy": {"atrophy": 1}})
samples = [generator.sample(seed) for seed in (1, 2)] + [Generator([phantom()], mixed, noise="numpy").sample(3)]
np.savez(r"%s", *[numpy(s.image) for s in samples], *[numpy(s.labels) for s in samples])
"""


def test_all_backends_make_the_same_scans(tmp_path, root):
    made = {}
    for backend in ("tensorflow", "torch", "jax"):
        path = tmp_path / f"{backend}.npz"
        environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu",
                       "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT % path], env=environment, cwd=root, capture_output=True, text=True
        )
        if done.returncode and f"No module named '{backend}'" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        made[backend] = list(np.load(path).values())
    first, *others = made.values()
    for other in others:
        for one, two in zip(first[:3], other[:3], strict=True):
            assert np.mean(np.abs(one - two) > 1e-3) < 1e-3
        for one, two in zip(first[3:], other[3:], strict=True):
            assert np.mean(one != two) < 1e-3  # voxels half way between two others may round either way
