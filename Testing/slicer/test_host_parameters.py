"""The host's parameter nodes keep typed values as Slicer's do, and bind them to the same widgets."""

from __future__ import annotations

import pathlib
from enum import Enum
from pathlib import Path
from typing import Annotated

import pytest


class Color(Enum):
    red = 1
    blue = 2


@pytest.fixture
def wrapper(slicer_host):
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, Minimum, WithinRange, parameterNodeWrapper

    volume = slicer.vtkMRMLScalarVolumeNode
    fields = {
        "volume": volume,
        "other": volume | None,
        "flag": bool,
        "count": Annotated[int, Minimum(0)],
        "ratio": Annotated[float, WithinRange(0, 1), Default(0.5)],
        "text": str,
        "mode": Annotated[str, Choice(["fast", "careful"])],
        "color": Color,
        "path": Path,
    }
    return parameterNodeWrapper(type("Parameters", (), {"__annotations__": fields, "count": 3, "mode": "fast"}))


@pytest.fixture
def node(slicer_host):
    return slicer_host.scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")


@pytest.fixture
def parameters(wrapper, node):
    return wrapper(node)


def test_a_new_node_gets_the_defaults(parameters):
    assert parameters.volume is None
    assert (parameters.flag, parameters.count, parameters.ratio, parameters.text) == (False, 3, 0.5, "")
    assert (parameters.mode, parameters.color, parameters.path) == ("fast", Color.red, pathlib.Path())


def test_values_lie_in_the_node_as_slicer_writes_them(parameters, node, slicer_host):
    volume = slicer_host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1")
    parameters.flag, parameters.count, parameters.color, parameters.volume = True, 4, Color.blue, volume
    stored = {name: node.GetParameter(name) for name in ("flag", "count", "color", "ratio")}
    assert stored == {"flag": "True", "count": "4", "color": "blue", "ratio": "0.5"}
    assert node.GetNodeReferenceID("volume") == volume.GetID()


def test_values_that_lie_in_the_node_are_kept(wrapper, node):
    node.SetParameter("count", "8")
    assert wrapper(node).count == 8


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("count", -1, ValueError),
        ("ratio", 1.5, ValueError),
        ("mode", "slow", ValueError),
        ("count", 1.5, TypeError),
        ("flag", None, TypeError),
        ("text", 3, TypeError),
        ("color", "red", TypeError),
    ],
)
def test_wrong_values_are_refused(parameters, name, value, error):
    before = getattr(parameters, name)
    with pytest.raises(error):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_an_unknown_parameter_is_named(parameters):
    with pytest.raises(ValueError, match="speed"):
        parameters.getValue("speed")


@pytest.mark.parametrize("maker", ["QLineEdit", "QTextEdit"])
def test_a_text_is_bound_in_both_directions(parameters, maker):
    import qt

    widget = getattr(qt, maker)()
    tag = parameters.connectParametersToGui({"text": widget})
    parameters.text = "from the node"
    shown = widget.text if maker == "QLineEdit" else widget.plainText
    assert shown == "from the node"
    widget.setText("from the widget")
    assert parameters.text == "from the widget"
    parameters.disconnectGui(tag)
    widget.setText("unheard")
    assert parameters.text == "from the widget"


def test_numbers_take_their_range_from_the_annotation(parameters):
    import ctk
    import qt

    slider, spin = ctk.ctkSliderWidget(), qt.QSpinBox()
    parameters.connectParametersToGui({"ratio": slider, "count": spin})
    assert (slider.minimum, slider.maximum, slider.value) == (0, 1, 0.5)
    assert (spin.minimum, spin.value) == (0, 3)
    slider.value, spin.value = 0.25, 9
    assert (parameters.ratio, parameters.count) == (0.25, 9)
    assert isinstance(parameters.count, int)


def test_choices_and_enumerations_fill_a_combo_box(parameters):
    import qt

    modes, colors = qt.QComboBox(), qt.QComboBox()
    parameters.connectParametersToGui({"mode": modes, "color": colors})
    assert [modes.itemText(index) for index in range(modes.count)] == ["fast", "careful"]
    assert [colors.itemText(index) for index in range(colors.count)] == ["red", "blue"]
    modes.currentIndex = 1
    parameters.color = Color.blue
    assert parameters.mode == "careful"
    assert colors.currentText == "blue"


def test_a_widget_that_cannot_show_the_type_is_refused(parameters):
    import ctk
    import qt

    with pytest.raises(RuntimeError, match="QLineEdit"):
        parameters.connectParametersToGui({"ratio": qt.QLineEdit()})
    with pytest.raises(RuntimeError, match="unbounded"):
        parameters.connectParametersToGui({"count": ctk.ctkSliderWidget()})
    with pytest.raises(RuntimeError, match="ctkPathLineEdit"):
        parameters.connectParametersToGui({"text": ctk.ctkPathLineEdit()})


def test_a_subclass_of_a_known_widget_is_not_enough_as_in_slicer(parameters):
    import qt

    class MyLineEdit(qt.QLineEdit):
        pass

    with pytest.raises(RuntimeError, match="MyLineEdit"):
        parameters.connectParametersToGui({"text": MyLineEdit()})


def test_a_node_selector_gets_its_type_and_its_node(parameters, slicer_host):
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.setMRMLScene(slicer_host.scene)
    parameters.connectParametersToGui({"volume": box})
    volume = slicer_host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1")
    assert box.currentNode() is volume
    assert parameters.volume is volume


def test_many_changes_show_once(parameters):
    import qt
    import slicer

    box, heard = qt.QSpinBox(), []
    parameters.connectParametersToGui({"count": box})
    box.connect("valueChanged(int)", heard.append)
    with slicer.util.NodeModify(parameters):
        parameters.count = 5
        parameters.count = 6
    assert heard == [6]
