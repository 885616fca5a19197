"""How large horns become where a scan does not show where hippocampi end."""

import csv

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from SynthSegPlusLib.inference._appearance import CSF, HORNS, VENTRICLES
from SynthSegPlusLib.inference._expected import (
    CONSTANT,
    DEEP_GREY,
    HIPPOCAMPI,
    SLOPE,
    WIDE,
    WIDEST,
    expected_ratio,
    is_wide,
    widen_horns,
)
from SynthSegPlusLib.labels import structures

TABLE = structures("2.0")
WHITE_MATTER = 2
BESIDE = 400  # voxels of deep grey matter
LARGE, SMALL = 760, 200
"""Lateral ventricles with which horns are expected to be wide (0.6 of the hippocampi), and narrow."""
LEFT, RIGHT = TABLE.channels((HIPPOCAMPI[0], HORNS[0])), TABLE.channels((HIPPOCAMPI[1], HORNS[1]))


def shares(amount, rng):
    """Shares of horn in 100 voxels, ``amount`` together."""
    odds = rng.normal(0, 1, 100)
    return expit(odds + brentq(lambda more: expit(odds + more).sum() - amount, -9, 9))


def a_head(ventricles, horns=(10.0, 10.0), table=TABLE, brain=5000):
    """Posteriors [20, 20, 20, C]: 100 voxels of hippocampus and horn on each side (of which ``horns`` are horn),
    lateral ventricles, `BESIDE`, white matter up to ``brain`` voxels, and CSF where the table has it.
    """
    posteriors = np.zeros((8000, len(table)), np.float32)
    rng = np.random.default_rng(3)
    for side, amount in enumerate(horns):
        own, horn = table.channels((HIPPOCAMPI[side], HORNS[side]))
        share = shares(amount, rng)
        rows = slice(100 * side, 100 * side + 100)
        posteriors[rows, horn], posteriors[rows, own] = share, 1 - share
    ends = np.cumsum([200, ventricles, BESIDE])
    posteriors[ends[0] : ends[1], table.channel(VENTRICLES[0])] = 1
    posteriors[ends[1] : ends[2], table.channel(DEEP_GREY[0])] = 1
    posteriors[ends[2] : brain, table.channel(WHITE_MATTER)] = 1
    posteriors[brain:, table.channel(CSF) if CSF in table else 0] = 1
    return posteriors.reshape(20, 20, 20, len(table))


def widened(posteriors, table=TABLE):
    """Whether horns moved that become as wide as their own head lets expect."""
    return widen_horns(posteriors, table, expected_ratio(posteriors, table))


def ratio(posteriors, side, table=TABLE):
    own, horn = posteriors.reshape(-1, len(table)).sum(axis=0)[table.channels((HIPPOCAMPI[side], HORNS[side]))]
    return float(np.log(horn / own))


def expected(ventricles):
    return CONSTANT + SLOPE * np.log(ventricles / BESIDE)


@pytest.mark.parametrize("horns", [(10.0, 10.0), (5.0, 20.0)])
def test_horns_grow_to_what_ventricles_let_expect(horns):
    posteriors = a_head(LARGE, horns)
    before = posteriors.copy()
    assert WIDE < expected(LARGE) < WIDEST
    assert is_wide(expected_ratio(posteriors, TABLE))
    assert widened(posteriors, TABLE)
    for side, channels in enumerate((LEFT, RIGHT)):
        assert ratio(posteriors, side) == pytest.approx(expected(LARGE), abs=1e-3)
        assert ratio(before, side) < expected(LARGE) - 0.5
        together = [one[..., channels].sum(axis=-1) for one in (before, posteriors)]
        assert np.allclose(*together, atol=1e-6)
        assert posteriors[..., channels].min() >= 0
    untouched = np.setdiff1d(np.arange(len(TABLE)), [*LEFT, *RIGHT])
    assert np.array_equal(posteriors[..., untouched], before[..., untouched])


def test_what_is_most_like_horn_moves_first():
    """All odds grow by one factor."""
    posteriors = a_head(LARGE)
    before = posteriors.reshape(-1, len(TABLE))[:100, LEFT].copy()
    widened(posteriors, TABLE)
    after = posteriors.reshape(-1, len(TABLE))[:100, LEFT]
    factors = (after[:, 1] / after[:, 0]) / (before[:, 1] / before[:, 0])
    assert factors == pytest.approx(np.full(100, factors[0]), rel=1e-2)
    assert factors[0] > 2


