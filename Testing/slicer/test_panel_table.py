"""Rows of the table of structures on the real widgets: choosing, sorting, filtering, reviewing."""

from __future__ import annotations

import pytest
import slicer

from SynthSegPlusLib import scene
from Testing.slicer.helpers import click_row, row_of


def press(opened, key):
    import qt

    for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
        qt.QApplication.sendEvent(opened.ui.measuresTable, qt.QKeyEvent(kind, key, qt.Qt.NoModifier))


def test_a_click_on_a_row_moves_all_slices_to_the_structure(opened):
    for label in (17, 53, 1022):
        click_row(opened, label)
        expected = scene.centreOf(opened.panel.result.parcellation, label)
        for name, axis in (("Red", 2), ("Yellow", 0), ("Green", 1)):
            view = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
            assert view.GetSliceToRAS().GetElement(axis, 3) == pytest.approx(expected[axis], abs=1e-6)


def test_the_arrow_keys_choose_a_structure_as_a_click_does(opened):
    import qt

    click_row(opened, 17)
    opened.ui.rejectButton.click()
    press(opened, qt.Qt.Key_Down)
    below = opened.panel.table.labels()[row_of(opened, 17) + 1]
    assert opened.panel.table.selected == opened.panel.review.label == below
    view = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    expected = scene.centreOf(opened.panel.result.parcellation, below)
    assert view.GetSliceToRAS().GetElement(2, 3) == pytest.approx(expected[2], abs=1e-6)
    opened.ui.acceptButton.click()
    assert scene.decisionOf(opened.panel.result, below) is scene.Decision.ACCEPT
    assert scene.decisionOf(opened.panel.result, 17) is scene.Decision.REJECT
    press(opened, qt.Qt.Key_Up)
    assert opened.panel.review.label == 17
    assert opened.ui.rejectButton.checked


def test_a_row_that_the_mouse_is_dragged_to_is_the_one_decided_on(opened):
    import qt

    table = opened.ui.measuresTable
    click_row(opened, 17)
    rows = [row_of(opened, 17), row_of(opened, 17) + 1]
    table.scrollToItem(table.item(rows[1], 0))
    places = [qt.QPointF(table.visualItemRect(table.item(row, 0)).center()) for row in rows]
    press, move, release = qt.QEvent.MouseButtonPress, qt.QEvent.MouseMove, qt.QEvent.MouseButtonRelease
    left, none = qt.Qt.LeftButton, qt.Qt.NoButton
    for kind, place, button, held in ((press, places[0], left, left), (move, places[1], none, left),
                                      (release, places[1], left, none)):
        event = qt.QMouseEvent(kind, place, place, button, held, qt.Qt.NoModifier)
        qt.QApplication.sendEvent(table.viewport(), event)
    highlighted = opened.panel.table.labels()[table.selectedItems()[0].row()]
    assert highlighted != 17
    assert opened.panel.table.selected == opened.panel.review.label == highlighted


def test_a_click_on_the_chosen_row_moves_the_slices_there_again(opened):
    click_row(opened, 17)
    view = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    there = view.GetSliceOffset()
    view.SetSliceOffset(there + 7.0)
    opened.ui.measuresTable.cellClicked.emit(row_of(opened, 17), 0)
    assert view.GetSliceOffset() == pytest.approx(there)


def test_sorting_moves_no_slice_and_chooses_nothing_else(opened):
    click_row(opened, 42)
    view = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    view.SetSliceOffset(1.0)
    opened.ui.measuresTable.horizontalHeader().sectionClicked.emit(2)
    assert view.GetSliceOffset() == 1.0
    assert opened.panel.table.selected == opened.panel.review.label == 42


def test_the_table_lists_every_structure_with_its_numbers(opened):
    table = opened.ui.measuresTable
    assert table.rowCount == 100
    texts = [table.item(row_of(opened, 17), column).text() for column in range(7)]
    measure = opened.panel.result.measures[17]
    assert texts == ["Hippocampus", "L", f"{measure.volume_mm3 / 1000:.2f}", f"{100 * measure.fraction_of_icv:.2f}",
                     "hippocampus", "0.80", "\u2713 pass"]
    assert table.item(row_of(opened, 11), 6).text() == "\u2013"
    assert "not scored" in table.item(row_of(opened, 11), 6).toolTip()
    assert table.item(row_of(opened, 11), 5).text() == ""


