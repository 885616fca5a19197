"""Showing, jumping, deciding and exporting."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.errors import OutputError
from Testing.slicer.helpers import LEFT_HANDED, OBLIQUE, add_bend, add_result, add_scan, add_transform, edit_segment


def pixel(host, view, position):
    """Colour of a slice view where it shows a point in RAS."""
    shown = slicer.app.layoutManager().sliceWidget(view).sliceView()
    row, column = shown.pixel_of_ras(list(position))
    return tuple(int(part) for part in shown.pixels()[row, column])


def pixels_of(label):
    """How many pixels of the axial view have a label's colour."""
    seen = slicer.app.layoutManager().sliceWidget("Red").sliceView().pixels().astype(int)
    return int((np.abs(seen - scene.labelOf(label).colour).max(axis=2) <= 3).sum())


def close(colour, other, tolerance=3):
    return np.abs(np.array(colour) - np.array(other)).max() <= tolerance


@pytest.fixture
def shown(slicer_host, tmp_path):
    """A result with a failed cortex in the views, opaque, so that pixels have the table's own colours."""
    result = add_result(tmp_path, failing=("cortex", "thalamus"))
    scene.showInSlices(result, "segmentation", opacity=1.0)
    slicer.util.resetSliceViews()
    return result


@pytest.mark.parametrize("view", ["Red", "Yellow", "Green"])
@pytest.mark.parametrize(("label", "score"), [(3, 0.40), (17, 0.80), (11, None)])
def test_the_switch_changes_what_the_slice_views_show(shown, slicer_host, view, label, score):
    position = scene.jumpTo(shown, label)
    slicer_host.process_events()
    assert close(pixel(slicer_host, view, position), scene.labelOf(label).colour)
    assert scene.colourBy(shown, "quality")
    assert close(pixel(slicer_host, view, position), scene.shade(score, 0.65))
    assert scene.colourBy(shown, "anatomy")
    assert close(pixel(slicer_host, view, position), scene.labelOf(label).colour)


def test_the_switch_colours_both_labelmaps(shown, slicer_host):
    scene.colourBy(shown, "quality")
    scene.showInSlices(shown, "parcellation", opacity=1.0)
    position = scene.jumpTo(shown, 1035)
    slicer_host.process_events()
    assert close(pixel(slicer_host, "Red", position), scene.shade(0.40, 0.65))
    scene.colourBy(shown, "anatomy")
    assert close(pixel(slicer_host, "Red", position), scene.labelOf(1035).colour)


def test_a_result_without_quality_stays_with_anatomy(slicer_host, tmp_path):
    result = add_result(tmp_path, quality=False)
    assert not scene.colourBy(result, "quality")
    assert scene.colouringOf(result) == "anatomy"


