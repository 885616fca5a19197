"""`@parameterNodeWrapper`: a class with typed fields becomes a view of a parameter node."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import slicer
from PySide6 import QtWidgets

from .connectors import Connector, createGuiConnector
from .storage import Storage

SlicerParameterNamePropertyName = "SlicerParameterName"
_RESERVED = ("allParameters", "connectGui", "disconnectGui", "connectParametersToGui", "default", "isCached")


class _Wrapper:
    """What every wrapped class can do."""

    allParameters: dict[str, Storage]

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._bound: dict[int, dict[str, Connector]] = {}
        self._tags: dict[int, int] = {}
        self._next = 0
        self._updating = False
        for storage in self.allParameters.values():
            if not storage.is_in(parameterNode):
                storage.write(parameterNode, storage.default)

    # ---- values -----------------------------------------------------------------------------------------

    def _storage(self, name: str) -> Storage:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}. Found: {list(self.allParameters)}")
        return self.allParameters[name]

    def getValue(self, name: str) -> Any:
        return self._storage(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._storage(name).write(self.parameterNode, value)

    def default(self, name: str) -> Any:
        return self._storage(name).default

    @classmethod
    def dataType(cls, name: str) -> Any:
        return cls.allParameters[name].annotated

    # ---- widgets ----------------------------------------------------------------------------------------

    def connectGui(self, gui: Any) -> int:
        """Bind the children (or the attributes of `childWidgetVariables`) that carry a parameter's name."""
        if isinstance(gui, QtWidgets.QWidget):
            widgets = gui.findChildren(QtWidgets.QWidget)
        else:
            widgets = [widget for widget in vars(gui).values() if hasattr(widget, "property")]
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        connectors = {name: createGuiConnector(widget, self._storage(name)) for name, widget in mapping.items()}
        tag, self._next = self._next, self._next + 1
        self._bound[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._receiver(name, connector))
        self._tags[tag] = self.parameterNode.AddObserver("ModifiedEvent", lambda *_: self._show())
        return tag

    def _receiver(self, name: str, connector: Connector) -> Callable[[], None]:
        def receive() -> None:
            if not self._updating:
                with slicer.util.NodeModify(self.parameterNode):
                    self.setValue(name, connector.read())

        return receive

    def _show(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self.parameterNode):
                for connectors in self._bound.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def disconnectGui(self, tag: int) -> None:
        for connector in self._bound.pop(tag, {}).values():
            connector.onChanged(None)
        if tag in self._tags:
            self.parameterNode.RemoveObserver(self._tags.pop(tag))

    # ---- the node ---------------------------------------------------------------------------------------

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, was_modifying: int) -> int:
        return self.parameterNode.EndModify(was_modifying)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def HasObserver(self, *arguments: Any) -> int:
        return self.parameterNode.HasObserver(*arguments)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _field(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Class decorator: each annotated field becomes a property that lives in the parameter node."""

    def wrap(cls: type) -> type:
        fields = typing.get_type_hints(cls, include_extras=True)
        parameters = {}
        for name, annotated in fields.items():
            if name in _RESERVED:
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            parameters[name] = Storage(name, annotated, cls.__dict__.get(name))
        own = {key: value for key, value in vars(cls).items() if key not in ("__dict__", "__weakref__")}
        own.update({name: _field(name) for name in parameters})
        own.update(allParameters=parameters, _is_parameter_node_wrapper=True)
        bases = tuple(base for base in cls.__bases__ if base is not object)
        return type(cls.__name__, (_Wrapper, *bases), own)

    return wrap if classtype is None else wrap(classtype)


def isParameterNodeWrapper(candidate: Any) -> bool:
    return getattr(candidate, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget: QtWidgets.QWidget, parameter: str) -> QtWidgets.QWidget | None:
    """The descendant whose `SlicerParameterName` is this parameter."""
    for child in widget.findChildren(QtWidgets.QWidget):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None
