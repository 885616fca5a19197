"""Clicks on the real widgets: Apply, Cancel, and what goes wrong meanwhile."""

from __future__ import annotations

import pytest
import slicer

from SynthSegPlusLib import scene
from Testing.slicer.helpers import add_scan, any_set, node_names, open_panel


@pytest.fixture(autouse=True)
def model_set(monkeypatch):
    """A set with every role, as far as the panel looks."""
    monkeypatch.setattr("SynthSegPlusLib.panel._modelPart.ModelSet.find", lambda folder: any_set())


def test_without_a_scan_apply_waits_and_says_for_what(slicer_host):
    with open_panel(slicer_host) as opened:
        assert not opened.ui.applyButton.enabled
        assert "Choose a scan" in opened.ui.applyButton.toolTip
        assert "Load a brain scan" in opened.ui.foundLabel.text


def test_apply_makes_the_result_and_shows_it(slicer_host):
    node = add_scan()
    with open_panel(slicer_host) as opened:
        opened.choose(node)
        assert opened.ui.applyButton.enabled
        opened.ui.parcellationCheck.click()
        result = opened.apply()
        assert {n.GetName() for n in result} >= {"T1 segmentation", "T1 parcellation", "T1 volumes", "T1 summary"}
        assert opened.ui.resultSection.visible
        assert opened.ui.tableSection.visible
        assert scene.isShown(result)
        shown = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
        assert shown.GetBackgroundVolumeID() == node.GetID()
        assert shown.GetLabelVolumeID() == result.parcellation.GetID()


def test_progress_moves_while_the_worker_runs(slicer_host):
    add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        opened.ui.applyButton.click()
        assert opened.ui.cancelButton.enabled
        assert not opened.ui.applyButton.enabled
        assert not opened.ui.optionsSection.enabled
        assert opened.ui.progressBar.visible
        assert slicer_host.wait_until(lambda: "Preparing the scan" in opened.ui.stageLabel.text)
        opened.worker.hold = False
        assert slicer_host.wait_until(lambda: opened.ui.progressBar.value >= 50)
        opened.finish()
        assert not opened.ui.progressBar.visible
        assert opened.ui.applyButton.enabled
        assert "Done: T1 segmentation" in opened.ui.stageLabel.text


def test_cancel_leaves_no_node_and_apply_works_again(slicer_host):
    add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        before = node_names()
        opened.begin()
        opened.ui.cancelButton.click()
        opened.finish()
        assert node_names() == before
        assert "cancelled" in opened.ui.stageLabel.text
        assert opened.ui.optionsSection.enabled
        opened.worker.hold = False
        assert opened.apply() is not None


def test_the_options_that_are_ticked_reach_the_worker(slicer_host):
    add_scan()
    with open_panel(slicer_host) as opened:
        opened.ui.modeCombo.currentIndex = 2
        opened.ui.ctCheck.click()
        opened.ui.nativeCheck.click()
        opened.ui.thresholdSpin.value = 0.5
        opened.ui.threadsSpin.value = 2
        opened.apply()
        command = next(c for c in opened.worker.commands if c["kind"] == "segment")
        options = command["options"]
        chosen = [options[key] for key in ("mode", "ct", "grid", "qc_threshold")]
        assert chosen == ["fast", True, "native", 0.5]
        assert (options["quality"], options["parcellation"]) == (True, False)
        assert command["threads"] == 2


def test_an_error_of_the_engine_is_shown_and_the_panel_stays_usable(slicer_host):
    add_scan()
    message = "The run needs 9 GB of memory and 4 GB are free; close other programs."
    with open_panel(slicer_host, error=("MemoryShortage", message)) as opened:
        before = node_names()
        assert opened.apply() is None
        assert "close other programs" in opened.ui.stageLabel.text
        assert node_names() == before
        opened.worker.error = None
        assert opened.apply() is not None


