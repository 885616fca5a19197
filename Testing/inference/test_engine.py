"""The whole engine with tiny networks: every mode, every invariant, every way to end."""

from __future__ import annotations

import itertools
import json
import pickle

import numpy as np
import pytest

from SynthSegPlusLib.contract import (
    Cancelled,
    InputError,
    ModelError,
    OptionsError,
    SegmentOptions,
    Verdict,
)
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference.model_set import MODE_ROLES
from SynthSegPlusLib.labels import parcels, structures
from SynthSegPlusLib.volume import Volume
from Testing.inference.running import segment
from Testing.inference.tiny import scan, write_tiny_set

EVERYTHING = {"parcellation": True, "quality": True}


def mirrored(volume):
    """The head reflected left to right: its voxels in reverse order on the same grid."""
    return Volume(volume.data[::-1].copy(), volume.affine, volume.name)


def swapped(values):
    """Label values with left and right exchanged."""
    partner = {label.value: label.partner for table in (structures("2.0"), parcels()) for label in table}
    return np.vectorize(partner.__getitem__, otypes=[np.int32])(values)


@pytest.fixture(scope="module")
def robust(tiny):
    return segment(tiny, mode="robust", posteriors=True, quality_from_denoiser=True, **EVERYTHING)


# Results -----------------------------------------------------------------------------------------------------


def test_the_test_networks_find_both_cortices_and_many_structures(robust):
    assert {3, 42} <= set(np.unique(robust.labels.data))
    assert len(np.unique(robust.labels.data)) > 15


@pytest.mark.parametrize("mode", sorted(MODE_ROLES))
@pytest.mark.parametrize("resolution", ["1 mm", "2 mm"])
def test_in_every_mode_structures_add_up_to_the_icv_and_parcels_to_the_cortex(tiny, tiny_2mm, mode, resolution):
    result = segment(tiny if resolution == "1 mm" else tiny_2mm, mode=mode, **EVERYTHING)
    volumes = result.volumes.volumes()
    assert sum(v for label, v in volumes.items() if label < 1000) == pytest.approx(result.icv_mm3, rel=1e-9)
    for cortex, first in ((3, 1000), (42, 2000)):
        total = sum(volume for label, volume in volumes.items() if first < label < first + 1000)
        assert total == pytest.approx(volumes[cortex], rel=1e-6, abs=1e-9)
    assert result.icv_mm3 > 0


