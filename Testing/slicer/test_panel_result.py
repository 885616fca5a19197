"""Clicks on the real widgets: verdict, switch, table, review, export, log."""

from __future__ import annotations

import gc
import json
import re
import weakref

import numpy as np
import pytest
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.scene._result import RECORD
from Testing.slicer.helpers import add_result, add_scan, any_set, click_row, edit_segment, open_panel, row_of


@pytest.fixture(autouse=True)
def model_set(monkeypatch):
    monkeypatch.setattr("SynthSegPlusLib.panel._modelPart.ModelSet.find", lambda folder: any_set())


def pixel_at(label, opened):
    position = scene.centreOf(opened.panel.result.parcellation, label)
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    row, column = view.pixel_of_ras(list(position))
    return view.pixels()[row, column].astype(int)


def test_the_verdict_names_what_failed_in_words_and_numbers(opened):
    assert "Failed: 2 of 10 regions below 0.65" in opened.ui.verdictLabel.text
    assert "cortex 0.40, thalamus 0.40" in opened.ui.summaryLabel.text
    icv = opened.panel.result.icvMm3 / 1000
    assert f"{icv:.0f} mL" in opened.ui.summaryLabel.text
    assert "Not for diagnosis" in opened.ui.summaryLabel.text
    assert "Not for diagnosis" in opened.ui.noticeLabel.text


def test_what_to_beware_of_stands_below_the_verdict(opened):
    """A result can pass and yet hold volumes that its scan does not show."""
    result = opened.panel.result
    findings = [
        {"code": "one", "severity": "warning", "message": "Ventricles < brain.", "advice": "Look."},
        {"code": "two", "severity": "info", "message": "Nothing to beware of.", "advice": ""},
    ]
    assert "\u26a0" not in opened.ui.summaryLabel.text
    result.summary.SetAttribute(RECORD, json.dumps({**result.record, "findings": findings}))
    opened.panel.resultPart.show(result)
    assert "\u26a0 Ventricles &lt; brain. Look." in opened.ui.summaryLabel.text
    assert "Nothing to beware of" not in opened.ui.summaryLabel.text


def test_the_switch_recolours_views_and_table_and_explains_the_colours(opened, slicer_host):
    click_row(opened, 1035)
    slicer_host.process_events()
    assert np.abs(pixel_at(1035, opened) - scene.labelOf(1035).colour).max() <= 3
    opened.ui.qualityButton.click()
    slicer_host.process_events()
    assert np.abs(pixel_at(1035, opened) - scene.shade(0.40, 0.65)).max() <= 3
    assert "cortex" in opened.ui.legendLabel.text
    assert "not scored" in opened.ui.legendLabel.text
    icon = opened.ui.measuresTable.item(row_of(opened, 17), 0).icon().pixmap(12, 12).toImage()
    assert icon.pixelColor(5, 5).getRgb()[:3] == scene.shade(0.80, 0.65)
    opened.ui.anatomyButton.click()
    slicer_host.process_events()
    assert np.abs(pixel_at(1035, opened) - scene.labelOf(1035).colour).max() <= 3
    assert opened.parameters.colourBy.value == "anatomy"


def test_the_other_switch_chooses_the_labelmap(opened):
    layer = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    opened.ui.segmentationButton.click()
    assert layer.GetLabelVolumeID() == opened.panel.result.segmentation.GetID()
    opened.ui.parcellationButton.click()
    assert layer.GetLabelVolumeID() == opened.panel.result.parcellation.GetID()


def test_opacity_and_outline_act_at_once(opened):
    layer = slicer.app.layoutManager().sliceWidget("Red")
    opened.ui.opacitySlider.value = 0.25
    assert layer.mrmlSliceCompositeNode().GetLabelOpacity() == pytest.approx(0.25)
    opened.ui.outlineCheck.click()
    assert layer.mrmlSliceNode().GetUseLabelOutline()


@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.65, 1.0])
def test_the_strip_of_quality_colours_runs_from_end_to_end_and_breaks_at_the_threshold(slicer_host, threshold):
    from SynthSegPlusLib.panel._words import scale

    cells = re.findall(r'width="(\d+)%" bgcolor="(#\w+)"', scale(threshold))
    assert [int(width) for width, _ in cells] == [100 // len(cells)] * len(cells)
    assert sum(int(width) for width, _ in cells) == 100
    for index, (_, colour) in enumerate(cells):
        left, right = index / len(cells), (index + 1) / len(cells)
        assert colour == "#{:02x}{:02x}{:02x}".format(*scene.shade((index + 0.5) / len(cells), threshold))
        assert threshold < left + 1e-9 or threshold > right - 1e-9


def test_export_writes_to_the_folder_and_names_the_files(opened, tmp_path):
    opened.ui.exportButton.click()
    assert "Choose a folder" in opened.ui.exportedLabel.text
    opened.ui.exportFolderEdit.currentPath = str(tmp_path / "out")
    opened.ui.exportLabelmapsCheck.click()
    opened.ui.exportButton.click()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "T1_summary.csv", "T1_summary.json", "T1_volumes.csv"]
    assert "T1_volumes.csv" in opened.ui.exportedLabel.text