def test_a_killed_worker_is_told_in_words_and_the_next_run_starts_another(slicer_host):
    add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        opened.begin()
        opened.worker.die("The worker process was ended by another program. Press Apply to run again.")
        opened.finish()
        assert "ended by another program" in opened.ui.stageLabel.text
        assert opened.apply() is not None


def test_closing_the_scene_during_a_run_breaks_nothing(slicer_host):
    add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        opened.begin()
        slicer.mrmlScene.Clear(0)
        opened.finish()
        assert not opened.ui.resultSection.visible
        assert scene.resultsIn(slicer.mrmlScene) == []
        add_scan("next")
        opened.choose(slicer.util.getNode("next"))
        opened.worker.hold = False
        assert opened.apply().segmentation.GetName() == "next segmentation"


def test_deleting_the_scan_during_a_run_is_told_by_name(slicer_host):
    node = add_scan("doomed")
    with open_panel(slicer_host, hold=True) as opened:
        opened.begin()
        slicer.mrmlScene.RemoveNode(node)
        opened.finish()
        assert "doomed" in opened.ui.stageLabel.text
        assert not opened.ui.applyButton.enabled


def test_a_second_apply_during_a_run_changes_nothing(slicer_host):
    add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        opened.begin()
        opened.panel.apply()
        sent = [c for c in opened.worker.commands if c["kind"] == "segment"]
        assert len(sent) == 1
        opened.worker.hold = False
        opened.finish()
        assert len(scene.resultsIn(slicer.mrmlScene)) == 1


def test_the_console_can_run_while_the_panel_shows_and_both_share_the_worker(slicer_host):
    node = add_scan()
    with open_panel(slicer_host) as opened:
        result = opened.logic.segment(node, mode="fast")
        assert opened.session.engine.worker is opened.worker
        assert opened.panel.result.summary is result.summary
        assert opened.ui.resultSection.visible
        assert opened.ui.applyButton.enabled
        assert opened.ui.optionsSection.enabled
        assert "Done: T1 segmentation" in opened.ui.stageLabel.text


def test_a_run_that_the_console_started_is_followed_to_its_result(slicer_host):
    node = add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        run = opened.logic.start(node, mode="fast")
        assert slicer_host.wait_until(lambda: opened.ui.cancelButton.enabled)
        assert not opened.ui.applyButton.enabled
        assert not opened.ui.optionsSection.enabled
        assert opened.ui.progressBar.visible
        assert "T1" in opened.ui.stageLabel.text
        assert "0:0" in opened.ui.stageLabel.text
        opened.worker.hold = False
        opened.finish()
        assert opened.panel.result.summary is run.result.summary
        assert opened.ui.resultSection.visible
        assert not opened.ui.progressBar.visible
        assert not opened.ui.cancelButton.enabled
        assert opened.ui.applyButton.enabled
        assert opened.ui.optionsSection.enabled
        assert "Done: T1 segmentation" in opened.ui.stageLabel.text
        assert opened.apply() is not None


def test_a_run_that_the_console_started_can_be_cancelled_in_the_panel(slicer_host):
    node = add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        run = opened.logic.start(node, mode="fast")
        assert slicer_host.wait_until(lambda: opened.ui.cancelButton.enabled)
        opened.ui.cancelButton.click()
        opened.finish()
        assert run.error is not None
        assert "cancelled" in opened.ui.stageLabel.text
        assert opened.ui.applyButton.enabled


def test_console_runs_one_after_the_other_are_each_told_by_name(slicer_host):
    first, second = add_scan("first"), add_scan("second")
    with open_panel(slicer_host, hold=True) as opened:
        opened.logic.start(first, mode="fast", onDone=lambda nodes: opened.logic.start(second, mode="fast"))
        assert slicer_host.wait_until(lambda: "first" in opened.ui.stageLabel.text)
        seen = []
        opened.session.listeners.append(lambda: seen.append(opened.ui.stageLabel.text))
        opened.worker.hold = False
        opened.finish()
        opened.session.listeners.pop()
        assert any("second" in text and "Done" not in text for text in seen)
        assert "Done: second segmentation" in opened.ui.stageLabel.text


