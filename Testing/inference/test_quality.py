"""What R is shown, and what its scores become."""

from __future__ import annotations

import math

import numpy as np
import pytest

from SynthSegPlusLib.contract import Verdict
from SynthSegPlusLib.inference._rules import QualityRule
from SynthSegPlusLib.inference.measures import intracranial_volume, table_of
from SynthSegPlusLib.inference.quality import (
    box_around,
    cut_box,
    denoiser_agreement,
    ignored_channels,
    quality_inputs,
    region_shares,
    regressor_input,
    report_of,
)
from SynthSegPlusLib.labels import qc_regions, structures, tissues

TABLE = structures("2.0")
PUBLISHED_RULE = QualityRule(ignored_channels=(0, 24))


def block(shape, box, channel=1):
    out = np.zeros(shape, np.uint8)
    out[box] = channel
    return out


def test_the_box_is_centred_on_the_brain_with_the_odd_rest_in_front():
    low, high = box_around(block((20, 20, 20), np.s_[4:9, 5:9, 6:7]), (0,), (8, 8, 8))
    assert low.tolist() == [4 - 2, 5 - 2, 6 - 4]
    assert high.tolist() == [9 + 1, 9 + 2, 7 + 3]


def test_a_brain_larger_than_the_grid_is_cut_on_both_sides():
    low, high = box_around(block((20, 8, 8), np.s_[2:19, :, :]), (0,), (8, 8, 8))
    assert (low[0], high[0]) == (2 + 4, 19 - 5)


def test_without_a_brain_the_box_starts_at_the_corner():
    low, high = box_around(np.zeros((4, 12, 8), np.uint8), (0,), (8, 8, 8))
    assert low.tolist() == [-2, 0, 0]
    assert high.tolist() == [6, 8, 8]


def test_what_lies_outside_the_volume_is_background():
    cut = cut_box(block((4, 4, 4), np.s_[:, :, :]), np.array([-2, 0, 1]), np.array([6, 4, 5]))
    assert cut.shape == (8, 4, 4)
    assert cut.sum() == 4 * 4 * 3
    assert cut[2:6, :, :3].all()


def test_the_published_box_ignores_channel_24_and_ours_the_label_24():
    assert ignored_channels(PUBLISHED_RULE, TABLE) == (0, 24)
    assert TABLE.values[24] == 47  # right cerebellum cortex, by mistake
    assert ignored_channels(QualityRule(ignored_labels=(24,)), TABLE) == (0, TABLE.channel(24))
    assert ignored_channels(QualityRule(ignored_labels=(24,)), structures("1.0")) == (0,)


@pytest.mark.parametrize("folder", ["phantom", "intermediates_A"])
def test_the_regressors_input_is_exactly_the_references(shared, folder):
    golden = shared / "reference" / "golden" / folder
    channels = np.load(golden / "robust_S1_D_S2.npz")["S2_argmax"]
    stored = np.load(golden / "R.npz")
    regions = regressor_input(channels, TABLE, qc_regions("published"), PUBLISHED_RULE)
    name = next(key for key in stored.files if key.startswith("qc_input_labels"))
    stride = int(name.removeprefix("qc_input_labels_stride"))
    assert regions.shape == (224, 224, 224)
    assert np.array_equal(regions[::stride, ::stride, ::stride], stored[name])


def test_scores_are_clipped_and_the_background_dropped():
    regions = qc_regions("published")
    report = report_of(np.array([0.9, -0.2, 1.3, *[0.7] * 6]), regions, 0.65)
    assert [entry.name for entry in report.regions] == list(regions.names[1:])
    assert [entry.score for entry in report.regions][:3] == [0.0, 1.0, 0.7]
    assert report.verdict is Verdict.FAIL
    without_background = report_of(np.full(10, 0.66), qc_regions("paper"), 0.65)
    assert len(without_background.regions) == 10
    assert without_background.verdict is Verdict.PASS


def test_a_score_that_is_no_number_is_not_scored_and_never_passes():
    report = report_of(np.array([math.nan, *[0.9] * 9]), qc_regions("paper"), 0.65)
    assert report.regions[0].verdict is Verdict.NOT_SCORED
    assert report.verdict is Verdict.NOT_SCORED


def test_agreement_with_the_denoiser_is_dice_per_tissue():
    grouping = tissues("published")
    channels = np.zeros((2, 2, 2), np.uint8)
    channels[0] = TABLE.channel(2)  # four voxels of white matter
    corrected = np.zeros((2, 2, 2), np.uint8)
    corrected[0, 0] = 1  # two of them, to the denoiser
    report = denoiser_agreement(corrected, channels, TABLE, grouping, 0.65)
    scores = {entry.name: entry.score for entry in report.regions}
    assert scores["white matter"] == pytest.approx(2 * 2 / 6)
    assert scores["cerebellum"] == 1.0  # missing from both
    assert report.regions[0].verdict is Verdict.PASS


def test_the_table_carries_regions_scores_and_fractions():
    volumes = np.arange(len(TABLE), dtype=float)
    report = report_of(np.array([0.9] * 5 + [0.5] + [0.9] * 4), qc_regions("paper"), 0.65)
    table = table_of(volumes, TABLE, qc_regions("paper"), report, np.full(68, 2.0))
    icv = intracranial_volume(volumes, TABLE)
    assert icv == volumes[1:].sum()
    assert [row.label for row in table] == sorted(row.label for row in table)
    assert len(table) == 32 + 68
    assert table[17].qc_region == "hippocampus"
    assert (table[17].qc_score, table[17].verdict) == (0.5, Verdict.FAIL)
    assert table[17].fraction_of_icv == pytest.approx(volumes[TABLE.channel(17)] / icv)
    assert (table[1024].qc_region, table[1024].verdict) == ("cortex", Verdict.PASS)
    assert (table[11].qc_region, table[11].qc_score, table[11].verdict) == ("", None, Verdict.NOT_SCORED)


def test_the_old_table_has_no_intracranial_volume():
    old = structures("1.0")
    table = table_of(np.ones(len(old)), old, qc_regions("published"), None)
    assert intracranial_volume(np.ones(len(old)), old) is None
    assert all(math.isnan(row.fraction_of_icv) for row in table)
    assert {row.verdict for row in table} == {Verdict.NOT_SCORED}


def test_shares_of_regions_in_cells_by_hand():
    regions = np.zeros((4, 2, 2), np.uint8)
    regions[0], regions[2:] = 1, 2
    shares = region_shares(regions, 3, 2)
    assert shares.dtype == np.float32
    assert shares[:, 0, 0].tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("cell", [1, 2])
def test_r_is_given_voxels_or_cells_of_the_same_box(cell):
    channels = block((20, 24, 28), np.s_[4:15, 5:20, 6:25], TABLE.channel(17))
    regions = qc_regions("paper")
    rule = QualityRule(grid=(16, 16, 24), cell=cell)
    seen = quality_inputs(channels, TABLE, regions, rule)
    assert seen.shape == rule.input_shape == (16 // cell, 16 // cell, 24 // cell)
    assert seen.channels == len(regions)
    place = regions.names.index("hippocampus")
    volume = seen.slab(0, seen.shape[0])[..., place].sum() * cell**3
    assert volume == pytest.approx((regressor_input(channels, TABLE, regions, rule) == place).sum())
