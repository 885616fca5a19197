"""PythonQt's manners on PySide6.

Slicer's scripts talk to Qt through PythonQt, where a Qt property is an attribute (`button.text = "x"`,
`if button.enabled:`), signals are connected by their C++ signature (`button.connect("clicked(bool)", f)`), and
arguments that a callable does not take are dropped. PySide6 knows none of that. `install()` patches PySide6's classes,
in place because objects that C++ hands out are of those very classes, and makes the modules `qt` and `ctk`.

The host's own code, VTK's and PySide6's keep PySide6's manners: what a property means depends on who asks.

Stricter than PythonQt, so that tests fail where Slicer would only print a warning: an unknown signal raises, and so
does an assignment to an attribute that the Qt object does not have (PythonQt refuses that as well).
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from PySide6.QtCore import QMetaMethod, QObject

qt = types.ModuleType("qt", "Qt as Slicer's Python sees it.")
ctk = types.ModuleType("ctk", "The common toolkit's widgets that the host stands in for.")

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
_PLAIN_CALLERS = ("vtkmodules", "Testing.host", "PySide6", "shiboken6", "importlib")
_ATTRIBUTE_TYPES = (property, QtCore.Property, QtCore.Signal)
_patched: set[type] = set()
_object_getattribute = QObject.__getattribute__
_shiboken_object = next(cls for cls in QObject.__mro__ if cls.__name__ == "Object")


def _plain_caller() -> bool:
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").startswith(_PLAIN_CALLERS)


# ---- properties -----------------------------------------------------------------------------------------


def _getter(cls: type, name: str) -> Callable[[Any], Any] | None:
    for candidate in (name, "is" + name[0].upper() + name[1:], "has" + name[0].upper() + name[1:]):
        found = getattr(cls, candidate, None)
        if callable(found):
            return found
    return None


def _property(cls: type, name: str) -> property:
    getter = _getter(cls, name)
    named_so = cls.__dict__.get(name) or getattr(cls, name, None)

    def read(self: QObject) -> Any:
        if _plain_caller():
            if callable(named_so):
                return types.MethodType(named_so, self)
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getter(self) if getter is not None else self.property(name)

    def write(self: QObject, value: Any) -> None:
        setter = getattr(self, "set" + name[0].upper() + name[1:], None)
        if setter is not None:
            setter(value)
        else:
            self.setProperty(name, value)

    return property(read, write, doc=f"Qt property {name} of {cls.__name__}.")


class _PropertyBesideStatic:
    """A property whose name a static function has too (QTimer.singleShot): the class has the one, objects the other."""

    def __init__(self, name: str, static: Callable[..., Any]) -> None:
        self._name, self._static = name, static

    def __get__(self, instance: QObject | None, owner: type) -> Any:
        if instance is None or _plain_caller():
            return self._static
        return instance.property(self._name)

    def __set__(self, instance: QObject, value: Any) -> None:
        instance.setProperty(self._name, value)


def _patch_properties(cls: type) -> None:
    if cls in _patched or not issubclass(cls, QObject):
        return
    _patched.add(cls)
    for base in cls.__bases__:
        _patch_properties(base)
    cls.__delattr__ = _delattr
    cls.__setattr__ = _setattr  # each of PySide6's classes has a slot of its own
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        current = getattr(cls, name, None)
        if isinstance(current, _ATTRIBUTE_TYPES) or not name.isidentifier():
            continue
        static = isinstance(current, types.BuiltinFunctionType)
        setattr(cls, name, _PropertyBesideStatic(name, current) if static else _property(cls, name))


# ---- signals --------------------------------------------------------------------------------------------


def normalized(signature: str) -> str:
    """A signal's or slot's signature as Qt's meta-object spells it."""
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()


def signal_signatures(widget: QObject) -> set[str]:
    """Every signal of an object: Qt's own, and for a stand-in those that its C++ counterpart has."""
    meta = widget.metaObject()
    methods = (meta.method(index) for index in range(meta.methodCount()))
    found = {bytes(m.methodSignature().data()).decode() for m in methods if m.methodType() == QMetaMethod.Signal}
    for cls in type(widget).__mro__:
        found |= {normalized(text) for text in cls.__dict__.get("SIGNALS", ())}
    return found