def test_opacity_and_outline_reach_the_views(shown, slicer_host):
    labels, affine = (part.copy() for part in scene.arrayAndAffine(shown.segmentation))
    labels[:] = 0
    labels[10:56, 4:20, 4:16] = 17  # large, so that an outline leaves an inside at any size of the view
    scene.fillLabelmap(shown.segmentation, labels, affine)
    position = scene.jumpTo(shown, 17)
    slicer_host.process_events()
    scene.setLook(slicer.mrmlScene, 0.0, False)
    background = pixel(slicer_host, "Red", position)
    assert len(set(background)) == 1
    scene.setLook(slicer.mrmlScene, 1.0, False)
    assert close(pixel(slicer_host, "Red", position), scene.labelOf(17).colour)
    filled = pixels_of(17)
    scene.setLook(slicer.mrmlScene, 1.0, True)
    assert 0 < pixels_of(17) < 0.8 * filled
    assert all(view.GetUseLabelOutline() == 1 for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"))


@pytest.mark.parametrize("affine", [OBLIQUE, LEFT_HANDED])
def test_a_jump_puts_a_voxel_of_the_structure_into_all_three_slices(slicer_host, tmp_path, affine):
    node = add_scan(affine=affine)
    matrix = add_transform(node)
    result = add_result(tmp_path, node)
    position = scene.jumpTo(result, 42)
    labels, ijk_to_ras = scene.arrayAndAffine(result.segmentation)
    voxel = np.linalg.inv(matrix @ ijk_to_ras) @ [*position, 1]
    assert labels[tuple(np.round(voxel[:3]).astype(int))] == 42
    for name, axis in (("Red", 2), ("Yellow", 0), ("Green", 1)):
        view = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        assert view.GetSliceToRAS().GetElement(axis, 3) == pytest.approx(position[axis], abs=1e-6)


def test_a_structure_that_is_absent_moves_nothing(slicer_host, tmp_path):
    result = add_result(tmp_path, parcellation=False)
    view = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    before = view.GetSliceToRAS().GetElement(2, 3)
    assert scene.jumpTo(result, 1035) is None
    assert view.GetSliceToRAS().GetElement(2, 3) == before


def test_the_jump_to_a_curved_structure_lands_on_it_and_not_in_its_middle(slicer_host, tmp_path):
    result = add_result(tmp_path)
    ring = np.zeros((20, 20, 20), np.int16)
    ring[5:15, 5:15, 10] = 3
    ring[8:12, 8:12, 10] = 0
    scene.fillLabelmap(result.segmentation, ring, np.eye(4))
    position = np.round(scene.centreOf(result.segmentation, 3)).astype(int)
    assert ring[tuple(position)] == 3


def test_decisions_and_comments_are_kept_per_structure_and_for_the_scan(slicer_host, tmp_path):
    result = add_result(tmp_path)
    assert scene.decisionOf(result, 17) is scene.Decision.NONE
    scene.decide(result, scene.Decision.REJECT, 17)
    scene.comment(result, "two\nlines\tof  text", 17)
    scene.decide(result, scene.Decision.ACCEPT)
    scene.comment(result, "looks good")
    assert scene.decisionOf(result, 17) is scene.Decision.REJECT
    assert scene.commentOn(result, 17) == "two lines of text"
    assert scene.decisionOf(result, 53) is scene.Decision.NONE
    assert scene.decisionOf(result) is scene.Decision.ACCEPT
    assert scene.commentOn(result) == "looks good"
    with pytest.raises(KeyError):
        scene.decide(result, scene.Decision.ACCEPT, 9999)


def test_an_export_holds_the_measures_the_review_the_record_and_the_labels(slicer_host, tmp_path):
    result = add_result(tmp_path, add_scan("T1 A/B", OBLIQUE))
    scene.decide(result, scene.Decision.REJECT, 17)
    scene.comment(result, 'blurred, "ghost"', 17)
    scene.decide(result, scene.Decision.REJECT)
    written = scene.exportResult(result, tmp_path / "new" / "folder")
    assert [path.name for path in written] == [
        "T1_A_B_volumes.csv", "T1_A_B_summary.csv", "T1_A_B_summary.json", "T1_A_B_segmentation.nii.gz",
        "T1_A_B_parcellation.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(p.name for p in written)
    with written[0].open(encoding="utf-8", newline="") as stream:
        rows = {int(row["label"]): row for row in csv.DictReader(stream)}
    assert rows[17]["decision"] == "reject"
    assert rows[17]["comment"] == 'blurred, "ghost"'
    assert float(rows[17]["volume_mm3"]) == result.measures[17].volume_mm3
    assert rows[11]["qc_score"] == ""
    assert rows[11]["verdict"] == "not scored"
    with written[1].open(encoding="utf-8", newline="") as stream:
        summary = {row["measure"]: row["value"] for row in csv.DictReader(stream)}
    assert summary["decision"] == "reject"
    assert summary["verdict"] == "fail"
    assert json.loads(written[2].read_text()) == result.record


def test_exported_labels_lie_where_the_nodes_lie(slicer_host, tmp_path):
    result = add_result(tmp_path, add_scan(affine=OBLIQUE))
    path = next(path for path in scene.exportResult(result, tmp_path / "out") if "segmentation" in path.name)
    image = SimpleITK.ReadImage(str(path))
    labels, affine = scene.arrayAndAffine(result.segmentation)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), labels)
    for index in ((0, 0, 0), (3, 5, 7)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * [-1, -1, 1], (affine @ [*index, 1])[:3], atol=1e-3)


def test_an_export_writes_only_what_was_asked_for(slicer_host, tmp_path):
    result = add_result(tmp_path)
    written = scene.exportResult(result, tmp_path / "out", tables=False, record=True, labelmaps=False)
    assert [path.suffix for path in written] == [".json"]


