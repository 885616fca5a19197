"""The host's `qt` has the manners that PythonQt has in Slicer."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("slicer_host")


@pytest.fixture
def qt(slicer_host):
    import qt

    return qt


def test_properties_are_read_and_assigned_as_attributes(qt):
    button = qt.QPushButton("Run")
    button.text = "Apply"
    button.checkable = True
    button.checked = True
    assert (button.text, button.checked, button.enabled) == ("Apply", True, True)
    button.enabled = False
    assert not button.enabled


def test_setters_stay_callable_beside_the_properties(qt):
    box = qt.QSpinBox()
    box.setRange(0, 10)
    box.setValue(7)
    assert (box.value, box.minimum, box.maximum) == (7, 0, 10)


def test_a_property_is_no_function_as_in_slicer(qt):
    with pytest.raises(TypeError, match="not callable"):
        qt.QLabel("x").text()


def test_functions_that_are_no_properties_stay_functions(qt):
    widget = qt.QWidget()
    layout = qt.QVBoxLayout(widget)
    label = qt.QLabel("x")
    layout.addWidget(label)
    assert widget.layout() is layout
    assert label.parent() is widget
    assert label in widget.children()
    assert qt.QTableWidgetItem("cell").text() == "cell"


def test_the_name_is_the_object_name(qt):
    widget = qt.QWidget()
    widget.name = "first"
    assert widget.objectName == "first"
    widget.setObjectName("second")
    assert widget.name == "second"


def test_the_class_name_is_asked_with_a_function(qt):
    assert qt.QPushButton().className() == "QPushButton"


def test_children_are_found_by_the_name_of_their_class(qt):
    widget = qt.QWidget()
    button = qt.QPushButton("x", widget)
    assert widget.findChildren("QPushButton") == [button]
    assert widget.findChildren(qt.QPushButton) == [button]


def test_a_signal_is_connected_by_its_signature_and_surplus_arguments_are_dropped(qt):
    button, heard = qt.QPushButton(), []
    button.connect("clicked(bool)", lambda: heard.append("none"))
    button.connect("clicked(bool)", heard.append)
    button.connect("clicked()", lambda: heard.append("no argument"))
    button.click()
    assert heard == ["none", False, "no argument"]


def test_overloaded_signals_are_told_apart_by_their_signature(qt):
    box, heard = qt.QButtonGroup(), []
    button = qt.QRadioButton()
    box.addButton(button, 5)
    box.connect("buttonClicked(QAbstractButton*)", lambda which: heard.append(which))
    box.connect("idClicked(int)", lambda number: heard.append(number))
    button.click()
    assert sorted(heard, key=str) == sorted([button, 5], key=str)


def test_a_connection_is_undone(qt):
    button, heard = qt.QPushButton(), []

    def hear():
        heard.append(1)

    button.connect("clicked()", hear)
    assert button.disconnect("clicked()", hear)
    assert not button.disconnect("clicked()", hear)
    button.click()
    assert heard == []


def test_the_signal_object_can_be_connected_as_well(qt):
    box, heard = qt.QSpinBox(), []
    box.valueChanged.connect(heard.append)
    box.value = 3
    assert heard == [3]


def test_an_unknown_signal_is_an_error_here(qt):
    with pytest.raises(ValueError, match="QPushButton has no signal 'clickd\\(\\)'"):
        qt.QPushButton().connect("clickd()", print)


def test_only_what_can_be_called_can_be_connected(qt):
    with pytest.raises(TypeError, match="cannot be called"):
        qt.QPushButton().connect("clicked()", 3)


def test_nobody_can_add_an_attribute_to_a_qt_object(qt):
    with pytest.raises(AttributeError, match="no attribute 'txet'"):
        qt.QLabel().txet = "x"


def test_a_class_written_in_python_can_have_attributes_of_its_own(qt):
    class Dialog(qt.QDialog):
        def __init__(self):
            super().__init__()
            self.answer = 42

    dialog = Dialog()
    dialog.windowTitle = "Question"
    assert (dialog.answer, dialog.windowTitle) == (42, "Question")


def test_a_timer_runs_with_pythonqt_spelling(qt, slicer_host):
    timer, heard = qt.QTimer(), []
    timer.singleShot = True
    timer.interval = 1
    timer.connect("timeout()", lambda: heard.append(1))
    timer.start()
    assert slicer_host.wait_until(lambda: heard)
    assert not timer.active


def test_a_property_beside_a_static_function_of_the_same_name(qt, slicer_host):
    heard = []
    qt.QTimer.singleShot(1, lambda: heard.append(1))
    assert slicer_host.wait_until(lambda: heard)
    timer = qt.QTimer()
    timer.singleShot = True
    assert timer.singleShot is True


def test_enumerations_are_found_without_their_type(qt):
    label = qt.QLabel("x")
    label.alignment = qt.Qt.AlignRight | qt.Qt.AlignVCenter
    assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignVCenter
    assert qt.QHeaderView.Stretch == qt.QHeaderView.ResizeMode.Stretch


def test_a_deleted_object_is_gone_at_once(qt):
    widget = qt.QWidget()
    child = qt.QLabel("x", widget)
    child.delete()
    assert widget.findChildren(qt.QLabel) == []


def test_the_hosts_own_code_keeps_pysides_manners(qt):
    from Testing.host.widgets import STAND_INS

    browser = STAND_INS["ctkFittedTextBrowser"]()
    browser.setText("one<br>two<br>three")
    few = browser.minimumSizeHint().height()  # calls Qt's width() and frameWidth() as functions
    browser.setText("<br>".join(map(str, range(20))))
    assert browser.minimumSizeHint().height() > few > 0