def test_an_export_says_when_segments_were_edited_and_only_then(opened, tmp_path):
    opened.ui.exportFolderEdit.currentPath = str(tmp_path)
    opened.ui.segmentsButton.click()
    opened.ui.exportButton.click()
    assert "edited" not in opened.ui.exportedLabel.text
    result = opened.panel.result
    edit_segment(result.parcellation, result.parcellationNode, 17, (slice(0, 4), slice(0, 3), slice(0, 2)))
    opened.ui.exportButton.click()
    assert "T1_parcellation_edited.csv" in opened.ui.exportedLabel.text
    assert "The segments were edited" in opened.ui.exportedLabel.text


def test_segments_and_surfaces_are_made_once(opened):
    opened.ui.segmentsButton.click()
    first = opened.panel.result.parcellationNode
    assert first.GetSegmentation().GetNumberOfSegments() > 32
    opened.ui.surfacesButton.click()
    assert opened.panel.result.parcellationNode is first
    assert first.GetSegmentation().ContainsRepresentation("Closed surface")


def test_segments_are_made_of_the_label_map_that_is_shown(opened):
    opened.ui.segmentationButton.click()
    opened.ui.surfacesButton.click()
    structures = opened.panel.result.segmentationNode
    assert structures.GetSegmentation().GetNumberOfSegments() == 32
    opened.ui.parcellationButton.click()
    opened.ui.surfacesButton.click()
    parcels = opened.panel.result.parcellationNode
    assert parcels.GetSegmentation().GetNumberOfSegments() > 32
    assert parcels.GetDisplayNode().GetVisibility3D()
    assert not structures.GetDisplayNode().GetVisibility3D()
    opened.ui.segmentationButton.click()
    opened.ui.surfacesButton.click()
    assert opened.panel.result.segmentationNode is structures
    assert structures.GetDisplayNode().GetVisibility3D()
    assert not parcels.GetDisplayNode().GetVisibility3D()


def test_segments_that_were_deleted_are_made_again(opened):
    opened.ui.segmentsButton.click()
    first = opened.panel.result.parcellationNode
    slicer.mrmlScene.RemoveNode(first)
    opened.ui.surfacesButton.click()
    again = opened.panel.result.parcellationNode
    assert again is not first
    assert slicer.mrmlScene.IsNodePresent(again)
    assert again.GetSegmentation().ContainsRepresentation("Closed surface")


def test_another_threshold_judges_the_shown_result_anew_without_a_run(opened, slicer_host):
    commands = len(opened.worker.commands)
    opened.ui.qualityButton.click()
    click_row(opened, 10)
    opened.ui.measuresTable.horizontalHeader().sectionClicked.emit(6)
    assert "as in the run" in opened.ui.judgedLabel.text
    opened.ui.judgeSpin.value = 0.3
    assert "Passed: all 10 regions at or above 0.30" in opened.ui.verdictLabel.text
    assert "Failed regions" not in opened.ui.summaryLabel.text
    assert "&lt; 0.30" in opened.ui.legendLabel.text
    assert "pass" in opened.ui.measuresTable.item(row_of(opened, 10), 6).text()
    icon = opened.ui.measuresTable.item(row_of(opened, 10), 0).icon().pixmap(12, 12).toImage()
    assert icon.pixelColor(5, 5).getRgb()[:3] == scene.shade(0.40, 0.3)
    assert opened.panel.table.selected == opened.panel.review.label == 10
    assert opened.parameters.threshold == 0.65
    assert len(opened.worker.commands) == commands
    assert any("pass at threshold 0.3" in line for line in opened.session.log)
    opened.ui.failedCheck.click()
    assert opened.panel.table.labels() == []
    opened.ui.judgedLabel.linkActivated.emit("run")
    assert opened.ui.judgeSpin.value == 0.65
    assert "Failed: 2 of 10 regions below 0.65" in opened.ui.verdictLabel.text
    assert "as in the run" in opened.ui.judgedLabel.text
    assert {10, 49} <= set(opened.panel.table.labels())


def test_a_result_without_scores_has_no_threshold(opened):
    opened.ui.qualityCheck.click()
    opened.apply()
    assert not opened.ui.judgeSpin.enabled
    assert opened.ui.judgedLabel.text == ""


