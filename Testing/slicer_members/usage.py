"""Finds, without running it, the members of Qt, CTK and Slicer's Qt classes that code uses.

Types are inferred as far as the code gives them: constructors, widgets of the `.ui` file by name, assignments,
arguments of calls inside a file, and what headers say a function returns. Order is not followed: a name has every type
that it is ever given.
"""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

UI_NAMES = ("ui", "_ui")
ROUNDS = 5  # passes until types have gone through chains of assignments and calls

# Qt's form loader has these for layouts, although no layout has such a property.
LAYOUT_MARGINS = frozenset({"leftMargin", "topMargin", "rightMargin", "bottomMargin"})

# What PythonQt gives to every object, whatever its headers say.
PYTHONQT_OWN = frozenset({"connect", "disconnect", "delete", "className", "name"})

# Attributes that Slicer's base classes of scripted modules give.
BASE_ATTRIBUTES = {
    "ScriptedLoadableModule": {"parent": "qSlicerScriptedLoadableModule"},
    "ScriptedLoadableModuleWidget": {"parent": "qSlicerScriptedLoadableModuleWidget", "layout": "QVBoxLayout"},
}
SLICER_INSTANCES = {"app": "qSlicerApplication"}


@dataclass(frozen=True, order=True)
class Use:
    """One member that is used; `kind` is "member" or "signal" (then `member` is the signature)."""

    cls: str
    member: str
    kind: str = "member"


@dataclass(frozen=True)
class Type:
    """What an expression may be: an instance of a class, the class itself, or the object with the .ui's widgets."""

    kind: str  # "instance", "class" or "ui"
    name: str = ""


Returns = Callable[[str, str], str | None]
"""(class, member) -> the class of what the member is or returns; None when it is no Qt object."""


@dataclass
class UiFile:
    """What a `.ui` file uses: the widgets by name, and every property and connection."""

    root: str
    widgets: dict[str, str]
    uses: set[Use] = field(default_factory=set)


def read_ui(path: Path) -> UiFile:
    document = ElementTree.parse(path).getroot()
    top = document.find("widget")
    if top is None:
        raise ValueError(f"{path.name} has no widget.")
    found = UiFile(top.get("class", ""), {})
    for element in document.iter():
        if element.tag not in ("widget", "layout", "spacer", "action"):
            continue
        cls = element.get("class", "")
        if element.get("name") and cls:
            found.widgets[element.get("name", "")] = cls
        for prop in element.findall("property"):
            # A dynamic property (stdset="0") exists because the file says so.
            of_loader = element.tag == "layout" and prop.get("name") in LAYOUT_MARGINS
            if cls and prop.get("stdset") != "0" and not of_loader:
                found.uses.add(Use(cls, prop.get("name", "")))
    for connection in document.iter("connection"):
        sender = found.widgets.get(connection.findtext("sender", ""), found.root)
        receiver = found.widgets.get(connection.findtext("receiver", ""), found.root)
        found.uses.add(Use(sender, connection.findtext("signal", ""), "signal"))
        found.uses.add(Use(receiver, connection.findtext("slot", "").split("(")[0]))
    return found


def uses_in(sources: Iterable[Path], ui_files: Iterable[Path], returns: Returns) -> set[Use]:
    """Every use in source files and `.ui` files."""
    uis = [read_ui(path) for path in ui_files]
    widgets = {name: cls for ui in uis for name, cls in ui.widgets.items()}
    found = {use for ui in uis for use in ui.uses}
    for path in sources:
        reader = _Reader(ast.parse(path.read_text(encoding="utf-8")), widgets, uis[0].root if uis else "", returns)
        found |= reader.read()
    return {use for use in found if use.member not in PYTHONQT_OWN}


def unknown_widgets(sources: Iterable[Path], ui_files: Iterable[Path]) -> set[str]:
    """Names that code looks up in the .ui's widgets and that no `.ui` file has."""
    known = {name for path in ui_files for name in read_ui(path).widgets}
    asked = set()
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and _is_ui(node.value):
                asked.add(node.attr)
    return asked - known


def _is_ui(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id in UI_NAMES) or (
        isinstance(node, ast.Attribute) and node.attr in UI_NAMES
    )


