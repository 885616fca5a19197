"""Quality colours say the verdict to every eye, and never a verdict that was not given."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import slicer

from SynthSegPlusLib.contract.measures import MeasuresTable, StructureMeasure, Verdict
from SynthSegPlusLib.scene import NodeBatch, allLabels, shade
from SynthSegPlusLib.scene._colours import NOT_SCORED, anatomyTable, qualityTable

# Linear-RGB matrices of full dichromacy (Machado, Oliveira and Fernandes 2009, severity 1.0).
DICHROMATS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
NOTICEABLE = 20.0
"""Distance in CIELAB that is far beyond a just noticeable difference (2.3)."""


def seen(colour: tuple[int, int, int], matrix: list[list[float]]) -> np.ndarray:
    """CIELAB coordinates of an sRGB colour as a dichromat sees it."""
    encoded = np.array(colour) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0.0, 1.0)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("threshold", [0.3, 0.65, 0.9])
def test_the_hue_changes_at_the_threshold_and_nowhere_else(threshold):
    passes = [colorsys.rgb_to_hsv(*np.array(shade(s, threshold)) / 255)[0] for s in np.linspace(threshold, 1, 20)]
    fails = [colorsys.rgb_to_hsv(*np.array(shade(s, threshold)) / 255)[0]
             for s in np.linspace(0, threshold, 20, endpoint=False)]
    assert 0.5 < min(passes) <= max(passes) < 0.65
    assert 0.0 < min(fails) <= max(fails) < 0.12


@pytest.mark.parametrize("vision", DICHROMATS)
def test_the_two_sides_of_the_threshold_differ_for_every_kind_of_colour_vision(vision):
    matrix = DICHROMATS[vision]
    just_failed, just_passed = seen(shade(0.649, 0.65), matrix), seen(shade(0.65, 0.65), matrix)
    assert np.linalg.norm(just_failed - just_passed) > NOTICEABLE
    for score in (0.0, 0.3, 0.64):
        for other in (0.65, 0.8, 1.0):
            assert np.linalg.norm(seen(shade(score, 0.65), matrix) - seen(shade(other, 0.65), matrix)) > NOTICEABLE


def test_a_better_score_is_a_darker_blue_and_a_worse_one_a_darker_vermilion():
    passes = [sum(shade(score, 0.65)) for score in (0.65, 0.75, 0.85, 1.0)]
    fails = [sum(shade(score, 0.65)) for score in (0.64, 0.4, 0.2, 0.0)]
    assert passes == sorted(passes, reverse=True)
    assert fails == sorted(fails, reverse=True)
    assert len(set(passes)) == len(set(fails)) == 4


@pytest.mark.parametrize("score", [None, float("nan")])
def test_what_is_not_scored_is_grey(score):
    assert shade(score, 0.65) == NOT_SCORED
    assert len(set(shade(score, 0.65))) == 1


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_at_the_ends_of_the_scale_work(threshold):
    assert shade(1.0, threshold) != NOT_SCORED
    assert shade(0.0, threshold) != NOT_SCORED


def colour(node, value):
    found = [0.0] * 4
    node.GetColor(value, found)
    return tuple(round(255 * part) for part in found[:3])


def test_the_anatomy_table_names_and_colours_every_label_and_is_made_once(slicer_host):
    with NodeBatch(slicer.mrmlScene) as batch:
        node = anatomyTable(batch)
        assert anatomyTable(batch) is node
    assert node.GetNumberOfColors() == 2036
    for label in allLabels():
        assert node.GetColorName(label.value) == label.title
        assert colour(node, label.value) == label.colour
    assert not node.GetColorName(6)


def test_all_parcels_carry_the_score_of_their_cortex_and_unscored_structures_are_grey(slicer_host):
    rows = (
        StructureMeasure(3, "left cerebral cortex", "left", 1.0, 0.1, "cortex", 0.5, Verdict.FAIL),
        StructureMeasure(11, "left caudate", "left", 1.0, 0.1),
        StructureMeasure(17, "left hippocampus", "left", 1.0, 0.1, "hippocampus", 0.8, Verdict.PASS),
    )
    with NodeBatch(slicer.mrmlScene) as batch:
        node = qualityTable(batch, "quality", MeasuresTable(rows), 0.65)
    for label in allLabels():
        if label.value > 1000 and label.hemisphere == "left":
            assert colour(node, label.value) == shade(0.5, 0.65)
            assert node.GetColorName(label.value) == f"{label.title}: cortex 0.50 fail"
    assert colour(node, 17) == shade(0.8, 0.65)
    assert node.GetColorName(17) == "Left hippocampus: hippocampus 0.80 pass"
    assert colour(node, 11) == NOT_SCORED
    assert node.GetColorName(11) == "Left caudate nucleus: not scored"
