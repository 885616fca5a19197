"""Findings before a run, and the advice that follows from them."""

import numpy as np
import pytest

from SynthSegPlusLib.contract.findings import Finding
from SynthSegPlusLib.volume import Volume, advise, check
from SynthSegPlusLib.volume._foreground import otsu
from Testing.volume.phantom import phantom
from Testing.volume.test_bad_input import nifti

ALL_ROLES = ("segmenter", "tissue", "denoiser", "structure")


def head(affine=None, **changes) -> Volume:
    data, own = phantom()
    return Volume(changes.pop("data", data), own if affine is None else affine, **changes)


def codes(volume: Volume, ct: bool = False) -> list[str]:
    return [finding.code for finding in check(volume, ct)]


def test_a_whole_head_gives_no_findings():
    assert codes(head()) == []


@pytest.mark.parametrize(
    ("box", "side"),
    [
        ((slice(25, None), slice(None), slice(None)), "left"),
        ((slice(0, 35), slice(None), slice(None)), "right"),
        ((slice(None), slice(25, None), slice(None)), "back"),
        ((slice(None), slice(0, 40), slice(None)), "front"),
        ((slice(None), slice(None), slice(0, 45)), "top"),
        ((slice(None), slice(None), slice(15, None)), "bottom"),
    ],
)
def test_a_cut_field_of_view_names_its_side(box, side):
    data, affine = phantom()
    found = [finding for finding in check(Volume(data[box], affine)) if finding.code == "field-of-view-cut"]
    assert len(found) == 1
    assert side in found[0].message
    turned = Volume(data[box][::-1].transpose(2, 0, 1), _turned(affine, data[box].shape))
    assert [f.message for f in check(turned) if f.code == "field-of-view-cut"] == [found[0].message]


def _turned(affine, shape):
    result = affine.copy()
    result[:3, 3] += result[:3, 0] * (shape[0] - 1)
    result[:3, 0] *= -1
    result[:, :3] = result[:, [2, 0, 1]]
    return result


def test_a_neck_that_is_cut_far_below_the_brain_is_no_finding():
    data = np.zeros((60, 60, 90), np.float32)
    data[10:50, 10:50, 0:80] = 100
    assert codes(Volume(data, np.diag([2.0, 2.0, 2.0, 1.0]))) == []
    assert codes(Volume(data[:, :, 40:], np.diag([2.0, 2.0, 2.0, 1.0]))) == ["field-of-view-cut"]


def test_shear_is_measured():
    _, affine = phantom()
    sheared = affine.copy()
    sheared[:3, 2] += 0.1 * sheared[:3, 1]
    found = check(head(sheared))[0]
    assert found.code == "shear"
    assert "5.7 degrees" in found.message


def test_coarse_thin_and_huge_fields_of_view_are_named():
    data, _ = phantom()
    assert "coarse" in codes(head(np.diag([1.5, 1.5, 11.0, 1])))
    assert "thin" in codes(Volume(data[:, :, 20:28], np.diag([1.5, 1.5, 1.5, 1])))
    assert "field-of-view-large" in codes(head(np.diag([9.0, 9.0, 9.0, 1])))


def test_nan_and_infinity_are_counted():
    data, _ = phantom()
    data[0, 0, :3] = (np.nan, np.inf, -np.inf)
    found = [finding for finding in check(head(data=data)) if finding.code == "not-finite"]
    assert found[0].message.startswith("3 voxels")


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_constant_scan_is_an_error(value):
    found = check(head(data=np.full((60, 70, 64), value)))
    assert found[-1].code == "constant"
    assert found[-1].severity == "error"


def test_a_ct_is_noticed_by_its_air_and_bone():
    data, _ = phantom()
    hounsfield = data * 10 - 1000
    hounsfield[data > 145] = 900
    assert "looks-like-ct" in codes(head(data=hounsfield))
    assert "looks-like-ct" not in codes(head(data=hounsfield), ct=True)
    assert "not-like-ct" in codes(head(data=data + 5), ct=True)
    assert "constant" in codes(head(data=data + 500), ct=True)


def test_voxel_sizes_that_contradict_the_matrix_are_named():
    assert codes(head(header_sizes=np.array([1.0, 1.5, 1.5]))) == ["voxel-size-conflict"]


def test_no_orientation_and_contradicting_ones_are_named(tmp_path):
    nothing = Volume.read(nifti(tmp_path / "a.nii", qform_code=0, sform_code=0))
    assert "no-orientation" in codes(nothing)
    one = Volume.read(nifti(tmp_path / "b.nii", qform_code=0, sform_code=1))
    both = Volume.read(nifti(tmp_path / "c.nii", qform_code=1, sform_code=1))
    assert one.findings == both.findings == ()
    conflict = Volume.read(nifti(tmp_path / "d.nii", qform_code=1, sform_code=1, srow_x=[-1, 0, 0, 11]))
    assert [finding.code for finding in conflict.findings] == ["orientation-conflict"]


def test_otsu_splits_two_classes():
    values = np.concatenate([np.full(900, 10.0), np.full(100, 200.0)]) + np.linspace(-2, 2, 1000)
    assert 12 < otsu(values) < 198


def test_real_scans_that_are_cut_are_found_and_whole_ones_are_not(shared):
    scans = shared / "data" / "scans"
    cut = ("T2_2mm_skull", "openms_p01s1_T1W", "FAIL_spine_T1")
    whole = ("colin27_T1_skull_1mm", "FLAIR_3d_skull", "T1_1.6mm_head_neck", "malf_1000_T1")
    for name in cut + whole:
        found = codes(Volume.read(scans / f"{name}.nii.gz"))
        assert ("field-of-view-cut" in found) == (name in cut), name
    assert "looks-like-ct" in codes(Volume.read(scans / "CT_head_GE_1mm.nii.gz"))


def test_a_research_scan_is_advised_the_single_network_and_a_clinical_one_the_chain():
    good, thick = head(), head(np.diag([1.0, 1.0, 5.0, 1]))
    assert advise(good, [], ALL_ROLES).mode == "default"
    advice = advise(thick, [], ALL_ROLES)
    assert advice.mode == "robust"
    assert "5 mm" in advice.reason
    cut = Finding("field-of-view-cut", "warning", "The head is cut.")
    assert advise(good, [cut], ALL_ROLES) == type(advice)("robust", "The head is cut.")


def test_advice_keeps_to_the_networks_that_are_there():
    thick = head(np.diag([1.0, 1.0, 5.0, 1]))
    lacking = advise(thick, [], ("segmenter",))
    assert lacking.mode == "default"
    assert "lacks" in lacking.reason
    assert advise(head(), [], ("tissue", "denoiser", "structure")).mode == "robust"
