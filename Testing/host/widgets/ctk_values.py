"""Widgets with one value: sliders, spin boxes, boxes to choose from, buttons."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from ._registry import field, stand_in


class _Number(QtWidgets.QWidget):
    """What number widgets share: a range, decimals, a value that is clamped and rounded."""

    valueChanged = Signal(float)
    decimalsChanged = Signal(int)
    _DEFAULT_MAXIMUM = 100.0

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QDoubleSpinBox(self)
        self._box.setRange(0.0, self._DEFAULT_MAXIMUM)
        self._box.valueChanged.connect(self._moved)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._row = row

    def _moved(self, value: float) -> None:
        self.valueChanged.emit(value)

    def setValue(self, value: float) -> None:
        self._box.setValue(float(value))

    def _write_decimals(self, decimals: int) -> None:
        self._box.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)
        self._ranged()

    def _write_range(self, minimum: float, maximum: float) -> None:
        self._box.setRange(minimum, maximum)
        self._ranged()

    def _ranged(self) -> None:
        """Called when the range or the number of decimals changed."""

    value = Property(float, lambda self: self._box.value(), lambda self, value: self.setValue(value))
    minimum = Property(
        float, lambda self: self._box.minimum(), lambda self, low: self._write_range(low, max(low, self._box.maximum()))
    )
    maximum = Property(
        float,
        lambda self: self._box.maximum(),
        lambda self, high: self._write_range(min(high, self._box.minimum()), high),
    )
    decimals = Property(int, lambda self: self._box.decimals(), lambda self, count: self._write_decimals(count))
    singleStep = Property(
        float, lambda self: self._box.singleStep(), lambda self, step: self._box.setSingleStep(step)
    )
    prefix = Property(str, lambda self: self._box.prefix(), lambda self, text: self._box.setPrefix(text))
    suffix = Property(str, lambda self: self._box.suffix(), lambda self, text: self._box.setSuffix(text))


@stand_in
class ctkSliderWidget(_Number):
    """A slider with a spin box beside it. Without `tracking`, `valueChanged` waits until the slider is released."""

    valueIsChanging = Signal(float)
    SIGNALS = ("valueChanged(double)", "valueIsChanging(double)", "decimalsChanged(int)")
    _STEPS = 1000  # of the slider's own integer range

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._bar.setRange(0, self._STEPS)
        self._bar.valueChanged.connect(self._dragged)
        self._row.addWidget(self._bar)
        self._row.addWidget(self._box)

    def _moved(self, value: float) -> None:
        self._show(value)
        self.valueChanged.emit(value)

    def _show(self, value: float) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        self._bar.blockSignals(True)
        self._bar.setValue(round(self._STEPS * (value - low) / (high - low)) if high > low else 0)
        self._bar.blockSignals(False)

    def _ranged(self) -> None:
        self._show(self._box.value())

    def _dragged(self, position: int) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        value = low + (high - low) * position / self._STEPS
        self.valueIsChanging.emit(value)
        self._box.setValue(value)

    def reset(self) -> None:
        self.setValue(0.0)

    def setDecimals(self, decimals: int) -> None:
        self.decimals = decimals

    def setSpinBoxVisible(self, visible: bool) -> None:
        self._box.setVisible(visible)

    spinBoxVisible = Property(
        bool, lambda self: not self._box.isHidden(), lambda self, shown: self._box.setVisible(shown)
    )
    pageStep = field(float, "pageStep", 1.0)
    tickInterval = field(float, "tickInterval", 0.1)
    tracking = field(bool, "tracking", True)


@stand_in
class qMRMLSliderWidget(ctkSliderWidget):
    """`ctkSliderWidget` that knows units."""

    quantity = field(str, "quantity", "")

    def setMRMLScene(self, scene: object) -> None:
        self._scene = scene

    def mrmlScene(self) -> object:
        return getattr(self, "_scene", None)


@stand_in
class ctkDoubleSpinBox(_Number):
    """A spin box for real numbers."""

    editingFinished = Signal()
    SIGNALS = ("valueChanged(double)", "valueChanged(QString)", "editingFinished()", "decimalsChanged(int)")
    _DEFAULT_MAXIMUM = 99.99

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._row.addWidget(self._box)
        self._box.editingFinished.connect(self.editingFinished)

    def setDecimals(self, decimals: int) -> None:
        self.decimals = decimals

    def setReadOnly(self, read_only: bool) -> None:
        self._box.setReadOnly(read_only)

    def stepUp(self) -> None:
        self._box.stepUp()

    def stepDown(self) -> None:
        self._box.stepDown()

    readOnly = Property(bool, lambda self: self._box.isReadOnly(), lambda self, on: self._box.setReadOnly(on))


@stand_in
class qMRMLSpinBox(ctkDoubleSpinBox):
    """`ctkDoubleSpinBox` that knows units."""

    quantity = field(str, "quantity", "")

    def setMRMLScene(self, scene: object) -> None:
        self._scene = scene


@stand_in
class ctkDoubleSlider(_Number):
    """A slider for real numbers (the host shows its spin box)."""

    SIGNALS = ("valueChanged(double)",)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._row.addWidget(self._box)


@stand_in
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for "nothing chosen"."""

    defaultText = field(str, "defaultText", "", lambda self: self.setPlaceholderText(self.defaultText))
    forceDefault = field(bool, "forceDefault", False)
    scrollWheelEffect = field(int, "scrollWheelEffect", 0)

    def _write_user_data(self, text: str) -> None:
        index = next((i for i in range(self.count()) if str(self.itemData(i)) == text), -1)
        self.setCurrentIndex(index)

    currentUserDataAsString = Property(
        str,
        lambda self: "" if self.currentData() is None else str(self.currentData()),
        lambda self, text: self._write_user_data(text),
    )

    def setCurrentUserDataAsString(self, text: str) -> None:
        self._write_user_data(text)


@stand_in
class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box whose indicator can be an icon."""

    indicatorIconSize = field(QtCore.QSize, "indicatorIconSize", QtCore.QSize())
    indicatorIcon = field(QtGui.QIcon, "indicatorIcon", QtGui.QIcon())


@stand_in
class ctkPushButton(QtWidgets.QPushButton):
    """A push button."""

    elideMode = field(int, "elideMode", 3)


@stand_in
class ctkCheckablePushButton(ctkPushButton):
    """A push button with a check box inside."""

    checkBoxToggled = Signal(bool)
    SIGNALS = ("checkBoxToggled(bool)",)
    checkBoxControlsButton = field(bool, "checkBoxControlsButton", True)
    checkBoxControlsButtonToggleState = field(bool, "checkBoxControlsButtonToggleState", True)
    checkBoxUserCheckable = field(bool, "checkBoxUserCheckable", True)


@stand_in
class ctkMenuButton(QtWidgets.QPushButton):
    """A push button with a menu at its side."""


@stand_in
class ctkSearchBox(QtWidgets.QLineEdit):
    """A line edit for a search text."""

    showSearchIcon = field(bool, "showSearchIcon", False)
    alwaysShowClearIcon = field(bool, "alwaysShowClearIcon", False, lambda self: self.setClearButtonEnabled(True))

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setClearButtonEnabled(True)
        self.setPlaceholderText("Search...")
