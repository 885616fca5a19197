"""What the panel uses of Qt, CTK, Slicer and VTK exists there, as far as headers and Slicer's core can tell."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from Testing.slicer_members import usage
from Testing.slicer_members.headers import plain_arguments, read_header

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "Testing" / "slicer_members" / "members.json").read_text(encoding="utf-8"))
ENTRIES = {(entry["class"], entry["member"]): entry for entry in TABLE["members"]}
SOURCES, UI_FILES = usage.project_sources(ROOT), usage.project_ui_files(ROOT)


def returns(cls: str, member: str) -> str | None:
    return ENTRIES.get((cls, member), {}).get("gives")


# ---- the project ----------------------------------------------------------------------------------------


def test_every_member_in_use_is_declared_in_a_header():
    used = usage.uses_in(SOURCES, UI_FILES, returns)
    missing = sorted(f"{use.cls}.{use.member}" for use in used if (use.cls, use.member) not in ENTRIES)
    assert not missing, f"not in members.json (look them up with Testing/slicer_members/extract.py): {missing}"
    assert len(used) > 100


def test_every_entry_says_where_it_was_found():
    for entry in TABLE["members"]:
        origin, _, path = entry["header"].partition(":")
        assert origin in TABLE["sources"]
        assert path.endswith(".h")
        assert entry["line"] > 0
        assert entry["kind"] in ("class", "property", "slot", "signal", "invokable", "function", "enumerator")


def test_members_of_ctk_and_slicer_are_visible_to_pythonqt():
    for entry in TABLE["members"]:
        if entry["header"].startswith(("ctk:", "slicer:")):
            assert entry["kind"] != "function", f"{entry['class']}.{entry['member']} is no slot and no property"


def test_every_widget_that_the_code_names_is_in_the_ui_file():
    assert usage.unknown_widgets(SOURCES, UI_FILES) == set()


def test_every_name_of_slicer_exists(slicer_host):
    import slicer

    instances = set(usage.SLICER_INSTANCES)
    missing = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute)):
                continue
            owner = ast.unparse(node.value)
            if owner == "slicer" and node.attr not in instances and not hasattr(slicer, node.attr):
                missing.add(f"slicer.{node.attr}")
            if owner == "slicer.util" and not hasattr(slicer.util, node.attr):
                missing.add(f"slicer.util.{node.attr}")
            if owner.startswith("slicer.vtk") and "." not in owner.removeprefix("slicer."):
                cls = getattr(slicer, owner.removeprefix("slicer."), None)
                if not hasattr(cls, node.attr):
                    missing.add(f"{owner}.{node.attr}")
    assert missing == set()


def test_every_function_of_nodes_and_vtk_objects_exists_in_some_class(slicer_host):
    import slicer
    import vtk

    known = set()
    for module in (slicer, vtk):
        for name in dir(module):
            member = getattr(module, name)
            if isinstance(member, type):
                known |= set(dir(member))
    called = set().union(*(functions_of_objects(path) for path in SOURCES))
    assert len(called) > 20
    assert called <= known, sorted(called - known)


def functions_of_objects(path: Path) -> set[str]:
    """Names in capitals that are called on an object, not on a module or a class that was imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    calls = [
        node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    return {
        call.attr
        for call in calls
        if call.attr[:1].isupper() and ast.unparse(call.value).removesuffix(".util") not in imported
    }


# ---- reading code ---------------------------------------------------------------------------------------


@pytest.fixture
def uses(tmp_path):
    ui = tmp_path / "x.ui"
    ui.write_text(
        '<ui><widget class="qMRMLWidget" name="X"><widget class="QTableWidget" name="table">'
        '<property name="showGrid"/><property name="Mine" stdset="0"/></widget></widget></ui>',
        encoding="utf-8",
    )
    gives = {("QTableWidget", "horizontalHeader"): "QHeaderView", ("QTableWidget", "item"): "QTableWidgetItem"}

    def read(code: str) -> set[tuple[str, str]]:
        source = tmp_path / "x.py"
        source.write_text(code, encoding="utf-8")
        found = usage.uses_in([source], [ui], lambda cls, member: gives.get((cls, member)))
        return {(use.cls, use.member) for use in found} - {("QTableWidget", "showGrid")}

    return read


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("qt.QLabel('x').text", {("QLabel", ""), ("QLabel", "text")}),
        ("def f(ui):\n t = ui.table\n t.horizontalHeader().hide()",
         {("QTableWidget", "horizontalHeader"), ("QHeaderView", "hide")}),
        ("class A:\n def a(self):\n  self.x = qt.QTimer()\n def b(self):\n  self.x.start()",
         {("QTimer", ""), ("QTimer", "start")}),
        ("def f(ui):\n g(ui.table.item(0, 0))\ndef g(item):\n item.setText('x')",
         {("QTableWidget", "item"), ("QTableWidgetItem", "setText")}),
        ("def f(self):\n for box, tip in ((self._ui.table, 'x'),):\n  box.toolTip = tip",
         {("QTableWidget", "toolTip")}),
        ("def f(w: 'object', b: qt.QPushButton):\n b.connect('clicked()', w)",
         {("QPushButton", ""), ("QPushButton", "clicked()")}),
        ("x = qt.Qt.AlignRight", {("Qt", ""), ("Qt", "AlignRight")}),
        ("slicer.app.processEvents()", {("qSlicerApplication", "processEvents")}),
        ("[c.show() for c in (qt.QLabel(),)]", {("QLabel", ""), ("QLabel", "show")}),
    ],
)
def test_members_are_found_through_what_the_code_says_of_types(uses, code, expected):
    assert uses(code) == expected