def test_a_result_of_a_scan_that_is_no_longer_chosen_is_told_and_changes_nothing_in_sight(slicer_host):
    scan, other = add_scan("A"), add_scan("B")
    with open_panel(slicer_host, hold=True) as opened:
        opened.ui.parcellationCheck.click()
        opened.choose(scan)
        opened.begin()
        opened.choose(other)
        opened.ui.optionsSection.collapsed = False
        opened.worker.hold = False
        opened.finish()
        assert "Done: A segmentation. Choose A to see it." in opened.ui.stageLabel.text
        assert not opened.ui.resultSection.visible
        assert not opened.ui.optionsSection.collapsed
        assert opened.ui.applyButton.enabled
        assert opened.parameters.shown.value == "segmentation"
        assert not scene.isShown(scene.resultsIn(slicer.mrmlScene, scan)[0])
        opened.choose(scan)
        assert opened.panel.result.segmentation.GetName() == "A segmentation"
        assert opened.ui.resultSection.visible


def test_the_result_of_another_scan_brings_no_older_result_into_the_views(slicer_host):
    scan, other = add_scan("A"), add_scan("B")
    with open_panel(slicer_host) as opened:
        opened.choose(other)
        older = opened.apply()
        slicer.util.setSliceViewerLayers(label=None)
        opened.choose(scan)
        opened.ui.applyButton.click()
        opened.choose(other)
        opened.finish()
        assert opened.panel.result.summary is older.summary
        assert not scene.isShown(older)


def test_a_row_without_a_voxel_leaves_the_progress_of_a_run_in_sight(slicer_host, monkeypatch):
    node = add_scan()
    with open_panel(slicer_host) as opened:
        opened.choose(node)
        opened.apply()
        monkeypatch.setattr("SynthSegPlusLib.panel._panel.jumpTo", lambda result, label: None)
        opened.ui.applyButton.click()
        opened.panel.goTo(17)
        assert opened.ui.cancelButton.enabled
        assert opened.ui.progressBar.visible
        opened.finish()
        opened.panel.goTo(17)
        assert "no voxel" in opened.ui.stageLabel.text


def test_the_scan_is_described_checked_and_the_advice_can_be_followed(slicer_host):
    node = add_scan()
    with open_panel(slicer_host) as opened:
        opened.ui.modeCombo.currentIndex = 2
        opened.choose(node)
        assert "66 x 24 x 20 voxels of 1.00 mm" in opened.ui.foundLabel.text
        assert slicer_host.wait_until(lambda: "Slices are 5.0 mm thick" in opened.ui.foundLabel.text)
        assert "Advised mode" in opened.ui.foundLabel.text
        opened.ui.foundLabel.linkActivated.emit("robust")
        assert opened.parameters.mode.value == "robust"


def test_leaving_the_module_and_closing_it_ends_worker_and_timers(slicer_host):
    add_scan()
    with open_panel(slicer_host) as opened:
        opened.apply()
        worker, session = opened.worker, opened.session
    assert worker.closed == 1
    assert session.listeners == []
    assert not session._timer.isActive()
    assert not slicer.mrmlScene.HasObserver("NodeRemovedEvent") or opened.widget.Observations == []
    add_scan("after")
    slicer.mrmlScene.Clear(0)


@pytest.mark.parametrize("cycles", [10, pytest.param(100, marks=pytest.mark.long)])
def test_start_and_cancel_again_and_again_by_clicks_leaves_nothing(slicer_host, cycles, tmp_path):
    add_scan()
    with open_panel(slicer_host, hold=True) as opened:
        before = node_names()
        observed = len(opened.widget.Observations)
        for _ in range(cycles):
            opened.ui.applyButton.click()
            slicer_host.process_events(20)
            opened.ui.cancelButton.click()
            opened.finish()
        assert node_names() == before
        assert len(opened.widget.Observations) == observed
        assert len(opened.workers) <= 2
        assert opened.session.listeners == [opened.panel._tick]
