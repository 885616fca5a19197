"""The accuracy benchmark's own arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.volume import Volume
from Testing.benchmarks.accuracy.measure import (
    TISSUE_OF_REGION,
    group_dice,
    parcel_dice,
    structure_dice,
    true_volumes,
)
from Testing.benchmarks.accuracy.references import (
    IGNORED,
    NEUROMORPHOMETRICS,
    _freesurfer,
    _gif,
    on_grid_of,
    real_scans,
)


def test_voxels_without_a_statement_do_not_count():
    truth = np.array([2, 2, IGNORED, 17])
    assert structure_dice(np.array([2, 2, 3, 17]), truth) == {
        "left cerebral white matter": 1.0, "left hippocampus": 1.0,
    }  # fmt: skip


def test_csf_and_background_are_no_structures_to_compare():
    assert structure_dice(np.array([0, 24]), np.array([0, 24])) == {}


def test_regions_join_both_sides():
    found = group_dice(np.array([53, 53, 0]), np.array([17, 17, 17]), "region")
    assert found["hippocampus"] == pytest.approx(2 * 2 / 5)


def test_freesurfer_parcels_become_cortex_and_callosum_is_left_out():
    found, cortex = _freesurfer(np.array([1001, 2035, 251, 31, 17, 0]))
    assert found.tolist() == [3, 42, IGNORED, 4, 17, 0]
    assert cortex.tolist() == [1001, 2035, 0, 0, 0, 0]
    assert parcel_dice(np.array([1001, 2034, 0, 0, 0, 0]), cortex) == {"ctx-lh-bankssts": 1.0, "ctx-rh-insula": 0.0}


def test_neuromorphometrics_cortex_is_right_when_even():
    assert NEUROMORPHOMETRICS[100] == 42
    assert NEUROMORPHOMETRICS[101] == 3


def test_gif_divides_white_matter_by_lobes():
    found, cortex = _gif(np.array([48, 84, 92, 35, 36, 87, 0]))
    assert found.tolist() == [53, 41, 2, 16, 16, IGNORED, 0]
    assert cortex is None


def test_labels_are_brought_to_the_references_grid_through_the_world():
    labels = Volume(np.arange(27).reshape(3, 3, 3), np.diag([2.0, 2.0, 2.0, 1.0]))
    flipped = np.diag([-2.0, 2.0, 2.0, 1.0])
    flipped[0, 3] = 4.0
    reference = Volume(np.zeros((3, 3, 4)), flipped)
    found = on_grid_of(labels, reference)
    assert np.array_equal(found[..., :3], labels.data[::-1])
    assert not found[..., 3].any()


def test_references_are_found_beside_their_scans(shared):
    kinds = {scan.name: scan.parcels is not None for scan in real_scans(shared / "data" / "scans")}
    assert kinds == {
        "FLAIR_5.5mm_skull_torchio": False, "bert": True, "malf_1000": False, "malf_1113": False, "swm": True,
    }  # fmt: skip


def test_a_reference_belongs_to_the_image_of_its_name(tmp_path):
    volume = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4))
    for name in ("sub1", "sub1_T2", "sub1_REF_manual", "sub2_T1", "sub2_REF_manual"):
        volume.write(tmp_path / f"{name}.nii.gz")
    for name in ("sub1.json", "sub1-b.nii.gz"):
        (tmp_path / name).write_text("{}")
    assert [scan.scan.name for scan in real_scans(tmp_path)] == ["sub1.nii.gz", "sub2_T1.nii.gz"]
    volume.write(tmp_path / "sub3_REF_manual.nii.gz")
    with pytest.raises(InputError, match="no scan sub3"):
        list(real_scans(tmp_path))
    (tmp_path / "sub3_REF_manual.nii.gz").rename(tmp_path / "sub1_REF_mine.nii.gz")
    with pytest.raises(InputError, match="unknown kind 'mine'"):
        list(real_scans(tmp_path))


def test_the_vermis_of_the_cerebellum_is_left_out():
    assert _gif(np.array([72, 74, 39]))[0].tolist() == [IGNORED, IGNORED, 47]


def test_every_region_gets_the_estimate_of_the_tissue_it_lies_in():
    assert TISSUE_OF_REGION == {
        "white matter": "white matter", "cortex": "grey matter", "lateral ventricle": "ventricles",
        "cerebellum": "cerebellum", "thalamus": "white matter", "hippocampus": "grey matter",
        "amygdala": "grey matter", "pallidum": "white matter", "putamen": "white matter",
        "brainstem": "white matter",
    }  # fmt: skip


def test_true_volumes_count_voxels_of_both_sides():
    truth = np.array([17, 17, 53, 4, 44, 2, 0, IGNORED])
    assert true_volumes(truth, 2.0, whole=True) == {"hippocampus": 6.0, "ventricles": 4.0, "icv": 12.0}
    assert "icv" not in true_volumes(truth, 2.0, whole=False)