def test_parcels_lie_in_the_cortex_of_their_hemisphere_and_nothing_else_changes(robust):
    structures_, merged = robust.labels.data, robust.parcellation.data
    assert set(merged[structures_ == 3] // 1000) == {1}
    assert set(merged[structures_ == 42] // 1000) == {2}
    outside = ~np.isin(structures_, (3, 42))
    assert np.array_equal(merged[outside], structures_[outside])


def test_labels_are_the_argmax_of_the_posteriors_and_volumes_their_sums(robust):
    posteriors = robust.posteriors.data
    values = structures("2.0").values
    assert posteriors.dtype == np.float32
    assert posteriors.sum(-1) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(values[posteriors.argmax(-1)], robust.labels.data)
    sums = posteriors.sum((0, 1, 2), dtype=np.float64)
    for value, total in zip(values[1:], sums[1:], strict=True):
        assert robust.volumes[int(value)].volume_mm3 == pytest.approx(total, rel=1e-6, abs=1e-6)


def test_a_result_can_be_sent_to_another_process(tiny):
    result = segment(tiny, scan(spacing=1.5), mode="fast")
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.labels.data, result.labels.data)
    np.testing.assert_array_equal(again.resampled.data, result.resampled.data)
    assert again.volumes.to_csv() == result.volumes.to_csv()


def test_label_maps_are_int32_on_the_scans_grid(robust):
    for volume in (robust.labels, robust.parcellation):
        assert volume.data.dtype == np.int32
        assert volume.shape == scan().shape
        assert volume.affine == pytest.approx(scan().affine)
    assert robust.resampled is None


def test_quality_gives_a_score_per_region_and_judges_structures_by_it(robust):
    assert [region.name for region in robust.quality.regions][:3] == ["white matter", "cortex", "lateral ventricle"]
    assert robust.verdict is robust.quality.verdict
    assert robust.volumes[3].qc_score == robust.quality.score_of("cortex")
    assert robust.volumes[1035].verdict is robust.volumes[3].verdict


def test_the_denoisers_agreement_is_given_per_tissue(robust):
    names = [region.name for region in robust.denoiser_quality.regions]
    assert names == ["white matter", "grey matter", "ventricles", "cerebellum"]
    assert robust.record["quality_from_denoiser"] == robust.denoiser_quality.to_dict()


def test_without_quality_nothing_is_passed(tiny):
    result = segment(tiny, mode="fast")
    assert result.verdict is Verdict.NOT_SCORED
    assert {row.verdict for row in result.volumes} == {Verdict.NOT_SCORED}


def test_the_threshold_decides_the_verdict_and_nothing_else(tiny):
    strict = segment(tiny, mode="robust", quality=True, qc_threshold=1.0)
    lenient = segment(tiny, mode="robust", quality=True, qc_threshold=0.0)
    assert [r.score for r in strict.quality.regions] == [r.score for r in lenient.quality.regions]
    assert lenient.verdict is Verdict.PASS
    assert strict.quality.at_threshold(0.0) == lenient.quality


def test_robust_differs_from_the_chain_without_its_denoiser(tiny):
    assert not np.array_equal(segment(tiny, mode="robust").labels.data, segment(tiny, mode="s1-s2").labels.data)


def test_correcting_by_the_denoiser_keeps_structures_of_the_corrected_tissue(tiny):
    """s-d and s1-s2-d: a label's tissue is D's tissue, wherever the later masks let a label stand."""
    for mode in ("s-d", "s1-s2-d"):
        result = segment(tiny, mode=mode)
        assert len(np.unique(result.labels.data)) > 3
        assert result.record["options"]["mode"] == mode


# Geometry ----------------------------------------------------------------------------------------------------


def orientations():
    return [(order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((1, -1),
            repeat=3)]  # fmt: skip


def reoriented(volume, order, flips):
    """The same scan stored with its axes permuted and flipped."""
    data = volume.data.transpose(order)[tuple(slice(None, None, step) for step in flips)]
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for new, (old, step) in enumerate(zip(order, flips, strict=True)):
        change[old, new] = step
        change[old, 3] += 0 if step == 1 else volume.shape[old] - 1
    return Volume(np.ascontiguousarray(data), volume.affine @ change, volume.name)


@pytest.mark.parametrize(("spacing", "step"), [(1.0, 7), (1.4, 1)])
def test_all_48_orientations_of_a_scan_give_the_same_labels_and_volumes(tiny, spacing, step):
    segmenter = Segmenter(ModelSet.load(tiny), mode="fast", device="cpu", keep_networks=True)
    volume = scan((14, 18, 12), spacing=spacing)
    expected = segmenter.segment(volume)
    assert len(np.unique(expected.labels.data)) > 5
    for order, flips in orientations()[::step]:
        result = segmenter.segment(reoriented(volume, order, flips))
        same = reoriented(expected.labels, order, flips)
        assert np.array_equal(result.labels.data, same.data), (order, flips)
        assert result.labels.affine == pytest.approx(same.affine)
        assert result.volumes.volumes() == expected.volumes.volumes()
        assert result.icv_mm3 == expected.icv_mm3


@pytest.mark.parametrize("shape", [(24, 26, 20), (23, 26, 20)])
def test_a_mirrored_scan_gives_mirrored_labels_in_default_mode(tiny, shape):
    straight = segment(tiny, scan(shape), mode="default")
    mirror = segment(tiny, mirrored(scan(shape)), mode="default")
    assert len(np.unique(straight.labels.data)) > 3
    assert np.array_equal(swapped(mirror.labels.data), straight.labels.data[::-1])
    for row in straight.volumes:
        partner = structures("2.0")[row.label].partner
        assert mirror.volumes[partner].volume_mm3 == pytest.approx(row.volume_mm3, rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("mode", ["default", "robust"])
def test_with_symmetric_networks_every_mode_mirrors_parcels_too(tiny, mode):
    straight = segment(tiny, mode=mode, parcellation=True)
    mirror = segment(tiny, mirrored(scan()), mode=mode, parcellation=True)
    differ = swapped(mirror.parcellation.data) != straight.parcellation.data[::-1]
    assert differ.mean() < 1e-3  # ties are broken by the order of the labels


def test_a_coarser_scan_is_labelled_at_1_mm_and_on_its_own_grid_when_asked(tiny):
    volume = scan((14, 18, 12), spacing=2.0)
    fine, own = (segment(tiny, volume, mode="fast", grid=grid, posteriors=True) for grid in ("1mm", "native"))
    assert fine.labels.spacing == pytest.approx(1.0)
    assert own.labels.shape == volume.shape
    assert own.labels.affine == pytest.approx(volume.affine)
    assert fine.icv_mm3 == own.icv_mm3
    assert own.posteriors.shape == (*volume.shape, 33)
    assert own.posteriors.data.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert fine.resampled.shape == fine.labels.shape


@pytest.mark.parametrize("crop", [None, (12, 12, 12)])
@pytest.mark.parametrize("resolution", ["1 mm", "2 mm"])
def test_posteriors_on_the_scans_own_grid_sum_to_one_everywhere(tiny, tiny_2mm, resolution, crop):
    straight = scan((14, 17, 12), spacing=1.7)
    angle = np.deg2rad(12)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = Volume(straight.data, turn @ straight.affine, "oblique")
    folder = tiny if resolution == "1 mm" else tiny_2mm
    result = segment(folder, oblique, mode="fast", grid="native", posteriors=True, crop=crop)
    posteriors = result.posteriors.data
    assert posteriors.shape == (*oblique.shape, 33)
    assert posteriors.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert posteriors.min() >= 0
    assert (posteriors[..., 1:].sum(-1) > 0.5).any()
    corner = posteriors[0, 0, 0]
    assert crop is None or corner[0] == 1


def test_2_mm_networks_give_labels_and_posteriors_on_1_mm(tiny_2mm):
    result = segment(tiny_2mm, mode="fast", posteriors=True)
    assert result.labels.shape == scan().shape
    assert np.array_equal(
        structures("2.0").values[result.posteriors.data.argmax(-1)], result.labels.data
    )
    assert result.posteriors.data.sum(-1) == pytest.approx(1.0, abs=1e-5)


def test_outside_a_crop_everything_is_background(tiny):
    result = segment(tiny, mode="fast", crop=(8, 8, 8), posteriors=True, parcellation=True)
    inside = (slice(8, 16), slice(9, 17), slice(6, 14))
    outside = np.ones(scan().shape, bool)
    outside[inside] = False
    assert not result.labels.data[outside].any()
    assert (result.posteriors.data[outside, 0] == 1).all()
    assert result.labels.data[inside].any()


# Networks in other scales ------------------------------------------------------------------------------------


def test_the_published_scheme_and_rule_run_with_compatibility_and_without(tmp_path):
    folder = write_tiny_set(
        tmp_path / "set", scheme="published", parcels={"combination": "published"},
        postprocessing={"flip": "padded", "components_on": "padded", "segmenter_sigma": 0.5},
    )  # fmt: skip
    ours = segment(folder, mode="fast", **EVERYTHING)
    theirs = segment(folder, mode="fast", compatibility=True, **EVERYTHING)
    unscored = segment(folder, mode="fast", compatibility=True, parcellation=True)
    cortex = sum(ours.volumes[label].volume_mm3 for label in (3, 42))
    white = sum(ours.volumes[label].volume_mm3 for label in (2, 41))

    def parcel_total(result):
        return sum(row.volume_mm3 for row in result.volumes if row.label > 1000)

    assert parcel_total(ours) == pytest.approx(cortex)
    assert parcel_total(theirs) == pytest.approx(white)
    assert np.array_equal(ours.parcellation.data, unscored.parcellation.data)  # smoothed with and without quality
    assert not np.array_equal(ours.parcellation.data, theirs.parcellation.data)


# Ends --------------------------------------------------------------------------------------------------------


def test_a_lacking_network_is_named_before_anything_runs(tmp_path):
    only = ModelSet.load(write_tiny_set(tmp_path / "set", ("segmenter",)))
    for options in ({"mode": "robust"}, {"mode": "fast", "quality": True}, {"mode": "fast", "parcellation": True}):
        with pytest.raises(ModelError, match="has no"):
            Segmenter(only, **options)


def test_options_that_contradict_or_are_unknown_are_refused(tiny):
    found = ModelSet.load(tiny)
    with pytest.raises(OptionsError, match="does not run the denoiser"):
        Segmenter(found, mode="fast", quality_from_denoiser=True)
    with pytest.raises(OptionsError, match="Unknown option sharpness"):
        Segmenter(found, sharpness=3)
    assert Segmenter(found, SegmentOptions(mode="fast"), quality=True).options.quality


def test_a_constant_scan_is_refused_and_odd_ones_are_named(tiny):
    constant = Volume(np.ones((20, 20, 20), np.float32), np.eye(4), "flat")
    with pytest.raises(InputError, match="same intensity"):
        segment(tiny, constant, mode="fast")
    result = segment(tiny, mode="fast")
    assert "thin" in {finding.code for finding in result.findings}
    assert result.record["findings"] == [finding.to_dict() for finding in result.findings]


def test_progress_never_goes_back_and_ends_at_one(tiny):
    said = []
    segmenter = Segmenter(ModelSet.load(tiny), mode="robust", device="cpu", **EVERYTHING)
    segmenter.segment(scan(), progress=lambda *values: said.append(values))
    stages = list(dict.fromkeys(stage for stage, _, _ in said))
    assert tuple(stages) == segmenter.stage_names
    overall = [value for _, _, value in said]
    assert overall == sorted(overall)
    assert overall[-1] == pytest.approx(1.0)
    assert all(0 <= fraction <= 1 for _, fraction, _ in said)


@pytest.mark.parametrize("mode", ["robust", "default"])
def test_cancel_is_obeyed_in_every_stage(tiny, mode):
    segmenter = Segmenter(ModelSet.load(tiny), mode=mode, device="cpu", keep_networks=True, **EVERYTHING)
    segmenter.segment(scan())
    for wanted in segmenter.stage_names:
        reached = []
        with pytest.raises(Cancelled):
            segmenter.segment(scan(), lambda stage, *_: reached.append(stage), lambda: wanted in reached[-1:])  # noqa: B023
        assert reached[-1] == wanted


def test_the_record_says_how_the_result_came_about(robust):
    record = json.loads(json.dumps(robust.record))
    assert record["input"]["shape"] == list(scan().shape)
    assert len(record["input"]["sha256"]) == 64
    assert set(record["model_set"]["roles"]) == {"tissue", "denoiser", "structure", "parcellation", "quality"}
    assert all(len(role["sha256"]) == 64 for role in record["model_set"]["roles"].values())
    assert record["device"] == "cpu"
    assert record["versions"]["keras"]
    assert set(record["timings"]) >= {"Tissues (S1)", "Quality control (R)", "Finishing"}
    assert record["peak_memory_bytes"] > 0
    assert SegmentOptions.from_dict(record["options"]).mode == "robust"


def test_the_same_scan_has_the_same_hash_and_another_one_has_not(tiny):
    hashes = [segment(tiny, scan(seed=seed), mode="fast").record["input"]["sha256"] for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
