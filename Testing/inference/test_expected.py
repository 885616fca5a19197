"""How large horns become where a scan does not show where hippocampi end."""

import csv

import numpy as np
import pytest

from SynthSegPlusLib.inference._appearance import CSF, HORNS, VENTRICLES
from SynthSegPlusLib.inference._expected import CONSTANT, HIPPOCAMPI, SLOPE, TRUST, WIDEST, expect_horns
from SynthSegPlusLib.labels import structures

TABLE = structures("2.0")
WHITE_MATTER = 2
LEFT, RIGHT = TABLE.channels((HIPPOCAMPI[0], HORNS[0])), TABLE.channels((HIPPOCAMPI[1], HORNS[1]))


def a_head(ventricles, horns=(10.0, 10.0), table=TABLE, seed=3):
    """Posteriors [20, 20, 20, C]: 100 voxels of hippocampus and horn on each side (of which ``horns`` are horn),
    ``ventricles`` of lateral ventricle, 5000 of brain in all, and CSF where the table has it.
    """
    posteriors = np.zeros((8000, len(table)), np.float32)
    rng = np.random.default_rng(seed)
    for side, amount in enumerate(horns):
        own, horn = table.channels((HIPPOCAMPI[side], HORNS[side]))
        share = rng.uniform(0.2, 1, 100) ** 3
        share *= amount / share.sum()
        rows = slice(100 * side, 100 * side + 100)
        posteriors[rows, horn], posteriors[rows, own] = share, 1 - share
    posteriors[200 : 200 + ventricles, table.channel(VENTRICLES[0])] = 1
    posteriors[200 + ventricles : 5000, table.channel(WHITE_MATTER)] = 1
    posteriors[5000:, table.channel(CSF) if CSF in table else 0] = 1
    return posteriors.reshape(20, 20, 20, len(table))


def ratio(posteriors, side, table=TABLE):
    own, horn = posteriors.reshape(-1, len(table)).sum(axis=0)[table.channels((HIPPOCAMPI[side], HORNS[side]))]
    return float(np.log(horn / own))


def expected(ventricles):
    return CONSTANT + SLOPE * np.log(ventricles / 5000)


@pytest.mark.parametrize("horns", [(10.0, 10.0), (5.0, 20.0)])
def test_horns_grow_to_what_ventricles_let_expect_and_networks_say(horns):
    posteriors = a_head(350, horns)
    before = posteriors.copy()
    assert expect_horns(posteriors, TABLE)
    for side, channels in enumerate((LEFT, RIGHT)):
        wanted = TRUST * expected(350) + (1 - TRUST) * ratio(before, side)
        assert ratio(posteriors, side) == pytest.approx(wanted, abs=1e-3)
        assert wanted > ratio(before, side) + 0.5
        together = [one[..., channels].sum(axis=-1) for one in (before, posteriors)]
        assert np.allclose(*together, atol=1e-6)
        assert posteriors[..., channels].min() >= 0
    untouched = np.setdiff1d(np.arange(len(TABLE)), [*LEFT, *RIGHT])
    assert np.array_equal(posteriors[..., untouched], before[..., untouched])


def test_what_is_most_like_horn_moves_first():
    """All odds grow by one factor."""
    posteriors = a_head(350)
    before = posteriors.reshape(-1, len(TABLE))[:100, LEFT].copy()
    expect_horns(posteriors, TABLE)
    after = posteriors.reshape(-1, len(TABLE))[:100, LEFT]
    factors = (after[:, 1] / after[:, 0]) / (before[:, 1] / before[:, 0])
    assert factors == pytest.approx(np.full(100, factors[0]), rel=1e-2)
    assert factors[0] > 2


def test_horns_are_not_made_smaller():
    posteriors = a_head(20, (30.0, 10.0))
    before = posteriors.copy()
    assert expected(20) < ratio(before, 1) < ratio(before, 0)
    assert not expect_horns(posteriors, TABLE)
    assert np.array_equal(posteriors, before)


def test_each_side_is_judged_by_its_own_horn():
    posteriors = a_head(350, (60.0, 10.0))
    before = posteriors.copy()
    assert expect_horns(posteriors, TABLE)
    assert np.array_equal(posteriors[..., LEFT], before[..., LEFT])
    assert ratio(posteriors, 1) > ratio(before, 1) + 0.5


def test_beyond_the_largest_ventricles_nothing_more_is_expected():
    posteriors = a_head(3000)
    before = ratio(posteriors, 0)
    assert expected(3000) > WIDEST + 1
    expect_horns(posteriors, TABLE)
    assert ratio(posteriors, 0) == pytest.approx(TRUST * WIDEST + (1 - TRUST) * before, abs=1e-3)


@pytest.mark.parametrize("missing", [VENTRICLES[0], HORNS[0]])
def test_without_ventricles_or_a_horn_there_is_nothing_to_go_by(missing):
    posteriors = a_head(350, (10.0, 60.0))  # the right horn is already as large as expected
    posteriors[..., TABLE.channel(WHITE_MATTER)] += posteriors[..., TABLE.channel(missing)]
    posteriors[..., TABLE.channel(missing)] = 0
    before = posteriors.copy()
    assert not expect_horns(posteriors, TABLE)
    assert np.array_equal(posteriors, before)


def test_the_csf_about_the_brain_is_no_part_of_it():
    old = structures("1.0")
    with_csf, without = a_head(350), a_head(350, table=old)
    expect_horns(with_csf, TABLE)
    expect_horns(without, old)
    assert ratio(without, 0, old) == pytest.approx(ratio(with_csf, 0), abs=1e-5)


def test_the_relation_is_that_of_the_training_maps(shared):
    """Least squares over maps 1 to 14, whose voxels have 1 mm3."""
    with (shared / "data/training/label_voxel_counts.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["map"])[:14]

    def volume(row, *labels):
        return sum(int(row[str(label)] or 0) for label in labels)

    brain = [int(value) for value in TABLE.values if value not in (0, CSF)]
    x = [np.log(volume(row, *VENTRICLES) / volume(row, *brain)) for row in rows]
    y = [np.log(volume(row, *HORNS) / volume(row, *HIPPOCAMPI)) for row in rows]
    slope, constant = np.polyfit(x, y, 1)
    assert (constant, slope) == pytest.approx((CONSTANT, SLOPE), abs=5e-3)
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(0.88, abs=0.005)