def test_dynamic_properties_are_no_members_of_a_class(uses):
    assert ("QTableWidget", "Mine") not in uses("")


# ---- reading headers ------------------------------------------------------------------------------------

HEADER = """
/* class Comment { void no(); }; */
class SOME_EXPORT Widget
  : public QWidget, public Other
{
  Q_OBJECT
  // Q_PROPERTY(int no READ no)
  Q_PROPERTY(QString label READ label WRITE setLabel)
  Q_FLAGS(Filter Filters)
public:
  enum Filter { Dirs = 1,
                Files };
  enum Hidden { One };
  QLabel* labelWidget() const { if (x) { return 0; } }
  Q_INVOKABLE int count() const;
public Q_SLOTS:
  virtual void setLabel(const QString& text, int speed = 0);
Q_SIGNALS:
  void changed(const QString& text);
private:
  void secret();
};
"""


def test_a_class_is_read_with_its_members_lines_and_visibility():
    widget = read_header(HEADER, "x.h")["Widget"]
    found = {member.name: (member.kind, member.line) for member in widget.members}
    assert widget.bases == ["QWidget", "Other"]
    assert found == {
        "label": ("property", 8),
        "Filter": ("enumeration", 11),
        "Dirs": ("enumerator", 11),
        "Files": ("enumerator", 12),
        "Hidden": ("enumeration", 13),
        "One": ("enumerator", 13),
        "labelWidget": ("function", 14),
        "count": ("invokable", 15),
        "setLabel": ("slot", 17),
        "changed": ("signal", 19),
    }
    assert widget.meta_enums == {"Filter", "Filters"}
    assert next(member.type for member in widget.members if member.name == "labelWidget") == "QLabel*"


@pytest.mark.parametrize(
    ("declared", "spelled"),
    [
        ("const QString& text, int count = 0", ["QString", "int"]),
        ("vtkMRMLNode* node", ["vtkMRMLNode*"]),
        ("bool", ["bool"]),
        ("QPrivateSignal", []),
        ("", []),
    ],
)
def test_parameters_are_spelled_as_in_a_signals_signature(declared, spelled):
    assert plain_arguments(declared) == spelled
