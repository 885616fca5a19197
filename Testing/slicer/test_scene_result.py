"""Results as nodes: names, values, geometry, place, and that a failure leaves nothing."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.contract.exchange import read_array_volume
from SynthSegPlusLib.scene._tables import readSummary
from Testing.slicer.helpers import (
    AXIAL,
    LEFT_HANDED,
    OBLIQUE,
    add_bend,
    add_result,
    add_scaling,
    add_scan,
    add_transform,
    node_names,
    reply_for,
)


def test_a_result_has_four_nodes_named_after_the_scan(slicer_host, tmp_path):
    result = add_result(tmp_path, add_scan("Head 7"))
    assert [node.GetName() for node in (result.segmentation, result.parcellation, result.volumes, result.summary)] == [
        "Head 7 segmentation", "Head 7 parcellation", "Head 7 volumes", "Head 7 summary"]
    assert result.segmentation.IsA("vtkMRMLLabelMapVolumeNode")
    assert result.parcellation.IsA("vtkMRMLLabelMapVolumeNode")
    assert result.volumes.IsA("vtkMRMLTableNode")
    assert result.summary.IsA("vtkMRMLTableNode")


def test_without_parcels_and_quality_there_is_no_node_for_them(slicer_host, tmp_path):
    result = add_result(tmp_path, parcellation=False, quality=False)
    assert result.parcellation is None
    assert result.qualityColours is None
    assert result.quality is None
    assert result.verdict == "not scored"
    assert len(result.labelmaps) == 1


@pytest.mark.parametrize("affine", [AXIAL, OBLIQUE, LEFT_HANDED], ids=["axial", "oblique", "left-handed"])
def test_labels_and_geometry_are_those_of_the_reply(slicer_host, tmp_path, affine):
    node = add_scan(affine=affine)
    reply = reply_for(node, tmp_path, parcellation=True)
    result = scene.makeNodes(node, reply)
    for labelmap, path in ((result.segmentation, reply.labels), (result.parcellation, reply.parcellation)):
        labels, made = scene.arrayAndAffine(labelmap)
        expected, expected_affine = read_array_volume(path)
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_allclose(made, expected_affine, atol=1e-6)
    assert labels.max() == 2035
    assert labels.dtype == np.int16


def test_a_scan_under_a_transform_keeps_its_own_grid_and_the_labels_follow_the_transform(slicer_host, tmp_path):
    node = add_scan(affine=OBLIQUE)
    matrix = add_transform(node)
    result = add_result(tmp_path, node)
    for labelmap in result.labelmaps:
        np.testing.assert_allclose(scene.affineOf(labelmap), OBLIQUE, atol=1e-6)
        assert labelmap.GetTransformNodeID() == node.GetTransformNodeID()
    labels, affine = scene.arrayAndAffine(result.segmentation)
    inside = np.argwhere(labels == 17)
    nearest = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))]
    expected = (matrix @ affine @ [*nearest, 1])[:3]
    np.testing.assert_allclose(scene.centreOf(result.segmentation, 17), expected, atol=1e-6)


def test_a_scan_under_a_non_linear_transform_is_measured_without_it_and_the_result_warns(slicer_host, tmp_path):
    node = add_scan()
    add_bend(node)
    result = add_result(tmp_path, node)
    (finding,) = result.record["findings"]
    assert (finding["code"], finding["severity"]) == ("non-linear-transform", "warning")
    assert "Harden the transform first" in finding["advice"]
    assert "measured without it" in readSummary(result.summary, "finding non-linear-transform")


def test_a_linear_transform_below_a_non_linear_one_warns_as_well(slicer_host):
    node = add_scan()
    add_transform(node)
    add_bend(node.GetParentTransformNode())
    assert [finding.code for finding in scene.transformFindings(node)] == ["non-linear-transform"]


def test_a_transform_that_scales_is_told_with_its_factor_and_one_that_only_moves_is_not(slicer_host, tmp_path):
    node = add_scan()
    assert scene.transformFindings(node) == []
    add_transform(node)
    assert scene.transformFindings(node) == []
    add_scaling(node, 1.1, 1.0, 1.0)
    result = add_result(tmp_path, node)
    assert "volumes times 1.1)" in readSummary(result.summary, "finding scaling-transform")
    assert result.record["findings"][0]["severity"] == "info"


def test_nodes_lie_beside_the_scan_in_the_subject_hierarchy(slicer_host, tmp_path):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    node = add_scan()
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    result = add_result(tmp_path, node)
    for made in (result.segmentation, result.parcellation, result.volumes, result.summary):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(made)) == folder


def test_tables_give_back_the_measures_with_units(slicer_host, tmp_path):
    node = add_scan()
    reply = reply_for(node, tmp_path, ("thalamus",), parcellation=True, quality=True)
    result = scene.makeNodes(node, reply)
    assert result.measures.to_rows() == reply.measures.to_rows()
    assert result.quality == reply.quality
    assert result.icvMm3 == reply.icv_mm3
    assert result.record == dict(reply.record)
    assert result.volumes.GetColumnUnitLabel("volume_mm3") == "mm3"
    assert result.volumes.GetNumberOfRows() == 32 + 68


def test_nan_and_missing_scores_survive_the_table(slicer_host, tmp_path):
    result = add_result(tmp_path, quality=False)
    assert {row.qc_score for row in result.measures} == {None}
    assert {str(row.verdict) for row in result.measures} == {"not scored"}


def test_a_failure_half_way_leaves_the_scene_as_it_was(slicer_host, tmp_path, monkeypatch):
    node = add_scan()
    reply = reply_for(node, tmp_path, quality=True, parcellation=True)
    before = node_names()
    monkeypatch.setattr("SynthSegPlusLib.scene._result.placeBeside", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scene.makeNodes(node, reply)
    assert node_names() == before
    assert not slicer.mrmlScene.IsBatchProcessing()


def test_a_lost_exchange_file_is_an_error_before_any_node_is_made(slicer_host, tmp_path):
    node = add_scan()
    reply = reply_for(node, tmp_path, parcellation=True)
    before = node_names()
    (tmp_path / "outputs" / "parcels.npy").unlink()
    with pytest.raises(InputError, match="run the scan again"):
        scene.makeNodes(node, reply)
    assert node_names() == before


def test_a_second_result_of_a_scan_gets_its_own_nodes_and_is_the_newest(slicer_host, tmp_path):
    node = add_scan()
    first, second = add_result(tmp_path, node), add_result(tmp_path, node, failing=())
    assert second.segmentation is not first.segmentation
    assert second.anatomyColours is first.anatomyColours
    found = scene.resultsIn(slicer.mrmlScene, node)
    assert [result.summary.GetID() for result in found] == [first.summary.GetID(), second.summary.GetID()]
    assert scene.resultsIn(slicer.mrmlScene, add_scan("other")) == []


def test_a_result_whose_nodes_were_deleted_is_no_result(slicer_host, tmp_path):
    result = add_result(tmp_path)
    slicer.mrmlScene.RemoveNode(result.segmentation)
    assert scene.resultOf(result.summary) is None


def test_a_volume_without_an_image_or_with_colours_is_refused_in_words(slicer_host):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(InputError, match="holds no image"):
        scene.arrayAndAffine(empty)
    colours = slicer.util.addVolumeFromArray(
        np.zeros((3, 3, 3, 3), np.uint8), None, "rgb", "vtkMRMLVectorVolumeNode")
    with pytest.raises(InputError, match="3 values a voxel"):
        scene.arrayAndAffine(colours)


def test_a_bundle_brings_back_labels_colours_tables_references_review_and_segments(slicer_host, tmp_path):
    result = add_result(tmp_path, add_scan("T1", OBLIQUE))
    scene.makeSegmentation(result)
    scene.colourBy(result, "quality")
    scene.decide(result, scene.Decision.REJECT, 17)
    scene.comment(result, "too small", 17)
    scene.decide(result, scene.Decision.ACCEPT)
    labels, affine = (part.copy() for part in scene.arrayAndAffine(result.parcellation))
    rows, quality, record = result.measures.to_rows(), result.quality, result.record
    path = str(tmp_path / "saved.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert scene.resultsIn(slicer.mrmlScene) == []
    slicer.util.loadScene(path)

    (loaded,) = scene.resultsIn(slicer.mrmlScene)
    assert loaded.input.GetName() == "T1"
    found, found_affine = scene.arrayAndAffine(loaded.parcellation)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_allclose(found_affine, affine, atol=1e-4)
    # Slicer writes numbers of tables with six digits.
    for found_row, row in zip(loaded.measures.to_rows(), rows, strict=True):
        numbers = {key: pytest.approx(value, rel=1e-5) for key, value in row.items() if isinstance(value, float)}
        assert found_row == {**row, **numbers}
    assert loaded.quality == quality
    assert loaded.record == record
    assert scene.colouringOf(loaded) == "quality"
    assert loaded.qualityColours.GetColorName(1035) == "Left insula: cortex 0.40 fail"
    assert loaded.anatomyColours.GetColorName(17) == "Left hippocampus"
    assert scene.decisionOf(loaded, 17) is scene.Decision.REJECT
    assert scene.commentOn(loaded, 17) == "too small"
    assert scene.decisionOf(loaded) is scene.Decision.ACCEPT
    assert loaded.segmentationNode.GetSegmentation().GetNumberOfSegments() == 32
    assert loaded.volumes.GetColumnUnitLabel("volume_mm3") == "mm3"
