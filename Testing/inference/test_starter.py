"""The bundled starter set on a real head: nilearn's MNI152 T1 at 1 mm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.volume import Volume

T1 = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


@pytest.fixture(scope="module")
def result():
    nilearn = pytest.importorskip("nilearn")
    volume = Volume.read(Path(nilearn.__file__).parent / T1)
    return Segmenter(ModelSet.find("starter_2mm"), mode="fast", device="cpu").segment(volume)


def test_nothing_about_it_is_implausible(result):
    assert [finding.code for finding in result.findings] == []


def centre_of(result, *labels):
    """Centre of mass of labels in RAS, mm."""
    voxels = np.argwhere(np.isin(result.labels.data, labels)).mean(0)
    return (result.labels.affine @ [*voxels, 1])[:3]


def test_its_intracranial_volume_is_that_of_a_human(result):
    assert 1.2e6 < result.icv_mm3 < 2.2e6


def test_left_is_left(result):
    for left, right in ((2, 41), (3, 42), (8, 47), (10, 49), (12, 51), (17, 53)):
        assert centre_of(result, left)[0] < centre_of(result, right)[0] - 10


def test_front_and_back_top_and_bottom_are_where_they_belong(result):
    cerebellum, brain = centre_of(result, 8, 47), centre_of(result, 3, 42)
    assert cerebellum[1] < brain[1] - 15
    assert cerebellum[2] < brain[2] - 15
    assert centre_of(result, 16)[2] < centre_of(result, 10, 49)[2]


def test_a_symmetric_head_has_hemispheres_of_like_size(result):
    for left, right in ((2, 41), (3, 42), (8, 47)):
        a, b = (result.volumes[label].volume_mm3 for label in (left, right))
        assert a == pytest.approx(b, rel=0.2)


def test_every_structure_is_found_on_the_scans_own_grid(result):
    assert result.labels.shape == (197, 233, 189)
    assert set(np.unique(result.labels.data)) == {0, *(row.label for row in result.volumes)}


def test_nothing_is_claimed_about_quality(result):
    assert result.quality is None
    assert result.verdict == "not scored"
