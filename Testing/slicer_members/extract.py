"""Writes `members.json`: every member of Qt, CTK and Slicer's Qt classes in use, with header and line.

    python -m Testing.slicer_members.extract --qt INCLUDE_FOLDER --ctk REPOSITORY --slicer REPOSITORY

INCLUDE_FOLDER holds Qt 5.15's headers (`QtWidgets/QPushButton`, ...), as in Debian's qtbase5-dev; the repositories are
git directories of commontk/CTK and Slicer/Slicer. Ends with 1 and a list when a member is not found.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import usage
from .headers import Declaration, Header, optional_count, plain_arguments, read_header

TABLE = Path(__file__).with_name("members.json")
ROOT = Path(__file__).resolve().parents[2]
_QT_MODULES = ("QtCore", "QtGui", "QtWidgets", "QtUiTools")
# For CTK's and Slicer's classes PythonQt shows only what the meta-object system knows.
_META_KINDS = {"property", "slot", "signal", "invokable"}
# PythonQt turns these into Python's own types.
_VALUES = {"QString", "QStringList", "QVariant", "QList", "QMap", "QHash", "QByteArray", "QChar"}


class Sources:
    """Headers by class name, wherever they lie."""

    def __init__(self, qt: Path, repositories: dict[str, Path], revisions: dict[str, str]) -> None:
        self._qt, self._repositories, self._revisions = qt, repositories, revisions
        self._headers: dict[str, Header | None] = {}
        self._texts: dict[str, list[str]] = {}
        self._paths = {name: self._listing(name) for name in repositories}

    def _git(self, name: str, *arguments: str) -> str:
        command = ["git", f"--git-dir={self._repositories[name]}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout

    def _listing(self, name: str) -> dict[str, str]:
        paths = self._git(name, "ls-tree", "-r", "--name-only", self._revisions[name]).splitlines()
        return {Path(path).stem: path for path in paths if path.endswith(".h") and "/Testing/" not in path}

    def header(self, cls: str) -> Header | None:
        if cls not in self._headers:
            self._headers[cls] = self._read(cls)
        return self._headers[cls]

    def _read(self, cls: str) -> Header | None:
        for name, paths in self._paths.items():
            if cls in paths:
                text = self._git(name, "show", f"{self._revisions[name]}:{paths[cls]}")
                return read_header(text, f"{name}:{paths[cls]}").get(cls)
        for module in _QT_MODULES:
            forward = self._qt / module / cls
            if forward.is_file():
                path = forward.parent / re.findall(r'#include\s+"([^"]+)"', forward.read_text())[0]
                text = path.read_text(encoding="utf-8", errors="replace")
                return read_header(text, f"qt:{module}/{path.name}").get(cls)
        return None

    def family(self, cls: str) -> Iterator[Header]:
        """The class and its bases, nearest first."""
        header = self.header(cls)
        if header is None:
            return
        yield header
        for base in header.bases:
            yield from self.family(base.split("::")[-1])

    def line(self, path: str, number: int) -> str:
        """One line of a header, to check what was read."""
        if path not in self._texts:
            origin, _, place = path.partition(":")
            if origin == "qt":
                text = (self._qt / place).read_text(encoding="utf-8", errors="replace")
            else:
                text = self._git(origin, "show", f"{self._revisions[origin]}:{place}")
            self._texts[path] = text.splitlines()
        return self._texts[path][number - 1]

    # ---- look-ups ---------------------------------------------------------------------------------------

    def find(self, use: usage.Use) -> tuple[Header, Declaration] | None:
        if use.member == "":
            header = self.header(use.cls)
            return (header, Declaration(use.cls, "class", header.line)) if header is not None else None
        for header in self.family(use.cls):
            candidates = [d for d in header.members if d.name == use.member.split("(")[0]]
            for declaration in sorted(candidates, key=lambda d: d.kind != "property"):
                if use.kind == "signal":
                    if declaration.kind == "signal" and _signature_fits(use.member, declaration):
                        return header, declaration
                elif _visible(header, declaration):
                    return header, declaration
        return None

    def returns(self, cls: str, member: str) -> str | None:
        found = self.find(usage.Use(cls, member))
        if found is None:
            return None
        kind = found[1].type.rstrip("*").strip()
        if found[1].kind in ("enumerator", "enumeration", "class") or kind.split("<")[0] in _VALUES:
            return None
        return kind if re.fullmatch(r"(Q[A-Z]|ctk|qMRML|qSlicer)\w+", kind) and self.header(kind) else None


def _visible(header: Header, declaration: Declaration) -> bool:
    if header.path.startswith("qt:"):
        return True  # PythonQt has generated wrappers for Qt's own classes: all that is public
    if declaration.kind in ("enumerator", "enumeration"):
        flags = {declaration.type, f"{declaration.type}s"} if declaration.kind == "enumerator" else {declaration.name}
        return bool(flags & header.meta_enums)
    return declaration.kind in _META_KINDS


def _signature_fits(signature: str, declaration: Declaration) -> bool:
    asked = signature[signature.index("(") + 1 : -1]
    wanted = plain_arguments(asked)
    declared = plain_arguments(declaration.arguments)
    fewest = len(declared) - optional_count(declaration.arguments)
    return fewest <= len(wanted) <= len(declared) and wanted == declared[: len(wanted)]


def make_table(sources: Sources, origins: dict[str, str]) -> tuple[dict[str, Any], list[usage.Use]]:
    """The table, and the uses that no header declares."""
    uses = usage.uses_in(usage.project_sources(ROOT), usage.project_ui_files(ROOT), sources.returns)
    entries, missing = [], []
    for use in sorted(uses):
        found = sources.find(use)
        if found is None:
            missing.append(use)
            continue
        header, declaration = found
        if declaration.name not in sources.line(header.path, declaration.line):
            raise RuntimeError(f"{header.path}:{declaration.line} does not name {declaration.name}: a reading error.")
        entry = {"class": use.cls, "member": use.member, "kind": declaration.kind, "declared_by": header.name,
                 "header": header.path, "line": declaration.line}
        result = sources.returns(use.cls, use.member) if use.kind == "member" and use.member else None
        if result is not None:
            entry["gives"] = result
        entries.append(entry)
    return {"sources": origins, "members": entries}, missing


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qt", type=Path, required=True, help="folder of Qt's headers")
    parser.add_argument("--qt-version", default="5.15", help="what the table says of them")
    for name in ("ctk", "slicer"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="git directory")
        parser.add_argument(f"--{name}-commit", default="HEAD")
    options = parser.parse_args(arguments)
    repositories = {"slicer": options.slicer, "ctk": options.ctk}
    revisions = {}
    for name, folder in repositories.items():
        asked = vars(options)[f"{name}_commit"]
        command = ["git", f"--git-dir={folder}", "rev-parse", asked]
        revisions[name] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    sources = Sources(options.qt, repositories, revisions)
    origins = {"qt": f"Qt {options.qt_version}", "ctk": f"commontk/CTK {revisions['ctk']}",
               "slicer": f"Slicer/Slicer {revisions['slicer']}"}
    table, missing = make_table(sources, origins)
    lines = ",\n".join("  " + json.dumps(entry) for entry in table["members"])
    text = f'{{\n "sources": {json.dumps(origins)},\n "members": [\n{lines}\n ]\n}}\n'
    TABLE.write_text(text, encoding="utf-8")
    print(f"{len(table['members'])} members written to {TABLE.name}")
    for use in missing:
        print(f"not found: {use.cls}.{use.member or '(class)'}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
