"""Which widget can show which type. As in Slicer, classes are compared exactly: a subclass is not enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtWidgets

from ..widgets import STAND_INS
from .annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange, find
from .storage import Storage

_BOOLS = (QtWidgets.QCheckBox, STAND_INS["ctkCheckBox"], QtWidgets.QPushButton, STAND_INS["ctkCheckablePushButton"])
_INTS = (QtWidgets.QSlider, QtWidgets.QSpinBox)
_NUMBERS = tuple(
    STAND_INS[name]
    for name in ("ctkSliderWidget", "qMRMLSliderWidget", "ctkDoubleSlider", "ctkDoubleSpinBox", "qMRMLSpinBox")
)
_NUMBERS_NEED_BOUNDS = (STAND_INS["ctkSliderWidget"], STAND_INS["qMRMLSliderWidget"])
_COMBOS = (QtWidgets.QComboBox, STAND_INS["ctkComboBox"])


class Connector:
    """Reads and writes one widget's value; `onChanged(None)` disconnects."""

    def __init__(self, widget: Any, read: Callable[[], Any], write: Callable[[Any], None], signal: Any) -> None:
        self._widget, self.read, self.write, self._signal = widget, read, write, signal
        self._callback: Callable[[], None] | None = None

    def widget(self) -> Any:
        return self._widget

    def _changed(self, *_: Any) -> None:
        if self._callback is not None:
            self._callback()

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        if self._signal is not None and self._callback is None and callback is not None:
            self._signal.connect(self._changed)
        if self._signal is not None and self._callback is not None and callback is None:
            self._signal.disconnect(self._changed)
        self._callback = callback


def _bounds(storage: Storage) -> tuple[Any, Any]:
    within = find(storage.annotations, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    low, high = find(storage.annotations, Minimum), find(storage.annotations, Maximum)
    return (low.minimum if low else None), (high.maximum if high else None)


def _set_number(widget: Any, storage: Storage, limits: tuple[Any, Any]) -> None:
    low, high = _bounds(storage)
    low, high = limits[0] if low is None else low, limits[1] if high is None else high
    if isinstance(widget, QtWidgets.QAbstractSlider | QtWidgets.QAbstractSpinBox):
        widget.setRange(low, high)
        set_step, set_decimals = widget.setSingleStep, getattr(widget, "setDecimals", None)
    else:
        widget.minimum, widget.maximum = low, high
        set_step, set_decimals = (lambda step: setattr(widget, "singleStep", step)), widget.setDecimals
    step, decimals = find(storage.annotations, SingleStep), find(storage.annotations, Decimals)
    if storage.kind is int and set_decimals is not None:
        set_decimals(0)
    elif decimals is not None and set_decimals is not None:
        set_decimals(decimals.value)
    if step is not None:
        set_step(step.value)


def _number(widget: Any, storage: Storage) -> Connector:
    if isinstance(widget, _NUMBERS):
        return Connector(
            widget, lambda: storage.kind(widget.value), lambda value: widget.setValue(value), widget.valueChanged
        )
    return Connector(widget, lambda: storage.kind(widget.value()), widget.setValue, widget.valueChanged)


def _combo(widget: Any, values: list[Any], labels: list[str], keep: bool) -> Connector:
    kept = widget.currentIndex()
    widget.clear()
    widget.addItems(labels)
    if keep:
        widget.setCurrentIndex(max(kept, 0))

    def write(value: Any) -> None:
        if value not in values:
            raise ValueError(f"Unable to find value {value} in choices {values}")
        widget.setCurrentIndex(values.index(value))

    return Connector(widget, lambda: values[widget.currentIndex()], write, widget.currentIndexChanged)


def createGuiConnector(widget: Any, storage: Storage) -> Connector:
    """A connector for a widget and a field. RuntimeError when the widget cannot show the field's type."""
    cls, kind = type(widget), storage.kind
    bounded = None not in _bounds(storage)
    choice = find(storage.annotations, Choice)
    if kind is bool and cls in _BOOLS:
        widget.setCheckable(True)
        return Connector(widget, widget.isChecked, widget.setChecked, widget.toggled)
    if kind is int and cls in _INTS:
        if cls is QtWidgets.QSlider and not bounded:
            raise RuntimeError("Cannot have a connection to QSlider where the int type is unbounded.")
        _set_number(widget, storage, (-(2**31), 2**31 - 1))
        return _number(widget, storage)
    if kind in (int, float) and (cls in _NUMBERS or cls is QtWidgets.QDoubleSpinBox):
        if cls in _NUMBERS_NEED_BOUNDS and not bounded:
            raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
        _set_number(widget, storage, (float("-inf"), float("inf")))
        return _number(widget, storage)
    if storage.is_enum and cls in _COMBOS:
        label = getattr(kind, "label", lambda member: member.name)
        return _combo(widget, list(kind), [label(member) for member in kind], keep=True)
    if kind in (int, float, str, bool) and cls in _COMBOS:
        if choice is None:
            raise RuntimeError("A combo box needs the Choice annotation to show a plain type.")
        return _combo(widget, list(choice.choices), [str(value) for value in choice.choices], keep=False)
    return _text_path_or_node(widget, storage)


def _text_path_or_node(widget: Any, storage: Storage) -> Connector:
    cls, kind = type(widget), storage.kind
    if kind is str and cls is QtWidgets.QLineEdit:
        return Connector(widget, widget.text, _unless_same(widget.text, widget.setText), widget.textChanged)
    if kind is str and cls is QtWidgets.QLabel:
        return Connector(widget, widget.text, widget.setText, None)
    if kind is str and cls is QtWidgets.QTextEdit:
        write = _unless_same(widget.toPlainText, widget.setPlainText)
        return Connector(widget, widget.toPlainText, write, widget.textChanged)
    is_path = kind.__name__.endswith("Path")
    if is_path and cls is STAND_INS["ctkPathLineEdit"]:
        write_path = lambda value: widget.setCurrentPath(str(value))  # noqa: E731
        return Connector(widget, lambda: kind(widget.currentPath), write_path, widget.currentPathChanged)
    if is_path and cls is STAND_INS["ctkDirectoryButton"]:
        write_folder = lambda value: setattr(widget, "directory", str(value))  # noqa: E731
        return Connector(widget, lambda: kind(widget.directory), write_folder, widget.directoryChanged)
    if storage.is_node and cls is STAND_INS["qMRMLNodeComboBox"]:
        widget.nodeTypes = [kind.__name__]
        return Connector(widget, widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)
    raise RuntimeError(
        f"Unable to create GUI connector from datatype '{storage.annotated}' to widget type '{cls.__name__}'."
    )


def _unless_same(read: Callable[[], str], write: Callable[[str], None]) -> Callable[[str], None]:
    # Writing moves the cursor to the end, under the fingers of someone who types.
    return lambda value: write(value) if value != read() else None