def test_each_result_keeps_its_own_threshold(opened):
    opened.ui.judgeSpin.value = 0.3
    opened.choose(add_scan("T2"))
    opened.apply()
    assert opened.ui.judgeSpin.value == 0.65
    assert opened.panel.result.quality.threshold == 0.65
    opened.choose(slicer.util.getNode("T1"))
    assert opened.ui.judgeSpin.value == 0.3
    assert "Passed" in opened.ui.verdictLabel.text


def test_another_scan_shows_its_own_result_or_none(opened, slicer_host):
    other = add_scan("T2")
    opened.choose(other)
    assert not opened.ui.resultSection.visible
    opened.choose(slicer.util.getNode("T1"))
    assert opened.ui.resultSection.visible
    assert opened.panel.result.segmentation.GetName() == "T1 segmentation"


def test_a_deleted_result_disappears_from_the_panel(opened):
    slicer.mrmlScene.RemoveNode(opened.panel.result.segmentation)
    assert not opened.ui.resultSection.visible


def test_a_deleted_parcellation_is_offered_no_more_and_the_rest_stays(opened):
    click_row(opened, 17)
    slicer.mrmlScene.RemoveNode(opened.panel.result.parcellation)
    assert opened.panel.result.parcellation is None
    assert not opened.ui.parcellationButton.enabled
    assert opened.ui.segmentationButton.checked
    assert opened.ui.resultSection.visible
    assert opened.panel.table.selected == opened.panel.review.label == 17
    opened.ui.rejectButton.click()
    assert scene.decisionOf(opened.panel.result, 17) is scene.Decision.REJECT
    opened.ui.segmentsButton.click()
    assert opened.panel.result.segmentationNode.GetSegmentation().GetNumberOfSegments() == 32
    opened.choose(None)
    assert not opened.ui.applyButton.enabled


def test_a_deleted_quality_colour_table_leaves_the_colours_of_anatomy(opened):
    opened.ui.qualityButton.click()
    result = opened.panel.result
    slicer.mrmlScene.RemoveNode(result.qualityColours)
    assert not opened.ui.qualityButton.enabled
    assert opened.ui.anatomyButton.checked
    assert scene.colouringOf(opened.panel.result) == "anatomy"


def test_a_label_map_on_its_way_out_may_lose_its_display_first(opened):
    parcellation = opened.panel.result.parcellation
    slicer.mrmlScene.RemoveNode(parcellation.GetDisplayNode())
    slicer.mrmlScene.RemoveNode(parcellation)
    assert opened.panel.result.parcellation is None
    assert opened.ui.resultSection.visible


def test_a_result_deleted_among_other_nodes_at_once_disappears_from_the_panel(opened):
    nodes = slicer.mrmlScene
    nodes.StartState(nodes.BatchProcessState)
    for node in list(opened.panel.result):
        nodes.RemoveNode(node)
    nodes.EndState(nodes.BatchProcessState)
    assert opened.panel.result is None
    assert not opened.ui.resultSection.visible


def test_no_label_map_is_held_after_its_scene_was_closed(slicer_host, tmp_path):
    add_result(tmp_path)
    with open_panel(slicer_host) as opened:
        there_before = weakref.ref(opened.panel.result.segmentation)
        assert there_before() is not None
        slicer.mrmlScene.Clear(0)
        gc.collect()
        assert there_before() is None
        opened.choose(add_scan())
        of_a_run = weakref.ref(opened.apply().segmentation)
        assert of_a_run() is not None
        slicer.mrmlScene.Clear(0)
        gc.collect()
        assert of_a_run() is None


def test_a_loaded_bundle_shows_its_result_again(opened, slicer_host, tmp_path):
    opened.ui.qualityButton.click()
    path = str(tmp_path / "saved.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert not opened.ui.resultSection.visible
    slicer.util.loadScene(path)
    slicer_host.process_events()
    assert opened.parameters.inputVolume.GetName() == "T1"
    assert opened.ui.resultSection.visible
    assert "Failed: 2 of 10" in opened.ui.verdictLabel.text
    assert opened.ui.qualityButton.checked


def test_the_diagnostics_tell_versions_options_and_log_and_nothing_of_the_image(opened):
    opened.ui.copyButton.click()
    text = slicer.app.clipboard().text()
    for expected in ("SynthSegPlus: ", "Slicer: ", "model set: stand-in 1", '"mode": "robust"', "Done: fail"):
        assert expected in text


def test_the_log_is_written_when_its_section_is_open(opened):
    opened.ui.logSection.collapsed = False
    assert "Done: fail" in opened.ui.logText.toPlainText()
