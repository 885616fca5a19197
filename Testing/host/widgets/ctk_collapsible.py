"""Collapsible containers: `ctkCollapsibleButton`, `ctkCollapsibleGroupBox`, and what folds its text."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from ._registry import field, stand_in

MAXIMUM_HEIGHT = 16777215  # Qt's QWIDGETSIZE_MAX


def _shown_children(container: QtWidgets.QWidget) -> list[QtWidgets.QWidget]:
    children = container.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly)
    return [child for child in children if not child.isWindow()]


class _Folding:
    """Hides the children of a container, and shows again those that nobody else had hidden."""

    def __init__(self, container: QtWidgets.QWidget) -> None:
        self._container = container
        self._hidden: list[QtWidgets.QWidget] = []

    def fold(self) -> None:
        for child in _shown_children(self._container):
            if not child.isHidden():
                self._hidden.append(child)
                child.hide()

    def unfold(self) -> None:
        hidden, self._hidden = self._hidden, []
        for child in hidden:
            child.show()

    def add(self, child: QtWidgets.QWidget) -> None:
        self._hidden.append(child)
        child.hide()


@stand_in
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A button across the panel; a click folds away what is below it. `checked` is the opposite of `collapsed`."""

    contentsCollapsed = Signal(bool)
    SIGNALS = ("contentsCollapsed(bool)",)

    def __init__(self, text: str | QtWidgets.QWidget | None = None, parent: QtWidgets.QWidget | None = None) -> None:
        if not isinstance(text, str):
            text, parent = "", text
        super().__init__(parent)
        self._folding = _Folding(self)
        self._is_collapsed = False
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._header_height(), 0, 0)
        self.toggled.connect(lambda checked: self._collapse(not checked))

    def _header_height(self) -> int:
        return self.fontMetrics().height() + 10

    def _collapse(self, collapsed: bool) -> None:
        if collapsed == self._is_collapsed:
            return
        self._is_collapsed = collapsed
        if collapsed:
            self._folding.fold()
        else:
            self._folding.unfold()
        self.setMaximumHeight(self._header_height() + self.collapsedHeight if collapsed else MAXIMUM_HEIGHT)
        self.updateGeometry()
        self.update()
        self.contentsCollapsed.emit(collapsed)

    def _read_collapsed(self) -> bool:
        return self._is_collapsed

    def _write_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, _read_collapsed, _write_collapsed)
    collapsedHeight = field(int, "collapsedHeight", 10)
    flat = field(bool, "flat", False)
    contentsFrameShape = field(int, "contentsFrameShape", 0)
    contentsFrameShadow = field(int, "contentsFrameShadow", 0)
    contentsLineWidth = field(int, "contentsLineWidth", 1)
    contentsMidLineWidth = field(int, "contentsMidLineWidth", 0)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        # Not when it is added: to touch a child that C++ still constructs fixes its Python class as plain QWidget.
        if self._is_collapsed and event.polished() and isinstance(event.child(), QtWidgets.QWidget):
            self._folding.add(event.child())

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._header_height()

    def sizeHint(self) -> QtCore.QSize:
        header = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text()) + 40, self._header_height())
        if self._is_collapsed or self.layout() is None:
            return QtCore.QSize(header.width(), header.height() + (self.collapsedHeight if self._is_collapsed else 0))
        # The layout counts the contents' margins, and with them the header.
        return self.layout().totalSizeHint().expandedTo(header)

    def minimumSizeHint(self) -> QtCore.QSize:
        header = QtCore.QSize(0, self._header_height())
        if self._is_collapsed or self.layout() is None:
            return header
        return self.layout().totalMinimumSize().expandedTo(header)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width(), self._header_height())
        option.state |= QtWidgets.QStyle.State_Raised
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        side = 10
        arrow.rect = QtCore.QRect(8, (self._header_height() - side) // 2, side, side)
        style = QtWidgets.QStyle
        painter.drawPrimitive(
            style.PE_IndicatorArrowRight if self._is_collapsed else style.PE_IndicatorArrowDown, arrow
        )
        place = option.rect.adjusted(26, 0, -8, 0)
        flags = QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft | QtCore.Qt.TextShowMnemonic
        painter.drawItemText(place, flags, self.palette(), self.isEnabled(), self.text(), QtGui.QPalette.ButtonText)


@stand_in
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box with a check mark that folds it."""

    def __init__(self, title: str | QtWidgets.QWidget | None = None, parent: QtWidgets.QWidget | None = None) -> None:
        if not isinstance(title, str):
            title, parent = "", title
        super().__init__(title, parent)
        self._folding = _Folding(self)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._expand)

    def _expand(self, expanded: bool) -> None:
        if expanded:
            self._folding.unfold()
        else:
            self._folding.fold()
        self.setMaximumHeight(MAXIMUM_HEIGHT if expanded else self.fontMetrics().height() + self.collapsedHeight)

    collapsed = Property(
        bool, lambda self: not self.isChecked(), lambda self, collapsed: self.setChecked(not collapsed)
    )
    collapsedHeight = field(int, "collapsedHeight", 14)


@stand_in
class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    """A text browser as high as its text."""

    disableMouseScroll = field(bool, "disableMouseScroll", False)
    showDetailsText = field(str, "showDetailsText", "")
    hideDetailsText = field(str, "hideDetailsText", "")
    collapsed = field(bool, "collapsed", True)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setVerticalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        self.textChanged.connect(self.updateGeometry)

    def setCollapsibleText(self, text: str) -> None:
        self.setText(text)

    def setCollapsibleHtml(self, text: str) -> None:
        self.setHtml(text)

    def collapsibleText(self) -> str:
        return self.toHtml()

    def _fitted(self, width: int) -> int:
        document = self.document().clone()
        document.setTextWidth(max(width - 2 * self.frameWidth(), 1))
        return int(document.size().height()) + 2 * self.frameWidth() + 1

    def sizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(200, self._fitted(max(self.width(), 200)))

    minimumSizeHint = sizeHint

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        self.updateGeometry()