@pytest.mark.parametrize(("ventricles", "horns"), [(LARGE, (60.0, 70.0)), (SMALL, (5.0, 40.0))])
def test_horns_stay_where_they_are_wide_enough_or_need_not_be_wide(ventricles, horns):
    posteriors = a_head(ventricles, horns)
    before = posteriors.copy()
    assert is_wide(expected_ratio(posteriors, TABLE)) == (ventricles == LARGE)
    assert not widened(posteriors, TABLE)
    assert np.array_equal(posteriors, before)


def test_each_side_is_judged_by_its_own_horn():
    posteriors = a_head(LARGE, (60.0, 10.0))
    before = posteriors.copy()
    assert widened(posteriors, TABLE)
    assert np.array_equal(posteriors[..., LEFT], before[..., LEFT])
    assert ratio(posteriors, 1) == pytest.approx(expected(LARGE), abs=1e-3)


def test_a_move_of_less_than_a_voxel_is_none():
    wide = 100 / (1 + np.exp(-expected(LARGE)))
    assert not widened(a_head(LARGE, (wide - 0.9, wide)), TABLE)
    assert widened(a_head(LARGE, (wide - 1.2, wide)), TABLE)


def test_ventricles_of_any_size_leave_a_hippocampus():
    posteriors = a_head(3000)
    assert expected(3000) > WIDEST + 0.5
    widened(posteriors, TABLE)
    assert ratio(posteriors, 0) == pytest.approx(WIDEST, abs=1e-3)


def test_a_head_that_is_cut_is_expected_to_have_the_same_horns():
    """Ventricles are measured by what lies beside them, and traces of posteriors elsewhere do not count as horn."""
    whole, part = a_head(LARGE), a_head(LARGE, brain=1800)
    part[-8:, ..., [*LEFT, *RIGHT]] += 1e-3
    for head in (whole, part):
        assert widened(head, TABLE)
    assert expected_ratio(part, TABLE) == pytest.approx(expected_ratio(whole, TABLE), abs=0.02)
    assert np.allclose(part[..., RIGHT][:1], whole[..., RIGHT][:1], atol=0.01)


def without(label):
    """A head whose voxels of ``label`` are white matter."""
    posteriors = a_head(LARGE)
    posteriors[..., TABLE.channel(WHITE_MATTER)] += posteriors[..., TABLE.channel(label)]
    posteriors[..., TABLE.channel(label)] = 0
    return posteriors


@pytest.mark.parametrize("missing", [VENTRICLES[0], DEEP_GREY[0]])
def test_without_ventricles_or_what_is_beside_them_nothing_is_expected(missing):
    posteriors = without(missing)
    before = posteriors.copy()
    assert expected_ratio(posteriors, TABLE) is None
    assert not is_wide(expected_ratio(posteriors, TABLE))
    assert not widened(posteriors, TABLE)
    assert np.array_equal(posteriors, before)


@pytest.mark.parametrize("missing", [HIPPOCAMPI[1], HORNS[1]])
def test_a_side_without_horn_or_hippocampus_stays(missing):
    posteriors = without(missing)
    before = posteriors.copy()
    assert widened(posteriors, TABLE)
    assert np.array_equal(posteriors[..., RIGHT], before[..., RIGHT])
    assert ratio(posteriors, 0) == pytest.approx(expected(LARGE), abs=1e-3)


def test_posteriors_of_any_layout_and_of_labels_without_csf_are_changed_alike():
    old = structures("1.0")
    posteriors, other, without = a_head(LARGE), np.asfortranarray(a_head(LARGE)), a_head(LARGE, table=old)
    assert widened(posteriors, TABLE)
    assert widened(other, TABLE)
    assert widened(without, old)
    assert np.array_equal(posteriors, other)
    assert ratio(without, 0, old) == pytest.approx(ratio(posteriors, 0), abs=1e-5)


def test_the_relation_is_that_of_the_training_maps(shared):
    """Least squares over maps 1 to 14, whose voxels have 1 mm3."""
    with (shared / "data/training/label_voxel_counts.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["map"])[:14]

    def volume(row, *labels):
        return sum(int(row[str(label)] or 0) for label in labels)

    x = [np.log(volume(row, *VENTRICLES) / volume(row, *DEEP_GREY)) for row in rows]
    y = [np.log(volume(row, *HORNS) / volume(row, *HIPPOCAMPI)) for row in rows]
    slope, constant = np.polyfit(x, y, 1)
    assert (constant, slope) == pytest.approx((CONSTANT, SLOPE), abs=5e-3)
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(0.88, abs=0.005)