def test_failed_only_hides_what_passed_and_what_was_not_scored(opened):
    opened.ui.failedCheck.click()
    labels = set(opened.panel.table.labels())
    assert {3, 42, 10, 49, 1035} <= labels
    assert not labels & {17, 11, 4}
    opened.ui.failedCheck.click()
    assert len(opened.panel.table.labels()) == 100


def test_the_search_finds_names_sides_and_regions(opened):
    opened.ui.filterEdit.text = "hippocampus"
    assert opened.panel.table.labels() == [17, 53]
    opened.ui.filterEdit.text = "ctx-rh-insula"
    assert opened.panel.table.labels() == [2035]


def test_a_click_on_a_header_sorts_by_number_and_again_the_other_way(opened):
    header = opened.ui.measuresTable.horizontalHeader()
    header.sectionClicked.emit(2)
    volumes = [opened.panel.result.measures[label].volume_mm3 for label in opened.panel.table.labels()]
    assert volumes == sorted(volumes)
    header.sectionClicked.emit(2)
    volumes = [opened.panel.result.measures[label].volume_mm3 for label in opened.panel.table.labels()]
    assert volumes == sorted(volumes, reverse=True)
    header.sectionClicked.emit(5)
    first = opened.panel.result.measures[opened.panel.table.labels()[0]]
    assert first.qc_score is None
    click_row(opened, 42)
    assert opened.panel.review.label == 42


def test_the_reviewer_accepts_rejects_and_comments(opened):
    result = opened.panel.result
    assert not opened.ui.acceptButton.enabled
    click_row(opened, 17)
    opened.ui.rejectButton.click()
    assert scene.decisionOf(result, 17) is scene.Decision.REJECT
    assert opened.ui.measuresTable.item(row_of(opened, 17), 0).text() == "\u2715 Hippocampus"
    opened.ui.commentEdit.text = "cut off"
    opened.ui.commentEdit.editingFinished.emit()
    assert scene.commentOn(result, 17) == "cut off"
    click_row(opened, 53)
    assert opened.ui.commentEdit.text == ""
    assert not opened.ui.rejectButton.checked
    click_row(opened, 17)
    assert opened.ui.commentEdit.text == "cut off"
    assert opened.ui.rejectButton.checked
    opened.ui.rejectButton.click()
    assert scene.decisionOf(result, 17) is scene.Decision.NONE
    opened.ui.scanDecisionCombo.activated.emit(2)
    assert scene.decisionOf(result) is scene.Decision.REJECT


def test_a_decision_stands_before_a_name_that_may_be_cut_and_the_tip_tells_it_whole(opened):
    click_row(opened, 1026)
    opened.ui.acceptButton.click()
    opened.ui.commentEdit.text = "good & <clean>"
    opened.ui.commentEdit.editingFinished.emit()
    cells = [opened.ui.measuresTable.item(row_of(opened, 1026), column) for column in range(7)]
    assert cells[0].text() == "\u2713 Rostral anterior cingulate cortex"
    for cell in cells:
        assert "accepted" in cell.toolTip()
        assert "good &amp; &lt;clean&gt;" in cell.toolTip()
    opened.ui.measuresTable.horizontalHeader().sectionClicked.emit(2)
    assert "good &amp; &lt;clean&gt;" in opened.ui.measuresTable.item(row_of(opened, 1026), 0).toolTip()
    opened.ui.acceptButton.click()
    assert "accepted" not in opened.ui.measuresTable.item(row_of(opened, 1026), 0).toolTip()


def test_the_selection_follows_its_structure_when_the_rows_move(opened):
    click_row(opened, 42)
    for column in (2, 2, 5):
        opened.ui.measuresTable.horizontalHeader().sectionClicked.emit(column)
        assert opened.panel.table.selected == opened.panel.review.label == 42
    assert [item.row() for item in opened.ui.measuresTable.selectedItems()[:1]] == [row_of(opened, 42)]
