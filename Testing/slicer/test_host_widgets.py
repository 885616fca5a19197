"""The stand-ins behave as CTK's and Slicer's documentation say of their counterparts."""

from __future__ import annotations

import pytest


@pytest.fixture
def qt(slicer_host):
    import qt

    return qt


@pytest.fixture
def ctk(slicer_host):
    import ctk

    return ctk


@pytest.fixture
def combo(slicer_host):
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    return box


def add_volume(name: str, kind: str = "vtkMRMLScalarVolumeNode"):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass(kind, name)


# ---- ctk ------------------------------------------------------------------------------------------------


def test_a_collapsible_button_hides_what_is_below_and_shows_it_again(qt, ctk):
    button, heard = ctk.ctkCollapsibleButton("Inputs"), []
    layout = qt.QVBoxLayout(button)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden by its owner")
    layout.addWidget(shown)
    layout.addWidget(hidden)
    hidden.hide()
    button.connect("contentsCollapsed(bool)", heard.append)
    button.show()
    button.collapsed = True
    assert not shown.visible
    assert button.checked is False
    button.collapsed = False
    assert shown.visible
    assert not hidden.visible
    assert heard == [True, False]


def test_a_click_on_the_header_folds_the_collapsible_button(ctk):
    button = ctk.ctkCollapsibleButton("Inputs")
    button.click()
    assert button.collapsed
    assert button.text == "Inputs"


def test_a_folded_group_box_is_unchecked(qt, ctk):
    box = ctk.ctkCollapsibleGroupBox("More")
    child = qt.QLabel("x", box)
    box.show()
    box.collapsed = True
    assert not box.checked
    assert not child.visible
    box.checked = True
    assert not box.collapsed


def test_a_slider_widget_clamps_rounds_and_tells(ctk):
    slider, heard = ctk.ctkSliderWidget(), []
    slider.connect("valueChanged(double)", heard.append)
    slider.minimum, slider.maximum, slider.decimals = -1, 1, 2
    slider.value = 0.456
    assert slider.value == pytest.approx(0.46)
    slider.value = 7
    assert slider.value == 1
    assert heard == [pytest.approx(0.46), 1]


def test_the_range_of_a_slider_widget_can_only_be_set_by_its_properties(ctk):
    assert not hasattr(ctk.ctkSliderWidget(), "setRange")
    assert not hasattr(ctk.ctkSliderWidget(), "setMinimum")


def test_a_path_line_tells_of_changes_and_of_valid_paths(ctk, tmp_path):
    line, paths, valid = ctk.ctkPathLineEdit(), [], []
    line.connect("currentPathChanged(QString)", paths.append)
    line.connect("validInputChanged(bool)", valid.append)
    line.currentPath = str(tmp_path)
    line.currentPath = str(tmp_path)
    line.setCurrentPath(str(tmp_path / "absent"))
    assert paths == [str(tmp_path), str(tmp_path / "absent")]
    assert valid == [True, False]


def test_a_directory_button_shows_its_directory(ctk, tmp_path):
    button, heard = ctk.ctkDirectoryButton(), []
    button.connect("directoryChanged(QString)", heard.append)
    button.directory = str(tmp_path)
    assert button.directory == str(tmp_path)
    assert heard == [str(tmp_path)]


def test_a_combo_box_knows_its_user_data_as_text(ctk):
    box = ctk.ctkComboBox()
    box.addItem("Robust", "robust")
    box.addItem("Fast", "fast")
    box.currentUserDataAsString = "fast"
    assert (box.currentIndex, box.currentText) == (1, "Fast")


# ---- qMRML ----------------------------------------------------------------------------------------------


def test_a_node_combo_box_lists_nothing_before_it_has_a_scene(combo):
    add_volume("T1")
    assert combo.nodeCount() == 0
    assert combo.currentNode() is None


def test_a_node_combo_box_chooses_the_first_node_unless_none_is_a_choice(combo, slicer_host):
    first = add_volume("T1")
    combo.setMRMLScene(slicer_host.scene)
    assert combo.currentNode() is first
    other = type(combo)()
    other.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    other.noneEnabled = True
    other.setMRMLScene(slicer_host.scene)
    assert other.currentNode() is None


def test_a_node_combo_box_lists_by_type_and_leaves_out_hidden_types_and_nodes(combo, slicer_host):
    combo.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    combo.setMRMLScene(slicer_host.scene)
    add_volume("labels", "vtkMRMLLabelMapVolumeNode")
    add_volume("table", "vtkMRMLTableNode")
    assert combo.nodeCount() == 0
    combo.hideChildNodeTypes = []
    assert combo.nodeCount() == 1
    combo.showChildNodeTypes = False
    assert combo.nodeCount() == 0
    import slicer

    hidden = slicer.vtkMRMLScalarVolumeNode()
    hidden.SetHideFromEditors(1)
    slicer_host.scene.AddNode(hidden)
    assert combo.nodeCount() == 0