def _taken(function: Callable[..., Any], offered: int) -> int:
    """How many of the offered positional arguments the callable takes."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return offered
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return offered
    return min(offered, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters))


def _from_pyside(signal: Any) -> bool:
    # `widget.clicked.connect(f)` ends in `widget.connect(widget, "2clicked(bool)", f)`.
    return not isinstance(signal, str) or signal[:1] in "12"


def connect(self: QObject, signal: Any, receiver: Any, slot: Any = None, *rest: Any) -> bool:
    """`connect("clicked(bool)", function)` or `connect("clicked()", receiver, "slot()")`."""
    if _from_pyside(signal):
        return QObject.connect(*(part for part in (signal, receiver, slot, *rest) if part is not None))
    function = getattr(receiver, slot.split("(")[0]) if isinstance(slot, str) else receiver
    if not callable(function):
        raise TypeError(f"{self.metaObject().className()}.connect({signal!r}): {function!r} cannot be called.")
    signature = normalized(signal)
    _note(type(self), signature)
    if signature not in signal_signatures(self):
        raise ValueError(f"{self.metaObject().className()} has no signal {signature!r}.")
    name, arguments = signature[:-1].split("(", 1)
    offered = len(arguments.split(",")) if arguments else 0
    bound = getattr(self, getattr(type(self), "OVERLOADS", {}).get(signature, name))
    if any(name == other.split("(")[0] for other in signal_signatures(self) - {signature}) and arguments:
        try:
            bound = bound[arguments]
        except (KeyError, IndexError):
            pass  # a stand-in has one signal for the overloads of its counterpart

    def deliver(*values: Any) -> None:
        function(*values[: _taken(function, min(offered, len(values)))])

    bound.connect(deliver)
    self.__dict__.setdefault("_connections", []).append((signature, function, bound, deliver))
    return True


def disconnect(self: QObject, signal: Any, receiver: Any = None, slot: Any = None) -> bool:
    """Undo `connect`; False when there was no such connection."""
    if _from_pyside(signal):
        return QObject.disconnect(*(part for part in (signal, receiver, slot) if part is not None))
    function = getattr(receiver, slot.split("(")[0]) if isinstance(slot, str) else receiver
    signature = normalized(signal)
    kept, undone = [], 0
    for connection in self.__dict__.get("_connections", []):
        if connection[0] == signature and function in (None, connection[1]):
            connection[2].disconnect(connection[3])
            undone += 1
        else:
            kept.append(connection)
    self.__dict__["_connections"] = kept
    return undone > 0


# ---- QObject --------------------------------------------------------------------------------------------


def _find_children(self: QObject, kind: Any = QObject, *rest: Any, **keywords: Any) -> list[QObject]:
    if not isinstance(kind, str):
        return _object_getattribute(self, "findChildren")(kind, *rest, **keywords)
    return [child for child in QObject.findChildren(self, QObject, *rest) if child.inherits(kind)]


_INSTANCE_METHODS = {"connect": connect, "disconnect": disconnect, "findChildren": _find_children}


_recorder: Callable[[type, str, str], None] | None = None


def record(recorder: Callable[[type, str, str], None] | None) -> None:
    """Call `recorder(class, member, module that asks)` for every member that is used from now on; None: stop.

    A signal that is connected is named by its signature.
    """
    global _recorder
    _recorder = recorder


def _note(cls: type, name: str) -> None:
    if _recorder is None or name.startswith("_"):
        return
    frame = sys._getframe(2)
    # Qt looks for overridden functions (changeEvent) in the midst of a call; whoever called did not ask for those.
    if name in frame.f_code.co_names or "(" in name:
        _recorder(cls, name, frame.f_globals.get("__name__", ""))


def _getattribute(self: QObject, name: str) -> Any:
    _note(type(self), name)
    # PySide6 answers these itself on instances, so that patching the class is not enough.
    method = _INSTANCE_METHODS.get(name)
    if method is not None and not _plain_caller():
        return types.MethodType(method, self)
    return _object_getattribute(self, name)


def _setattr(self: QObject, name: str, value: Any) -> None:
    cls = type(self)
    _note(cls, name)
    wrapped = cls.__module__.startswith(("PySide6", "Testing.host"))
    if wrapped and not name.startswith("_") and not hasattr(cls, name) and not _plain_caller():
        raise AttributeError(f"{cls.__name__} has no attribute {name!r}, and PythonQt lets nobody add one.")
    declared = getattr(cls, name, None)
    if isinstance(declared, QtCore.Property):
        # PySide6 treats its own properties in the slot that this function replaces.
        if declared.fset is None:
            raise AttributeError(f"{cls.__name__}.{name} can only be read.")
        declared.fset(self, value)
    else:
        _shiboken_object.__setattr__(self, name, value)


def _delattr(self: QObject, name: str) -> None:
    _shiboken_object.__delattr__(self, name)


def _patch_object() -> None:
    QObject.name = property(lambda self: self.property("objectName"), lambda self, text: self.setObjectName(text))
    QObject.__getattribute__ = _getattribute
    QObject.delete = lambda self: shiboken6.delete(self)
    QObject.className = lambda self: self.metaObject().className()


def _patch_exec() -> None:
    """PythonQt spells `exec` with an underscore; PySide6 still does, but warns."""
    for cls in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QMenu, QtCore.QEventLoop):
        cls.exec_ = lambda self, *arguments: self.exec(*arguments)


def install() -> types.ModuleType:
    """Patch PySide6 once and put `qt` and `ctk` among the modules that can be imported. Returns `qt`."""
    if sys.modules.get("qt") is qt:
        return qt
    for module in _MODULES:
        for name in dir(module):
            member = getattr(module, name)
            if name.startswith("Q"):
                setattr(qt, name, member)
                if isinstance(member, type) and issubclass(member, QObject):
                    _patch_properties(member)
    _patch_object()
    _patch_exec()
    qt.Signal, qt.Slot, qt.SIGNAL = QtCore.Signal, QtCore.Slot, QtCore.SIGNAL
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
    return qt