def test_an_export_that_fails_says_where_and_leaves_no_partial_file(slicer_host, tmp_path, monkeypatch):
    result = add_result(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another folder"):
        scene.exportResult(result, tmp_path / "file")
    monkeypatch.setattr("SynthSegPlusLib.scene._export.os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OutputError, match="full"):
        scene.exportResult(result, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


CORNER = (slice(0, 4), slice(0, 3), slice(0, 2))
"""Voxels without a label."""


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return {int(row["label"]): row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("move", [lambda node: None, add_transform, add_bend], ids=["bare", "linear", "bent"])
def test_segments_that_nobody_edited_add_nothing_to_an_export(slicer_host, tmp_path, move):
    node = add_scan(affine=OBLIQUE)
    move(node)
    result = add_result(tmp_path, node)
    for which in ("segmentation", "parcellation"):
        scene.makeSegmentation(result, which)
    assert not any(scene.ofEdits(path) for path in scene.exportResult(result, tmp_path / "out"))


@pytest.mark.parametrize("reload", [False, True], ids=["at once", "after a save and a load"])
def test_edited_segments_are_exported_beside_the_untouched_result(slicer_host, tmp_path, reload):
    node = add_scan(affine=OBLIQUE)
    add_transform(node)
    result = add_result(tmp_path, node)
    scene.makeSegmentation(result, "parcellation")
    edit_segment(result.segmentation, scene.makeSegmentation(result), 17, CORNER)
    if reload:
        assert slicer.util.saveScene(str(tmp_path / "saved.mrb"))
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(str(tmp_path / "saved.mrb"))
        (result,) = scene.resultsIn(slicer.mrmlScene)
    written = scene.exportResult(result, tmp_path / "out")
    assert [path.name for path in written if scene.ofEdits(path)] == [
        "T1_segmentation_edited.csv", "T1_segmentation_edited.nii.gz"]
    untouched, affine = scene.arrayAndAffine(result.segmentation)
    expected = untouched.copy()
    expected[CORNER] = 17
    (whole,) = (path for path in written if path.name == "T1_segmentation.nii.gz")
    for path, labels in ((whole, untouched), (written[-1], expected)):
        image = SimpleITK.ReadImage(str(path))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), labels)
    assert np.array(image.GetOrigin()) * [-1, -1, 1] == pytest.approx(affine[:3, 3], abs=1e-3)
    rows, count = rows_of(written[-2]), int((expected == 17).sum())
    assert (rows[17]["voxels"], rows[17]["edited"]) == (str(count), "yes")
    assert float(rows[17]["volume_mm3"]) == pytest.approx(count * 2.0, rel=1e-4)
    assert {value for value, row in rows.items() if row["edited"] == "yes"} == {17}


def test_segments_that_were_deleted_added_or_painted_over_are_edits(slicer_host, tmp_path):
    result = add_result(tmp_path, parcellation=False)
    node = scene.makeSegmentation(result)
    segmentation = node.GetSegmentation()
    segmentation.RemoveSegment(segmentation.GetSegmentIdBySegmentName(scene.labelOf(53).title))
    lesion = np.zeros(slicer.util.arrayFromVolume(result.segmentation).shape, np.uint8)
    lesion[:2, :3, :4] = 1
    added = segmentation.AddEmptySegment("", "Lesion")
    slicer.util.updateSegmentBinaryLabelmapFromArray(lesion, node, added, result.segmentation)
    table, _ = (path for path in scene.exportResult(result, tmp_path / "out") if scene.ofEdits(path))
    rows = rows_of(table)
    assert (rows[53]["voxels"], rows[53]["edited"]) == ("0", "yes")
    assert (rows[30001]["name"], rows[30001]["voxels"]) == ("Lesion", "24")
    segmentation.RemoveAllSegments()
    edited = [path for path in scene.exportResult(result, tmp_path / "out", tables=False) if scene.ofEdits(path)]
    assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(edited[0]))).max() == 0


def test_an_edit_that_was_taken_back_is_none(slicer_host, tmp_path):
    result = add_result(tmp_path)
    node = scene.makeSegmentation(result)
    segmentation = node.GetSegmentation()
    identifier = segmentation.GetSegmentIdBySegmentName(scene.labelOf(17).title)
    before = slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, result.segmentation).copy()
    edit_segment(result.segmentation, node, 17, CORNER)
    slicer.util.updateSegmentBinaryLabelmapFromArray(before, node, identifier, result.segmentation)
    assert not any(scene.ofEdits(path) for path in scene.exportResult(result, tmp_path / "out"))