def test_a_node_combo_box_filters_by_attribute(combo, slicer_host):
    combo.setMRMLScene(slicer_host.scene)
    marked = add_volume("marked")
    add_volume("plain")
    marked.SetAttribute("Kind", "segmentation")
    combo.addAttribute("vtkMRMLScalarVolumeNode", "Kind", "segmentation")
    assert combo.nodeCount() == 1
    combo.removeAttribute("vtkMRMLScalarVolumeNode", "Kind")
    assert combo.nodeCount() == 2


def test_a_node_combo_box_tells_of_a_change_once_and_in_each_form(combo, slicer_host):
    nodes, valid, ids = [], [], []
    combo.connect("currentNodeChanged(vtkMRMLNode*)", nodes.append)
    combo.connect("currentNodeChanged(bool)", valid.append)
    combo.connect("currentNodeIDChanged(QString)", ids.append)
    combo.setMRMLScene(slicer_host.scene)
    volume = add_volume("T1")
    combo.setCurrentNode(volume)
    assert (nodes, valid, ids) == ([volume], [True], [volume.GetID()])


def test_when_the_chosen_node_goes_another_is_chosen_and_then_none(combo, slicer_host):
    combo.setMRMLScene(slicer_host.scene)
    first, second = add_volume("T1"), add_volume("T2")
    slicer_host.scene.RemoveNode(first)
    assert combo.currentNode() is second
    slicer_host.clear_scene()
    assert combo.currentNode() is None


def test_a_renamed_node_is_shown_under_its_new_name(combo, slicer_host):
    combo.setMRMLScene(slicer_host.scene)
    volume, heard = add_volume("T1"), []
    combo.connect("currentNodeRenamed(QString)", heard.append)
    volume.SetName("FLAIR")
    assert heard == ["FLAIR"]
    assert combo.findChildren("QComboBox")[0].currentText == "FLAIR"


def test_a_node_that_is_not_listed_cannot_be_chosen(combo, slicer_host):
    combo.setMRMLScene(slicer_host.scene)
    volume = add_volume("T1")
    combo.setCurrentNode(add_volume("table", "vtkMRMLTableNode"))
    assert combo.currentNode() is volume


def test_a_deleted_widget_leaves_no_observer_on_the_scene(slicer_host):
    import slicer

    scene = slicer_host.scene
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(scene)
    tags = [tag for _, tag in box._scene_observers._tags]
    assert all(scene.GetCommand(tag) is not None for tag in tags)
    box.delete()
    assert all(scene.GetCommand(tag) is None for tag in tags)
    add_volume("T1")


def test_a_table_view_shows_a_table_node_and_follows_it(slicer_host):
    import numpy as np
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "volumes")
    slicer.util.updateTableFromArray(node, [np.array([2.0, 10.0]), np.array([1, 2])], ["volume", "label"])
    view = slicer.qMRMLTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(node)
    assert view.mrmlTableNode() is node
    model = view.model()
    assert (model.rowCount(), model.columnCount()) == (2, 2)
    view.sortByColumn(0, __import__("qt").Qt.DescendingOrder)
    assert float(model.index(0, 0).data()) == 10.0
    slicer.util.updateTableFromArray(node, [np.array([5.0])], ["volume"])
    node.Modified()
    assert model.rowCount() == 1


# ---- .ui files ------------------------------------------------------------------------------------------


def load(folder, body: str, connections: str = ""):
    import slicer

    path = folder / "x.ui"
    path.write_text(
        f'<ui version="4.0"><class>X</class><widget class="qMRMLWidget" name="X">{body}</widget>'
        f"<connections>{connections}</connections></ui>",
        encoding="utf-8",
    )
    return slicer.util.loadUI(str(path))


CONNECTION = (
    "<connection><sender>X</sender><signal>{signal}(vtkMRMLScene*)</signal>"
    "<receiver>box</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>"
)


def test_only_widgets_that_the_ui_file_connects_hear_of_the_scene(slicer_host, tmp_path):
    import slicer

    body = '<widget class="qMRMLNodeComboBox" name="box"/><widget class="qMRMLNodeComboBox" name="deaf"/>'
    widget = load(tmp_path, body, CONNECTION.format(signal="mrmlSceneChanged"))
    ui = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(slicer.mrmlScene)
    assert ui.box.mrmlScene() is slicer.mrmlScene
    assert ui.deaf.mrmlScene() is None


def test_a_ui_file_with_an_unknown_widget_or_connection_is_refused(slicer_host, tmp_path):
    with pytest.raises(RuntimeError, match="no stand-in for ctkFancyThing"):
        load(tmp_path, '<widget class="ctkFancyThing" name="x"/>')
    with pytest.raises(RuntimeError, match="no signal sceneChanged"):
        load(tmp_path, '<widget class="qMRMLNodeComboBox" name="box"/>', CONNECTION.format(signal="sceneChanged"))


def test_widgets_of_a_ui_file_are_of_the_stand_ins_own_class(slicer_host, tmp_path):
    import ctk
    import slicer

    body = '<widget class="ctkSliderWidget" name="s"><property name="value"><double>3</double></property></widget>'
    ui = slicer.util.childWidgetVariables(load(tmp_path, body))
    assert type(ui.s) is ctk.ctkSliderWidget
    assert ui.s.value == 3.0