class _Reader:
    """One file."""

    def __init__(self, tree: ast.Module, widgets: dict[str, str], root: str, returns: Returns) -> None:
        self._tree, self._widgets, self._root, self._returns = tree, widgets, root, returns
        self._types: dict[tuple[str, str], set[Type]] = {}
        self._functions: dict[str, ast.FunctionDef] = {}
        self._results: dict[str, set[Type]] = {}
        self.uses: set[Use] = set()

    def read(self) -> set[Use]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.FunctionDef):
                self._functions.setdefault(node.name, node)
        for _ in range(ROUNDS):
            self._block(self._tree.body, "", "")
        return self.uses

    # ---- statements -------------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt], scope: str, cls: str) -> None:
        for statement in body:
            self._statement(statement, scope, cls)

    def _statement(self, node: ast.stmt, scope: str, cls: str) -> None:
        if isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.FunctionDef):
            self._function(node, cls)
        elif isinstance(node, ast.Assign):
            given = self._type(node.value, scope, cls)
            for target in node.targets:
                self._bind(target, node.value, given, scope, cls)
        elif isinstance(node, ast.AnnAssign):
            given = self._annotation(node.annotation, scope, cls)
            if node.value is not None:
                given |= self._type(node.value, scope, cls)
            self._bind(node.target, node.value, given, scope, cls)
        elif isinstance(node, ast.For):
            self._loop(node, scope, cls)
            self._block([*node.body, *node.orelse], scope, cls)
        elif isinstance(node, ast.Return) and node.value is not None:
            self._results.setdefault(scope, set()).update(self._type(node.value, scope, cls))
        else:
            for child in ast.iter_child_nodes(node):
                self._child(child, scope, cls)

    def _child(self, node: ast.AST, scope: str, cls: str) -> None:
        if isinstance(node, ast.expr):
            self._type(node, scope, cls)
        elif isinstance(node, ast.stmt):
            self._statement(node, scope, cls)
        else:
            for child in ast.iter_child_nodes(node):
                self._child(child, scope, cls)

    def _class(self, node: ast.ClassDef) -> None:
        for base in node.bases:
            name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
            for attribute, given in BASE_ATTRIBUTES.get(name, {}).items():
                self._add((node.name, attribute), {Type("instance", given)})
            if name == "ScriptedLoadableModule":
                self._add(("__init__", "parent"), {Type("instance", "qSlicerScriptedLoadableModule")})
        self._block(node.body, "", node.name)

    def _function(self, node: ast.FunctionDef, cls: str) -> None:
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            if argument.annotation is not None:
                self._add((node.name, argument.arg), self._annotation(argument.annotation, node.name, cls))
        self._block(node.body, node.name, cls)

    def _loop(self, node: ast.For, scope: str, cls: str) -> None:
        self._type(node.iter, scope, cls)
        elements = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List) else []
        for element in elements:
            self._bind(node.target, element, self._type(element, scope, cls), scope, cls)

    def _bind(
        self, target: ast.expr, value: ast.expr | None, given: set[Type], scope: str, cls: str
    ) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for part, each in zip(target.elts, values, strict=False):
                self._bind(part, each, self._type(each, scope, cls), scope, cls)
        elif isinstance(target, ast.Name):
            self._add((scope, target.id), given)
        elif isinstance(target, ast.Attribute):
            if isinstance(target.value, ast.Name) and target.value.id == "self":
                self._add((cls, target.attr), given)
            self._type(target, scope, cls)
        else:
            self._type(target, scope, cls)

    def _add(self, key: tuple[str, str], given: set[Type]) -> None:
        self._types.setdefault(key, set()).update(given)

    def _annotation(self, node: ast.expr, scope: str, cls: str) -> set[Type]:
        if isinstance(node, ast.BinOp):
            return self._annotation(node.left, scope, cls) | self._annotation(node.right, scope, cls)
        return {Type("instance", given.name) for given in self._type(node, scope, cls) if given.kind == "class"}

    # ---- expressions ------------------------------------------------------------------------------------

    def _type(self, node: ast.expr, scope: str, cls: str) -> set[Type]:
        if isinstance(node, ast.Name):
            if node.id in UI_NAMES:
                return {Type("ui")}
            return self._types.get((scope, node.id), set()) | self._types.get(("", node.id), set())
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope, cls)
        if isinstance(node, ast.Call):
            return self._call(node, scope, cls)
        if isinstance(node, ast.IfExp):
            self._type(node.test, scope, cls)
            return self._type(node.body, scope, cls) | self._type(node.orelse, scope, cls)
        if isinstance(node, ast.BoolOp):
            return set().union(*(self._type(value, scope, cls) for value in node.values))
        if isinstance(node, ast.NamedExpr):
            given = self._type(node.value, scope, cls)
            self._bind(node.target, node.value, given, scope, cls)
            return given
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            self._comprehension(node, scope, cls)
            return set()
        for child in ast.iter_child_nodes(node):
            self._child(child, scope, cls)
        return set()

    def _comprehension(self, node: ast.expr, scope: str, cls: str) -> None:
        for part in node.generators:  # type: ignore[attr-defined]
            elements = part.iter.elts if isinstance(part.iter, ast.Tuple | ast.List) else []
            for element in elements:
                self._bind(part.target, element, self._type(element, scope, cls), scope, cls)
        for child in ast.iter_child_nodes(node):
            self._child(child, scope, cls)

    def _attribute(self, node: ast.Attribute, scope: str, cls: str) -> set[Type]:
        if node.attr in UI_NAMES:
            return {Type("ui")}
        if isinstance(node.value, ast.Name):
            known = self._module_attribute(node.value.id, node.attr)
            if known is not None:
                return {known}
            if node.value.id == "self":
                return self._types.get((cls, node.attr), set())
        found: set[Type] = set()
        for owner in self._type(node.value, scope, cls):
            if owner.kind == "ui":
                if node.attr in self._widgets:
                    found.add(Type("instance", self._widgets[node.attr]))
                continue
            self.uses.add(Use(owner.name, node.attr))
            result = self._returns(owner.name, node.attr)
            if result is not None:
                found.add(Type("instance", result))
        return found

    def _module_attribute(self, module: str, name: str) -> Type | None:
        if module in ("qt", "ctk"):
            self.uses.add(Use(name, ""))
            return Type("class", name)
        if module == "slicer" and name.startswith(("qMRML", "qSlicer")):
            self.uses.add(Use(name, ""))
            return Type("class", name)
        if module == "slicer" and name in SLICER_INSTANCES:
            return Type("instance", SLICER_INSTANCES[name])
        return None

    def _call(self, node: ast.Call, scope: str, cls: str) -> set[Type]:
        arguments = [self._type(argument, scope, cls) for argument in node.args]
        for keyword in node.keywords:
            self._type(keyword.value, scope, cls)
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in ("connect", "disconnect") and node.args:
            self._connection(function, node.args[0], scope, cls)
            return set()
        if isinstance(function, ast.Attribute) and function.attr == "loadUI" and self._root:
            return {Type("instance", self._root)}
        called = function.id if isinstance(function, ast.Name) else None
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "self":
            called = function.attr
        if called in self._functions:
            self._pass(self._functions[called], arguments)
            return self._results.get(called, set())
        made = self._type(function, scope, cls)
        # Calling a class makes an instance; calling a member gives what the member returns.
        return {Type("instance", given.name) for given in made if given.kind in ("class", "instance")}

    def _pass(self, function: ast.FunctionDef, arguments: list[set[Type]]) -> None:
        names = [argument.arg for argument in function.args.args]
        names = names[1:] if names[:1] == ["self"] else names
        for name, given in zip(names, arguments, strict=False):
            self._add((function.name, name), given)

    def _connection(self, function: ast.Attribute, signal: ast.expr, scope: str, cls: str) -> None:
        for owner in self._type(function.value, scope, cls):
            if owner.kind == "instance" and isinstance(signal, ast.Constant) and isinstance(signal.value, str):
                self.uses.add(Use(owner.name, signal.value, "signal"))


def project_sources(root: Path) -> list[Path]:
    """The files of the project that talk to Slicer."""
    library = root / "SynthSegPlusLib"
    return sorted(_python_files(root / "SynthSegPlus", library / "scene", library / "panel"))


def project_ui_files(root: Path) -> list[Path]:
    return sorted((root / "SynthSegPlus" / "Resources" / "UI").glob("*.ui"))


def _python_files(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from folder.rglob("*.py")
