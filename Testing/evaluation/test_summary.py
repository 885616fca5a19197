"""Summaries and figures of the accuracy benchmark, from tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread

from SynthSegPlusLib.volume import Volume
from Testing.benchmarks.accuracy.figures import draw_figures
from Testing.benchmarks.accuracy.overlays import canonical, contact_sheets
from Testing.benchmarks.accuracy.summary import paired_gain, per_structure, quality_pairs, summary


def dice_row(scan, mode, value, kind="structure", name="left hippocampus", part="synthetic", **more):
    about = {"part": part, "scan": scan, "mode": mode, "map": "17", "contrast": "T1", "spacing": "3"}
    return {**about, "kind": kind, "name": name, "dice": str(value), **more}


def scan_row(scan, mode, part="synthetic", **more):
    return {"part": part, "scan": scan, "mode": mode, "map": "17", "verdict": "pass", **more}


def found_in(rows):
    return {(row["part"], row["mode"], row["what"]): (float(row["value"]), int(row["n"])) for row in rows}


def test_means_per_kind_spacing_and_contrast():
    dice = [dice_row("a", "robust", 0.8), dice_row("b", "robust", 0.6, spacing="7"), dice_row("b", "robust", "nan"),
            dice_row("a", "robust", 0.9, "tissue", "white matter")]  # fmt: skip
    found = found_in(summary(dice, [scan_row("a", "robust"), scan_row("b", "robust", verdict="fail")]))
    assert found["synthetic", "robust", "mean Dice of structures"] == (0.7, 2)
    assert found["synthetic", "robust", "mean Dice of structures, spacing 3 mm"] == (0.8, 1)
    assert found["synthetic", "robust", "mean Dice of structures, spacing 7 mm"] == (0.6, 1)
    assert found["synthetic", "robust", "mean Dice of structures, contrast T1"] == (0.7, 2)
    assert found["synthetic", "robust", "mean Dice of tissues"] == (0.9, 1)
    assert found["synthetic", "robust", "share of scans rejected"] == (0.5, 2)


def test_a_scan_without_a_verdict_is_neither_rejected_nor_accepted():
    scans = [scan_row("a", "s-d", verdict="not scored"), scan_row("b", "s-d", verdict="not scored")]
    assert all("rejected" not in row["what"] for row in summary([], scans))


def test_a_scan_that_the_engine_refuses_counts_as_rejected():
    scans = [scan_row("a", "robust", "fail", verdict="refused"), scan_row("b", "robust", "fail")]
    assert found_in(summary([], scans))["fail", "robust", "share of scans rejected"] == (0.5, 2)


def test_robust_minus_single_is_paired_by_scan():
    dice = [dice_row(scan, mode, value, part="degraded")
            for scan, robust in (("a", 0.8), ("b", 0.6), ("c", 0.5))
            for mode, value in (("robust", robust), ("fast", robust - 0.1))]  # fmt: skip
    dice.append(dice_row("only robust", "robust", 0.0, part="degraded"))
    assert paired_gain(dice, "robust", "fast") == pytest.approx([0.1, 0.1, 0.1])
    found = found_in(summary(dice, [scan_row("a", "robust", "degraded")]))
    for what in ("mean", "95 % interval, low", "95 % interval, high"):
        assert found["degraded", "robust - fast", f"Dice of structures per scan: {what}"] == (0.1, 3)
    assert found["degraded", "robust - fast", "share of scans where robust is better"] == (1.0, 3)


def test_the_cascade_without_s_is_compared_with_s_too():
    values = {"robust": 0.8, "cascade": 0.75, "fast": 0.7}
    dice = [dice_row(scan, mode, value, part="degraded") for scan in "abc" for mode, value in values.items()]
    found = found_in(summary(dice, [scan_row("a", mode, "degraded") for mode in values]))
    mean = "Dice of structures per scan: mean"
    gains = {pair: found["degraded", pair, mean][0] for part, pair, what in found if what == mean}
    assert gains == pytest.approx({"robust - cascade": 0.05, "robust - fast": 0.1, "cascade - fast": 0.05})
    assert found["degraded", "cascade - fast", "share of scans where cascade is better"] == (1.0, 3)


def test_quality_is_judged_as_the_goals_say():
    pairs = [(0.9, 0.8), (0.6, 0.75), (0.5, 0.4), (0.7, 0.55), (0.6, 0.65)]  # predicted, true
    dice = [dice_row("a", "robust", true, "region", f"r{number}", score=str(score), estimate="0.9")
            for number, (score, true) in enumerate(pairs)]  # fmt: skip
    found = found_in(summary(dice, [scan_row("a", "robust")]))
    # Above 0.70 lie 0.8 (accepted) and 0.75 (rejected); below 0.60 lie 0.4 (rejected) and 0.55 (accepted).
    assert found["synthetic", "robust", "R, regions: above 0.70 accepted"] == (0.5, 2)
    assert found["synthetic", "robust", "R, regions: below 0.60 rejected"] == (0.5, 2)
    assert found["synthetic", "robust", "R, regions: mean absolute error"] == (pytest.approx(0.11), 5)
    # Of the 2 x 3 pairs of a bad and a good region, the bad one scores lower in 4 and the same in none.
    expected = (pytest.approx(4 / 6, abs=1e-4), 5)
    assert found["synthetic", "robust", "R, regions: AUC for true Dice below 0.65"] == expected
    assert found["synthetic", "robust", "D-S2 estimate, regions: AUC for true Dice below 0.65"] == (0.5, 5)
    assert found["synthetic", "robust", "D-S2 estimate, regions: above 0.70 accepted"] == (1.0, 2)
    assert found["synthetic", "robust", "D-S2 estimate, regions: below 0.60 rejected"] == (0.0, 2)
    assert found["all", "robust", "R, regions: mean absolute error"] == (pytest.approx(0.11), 5)


def test_r_alone_and_the_agreement_are_judged_beside_the_score_that_joins_them():
    dice = [dice_row("a", "robust", true, "region", f"r{number}", score=str(score), regressor=str(own), agreement="0.6")
            for number, (score, own, true) in enumerate([(0.8, 0.5, 0.8), (0.5, 0.7, 0.4)])]  # fmt: skip
    found = found_in(summary(dice, [scan_row("a", "robust")]))
    assert found["synthetic", "robust", "R, regions: below 0.60 rejected"] == (1.0, 1)
    assert found["synthetic", "robust", "R alone, regions: below 0.60 rejected"] == (0.0, 1)
    assert found["synthetic", "robust", "R alone, regions: AUC for true Dice below 0.65"] == (0.0, 2)
    assert found["synthetic", "robust", "S-S2 agreement, regions: mean absolute error"] == (pytest.approx(0.2), 2)


def test_results_that_users_do_not_see_are_not_judged_by_their_scores():
    rows = [dice_row("a", "robust", 0.5, "region", "hippocampus", part, score="0.9")
            for part in ("degraded", "quality", "synthetic")]  # fmt: skip
    found = found_in(summary(rows, [scan_row("a", "robust", part) for part in ("degraded", "quality", "synthetic")]))
    what = "R, regions: below 0.60 rejected"
    assert found["quality", "robust", what] == (0.0, 1)
    assert found["all", "robust", what] == (0.0, 2)
    assert ("degraded", "robust", what) not in found


def test_regions_without_a_score_or_a_dice_do_not_count():
    rows = [dice_row("a", "robust", 0.5, "region", score=""), dice_row("a", "robust", "nan", "region", score="0.4"),
            dice_row("a", "robust", 0.5, "region", score="0.4")]  # fmt: skip
    predicted, true = quality_pairs(rows, "region", "score")
    assert (predicted.tolist(), true.tolist()) == ([0.4], [0.5])


def test_volumes_agree_with_the_truth_where_it_is_known():
    scans = [scan_row(name, "robust", icv_mm3=str(1.1 * truth), true_icv_mm3=str(truth))
             for name, truth in (("a", 1000.0), ("b", 1500.0))]  # fmt: skip
    scans.append(scan_row("c", "robust", icv_mm3="9", true_icv_mm3=""))
    found = found_in(summary([], scans))
    assert found["synthetic", "robust", "ICV: Pearson r"] == (1.0, 2)
    assert found["synthetic", "robust", "ICV: mean relative bias"] == (0.1, 2)


def test_variation_over_contrasts_is_within_an_anatomy():
    scans = [scan_row(f"{series}_{contrast}", "robust", "contrast", contrast=contrast, hippocampus_mm3=str(volume))
             for series, volumes in (("series17", (9, 10, 11)), ("series17b", (20, 20, 20)))
             for contrast, volume in zip(("T1", "T2", "PD"), volumes, strict=True)]  # fmt: skip
    found = found_in(summary([], scans))
    what = "hippocampal volume: coefficient of variation over contrasts"
    assert found["contrast", "robust", what] == (pytest.approx(0.05), 2)


def test_each_structure_has_its_mean_and_spread():
    rows = per_structure([dice_row("a", "robust", 0.6), dice_row("b", "robust", 0.8), dice_row("c", "robust", "nan")])
    assert rows == [{"part": "synthetic", "mode": "robust", "kind": "structure", "name": "left hippocampus",
                     "mean": "0.7000", "std": "0.1000", "n": "2"}]  # fmt: skip


@pytest.mark.parametrize("modes", [("robust", "fast"), ("robust", "cascade", "fast")])
def test_tables_with_everything_give_every_figure_and_empty_ones_none(tmp_path, modes):
    assert draw_figures(tmp_path, [], []) == []
    dice, scans = [], []
    for part in ("synthetic", "degraded", "real"):
        for number in range(3):
            for mode in modes:
                name, value = f"{part}{number}", 0.5 + 0.1 * number
                dice.append(dice_row(name, mode, value, part=part))
                scores = {"score": str(value), "estimate": "0.9"}
                scores |= {"regressor": "0.7", "confidence": "0.8", "agreement": "0.9"} if "cascade" in modes else {}
                dice.append(dice_row(name, mode, value, "region", "hippocampus", part, **scores))
                volumes = {f"{what}{kind}_mm3": str(1000 + 100 * number) for what in ("", "true_")
                           for kind in ("icv", "hippocampus", "ventricles")}  # fmt: skip
                scans.append(scan_row(name, mode, part, **volumes))
    written = draw_figures(tmp_path, dice, scans)
    assert sorted(path.stem for path in written) == [
        "degraded", "dice_by_spacing", "dice_by_structure", "icv", "quality", "real_scans"]  # fmt: skip
    for path in written:
        assert imread(path)[..., :3].std() > 0.02  # something is drawn
    sizes = {path.stem: imread(path).shape[1] for path in written}
    # A panel for every witness, and for every pair.
    assert (sizes["quality"] > 2000, sizes["degraded"] > 1300) == (("cascade" in modes),) * 2


def test_strips_are_joined_in_order_eight_to_a_sheet(tmp_path):
    from matplotlib.image import imsave

    for number in range(9):
        imsave(tmp_path / f"scan{number}.png", np.full((4, 6, 3), number * 20, np.uint8))
    sheets = contact_sheets(tmp_path)
    assert [path.name for path in sheets] == ["sheet_1.png", "sheet_2.png"]
    first = (imread(sheets[0])[:, 0, 0] * 255).round()
    assert first[::4].tolist() == [number * 20 for number in range(8)]
    assert contact_sheets(tmp_path) == sheets  # the sheets themselves are no strips


def test_pictures_show_left_and_front_where_they_are():
    data = np.arange(24).reshape(2, 3, 4)
    affine = np.array([[0, -1.0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    turned = Volume(data.transpose(2, 0, 1)[:, ::-1], affine)
    assert np.array_equal(canonical(turned), data)
