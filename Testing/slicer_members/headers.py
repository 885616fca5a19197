"""Reads the declarations of C++ classes from headers: properties, functions, signals and enumerators, with their lines.

No compiler: a line-wise reading that knows what Qt's, CTK's and Slicer's headers look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_CLASS = re.compile(
    r"^\s*class\s+(?:[A-Z][A-Z0-9_]*\s+)?(?:Q_DECL_\w+\s+)?(\w+)\s*(?:final\s*)?(?::\s*(.*?))?\s*\{?\s*$"
)
_SECTION = re.compile(
    r"^\s*(public|protected|private)?\s*(Q_SLOTS|slots|Q_SIGNALS|signals)?\s*:\s*(?://.*)?$"
)
_PROPERTY = re.compile(r"Q_PROPERTY\(\s*([\w:<>, *]+?)[\s*]+(\w+)\s+(?:READ|MEMBER)")
_FUNCTION = re.compile(r"([\w:<>,&*\s]*?[\s*&])?(\w+)\s*\(")
_ENUM = re.compile(r"^\s*enum\s+(?:class\s+)?(\w+)?")
_NOT_FUNCTIONS = {"Q_DECLARE_PRIVATE", "Q_DISABLE_COPY", "Q_OBJECT", "Q_FLAGS", "Q_ENUMS", "Q_ENUM", "Q_FLAG", "if"}
_QUALIFIERS = re.compile(
    r"\b(virtual|static|inline|explicit|const|constexpr|Q_INVOKABLE|Q_REQUIRED_RESULT|Q_SCRIPTABLE)\b"
)


@dataclass(frozen=True)
class Declaration:
    """Where a member is declared. `visible`: as property, slot, signal, invokable or known enumerator."""

    name: str
    kind: str  # property, slot, signal, invokable, function, enumerator
    line: int
    type: str = ""
    arguments: str = ""


@dataclass
class Header:
    """One class of a header."""

    name: str
    path: str
    line: int
    bases: list[str]
    members: list[Declaration] = field(default_factory=list)
    meta_enums: set[str] = field(default_factory=set)


def read_header(text: str, path: str) -> dict[str, Header]:
    """All classes of a header by name."""
    found: dict[str, Header] = {}
    lines = _without_comments(text).splitlines()
    number = 0
    while number < len(lines):
        match = _CLASS.match(lines[number])
        if match and not lines[number].rstrip().endswith(";"):
            number = _read_class(lines, number, match, path, found)
        else:
            number += 1
    _read_namespace(lines, path, found)
    return found


def _without_comments(text: str) -> str:
    """The text with comments blanked, so that lines keep their numbers."""
    blank: Callable[[re.Match[str]], str] = lambda match: re.sub(r"[^\n]", " ", match.group())  # noqa: E731
    return re.sub(r"//[^\n]*", blank, re.sub(r"/\*.*?\*/", blank, text, flags=re.DOTALL))


def _read_class(lines: list[str], start: int, match: re.Match[str], path: str, found: dict[str, Header]) -> int:
    head, opening = lines[start], start
    while "{" not in head and opening + 1 < len(lines) and ";" not in head:
        opening += 1
        head += " " + lines[opening]
    bases = re.findall(r"public\s+(?:virtual\s+)?([\w:]+)", head)
    header = Header(match.group(1), path, start + 1, bases)
    depth = head.count("{") - head.count("}")
    section, number = "private", opening + 1
    while number < len(lines) and depth > 0:
        line = lines[number]
        if depth == 1:
            section, number = _read_member(lines, number, section, header)
            line = lines[number] if number < len(lines) else ""
        depth += line.count("{") - line.count("}")
        number += 1
    found[header.name] = header
    return number


def _read_member(lines: list[str], number: int, section: str, header: Header) -> tuple[str, int]:
    """Read what starts on a line. Returns the section that holds now and the line that was read last but for braces."""
    line = lines[number]
    divided = _SECTION.match(line)
    if divided and (divided.group(1) or divided.group(2)):
        what = (divided.group(2) or "").lower()
        return ("signals" if "signals" in what else f"{divided.group(1)} slots" if what else divided.group(1)), number
    prop = _PROPERTY.search(line)
    if prop:
        kind = prop.group(1).strip() + ("*" if "*" in line.split(prop.group(2))[0] else "")
        header.members.append(Declaration(prop.group(2), "property", number + 1, kind))
        return section, number
    for macro in re.findall(r"Q_(?:ENUMS?|FLAGS?)\(([^)]*)\)", line):
        header.meta_enums.update(macro.split())
    if _ENUM.match(line) or re.search(r"Q_DECLARE_FLAGS", line):
        return section, _read_enum(lines, number, header)
    if "(" in line and not line.lstrip().startswith(("#", "Q_PROPERTY")):
        _read_function(lines, number, section, header)
    return section, number


def _read_enum(lines: list[str], number: int, header: Header) -> int:
    match = _ENUM.match(lines[number])
    if match is None or lines[number].rstrip().endswith(";") and "{" not in lines[number]:
        return number
    if match.group(1):
        header.members.append(Declaration(match.group(1), "enumeration", number + 1))
    last = number
    body = lines[number].partition("{")[2]
    _enumerators(body.partition("}")[0], number, match.group(1) or "", header)
    while "}" not in lines[last] and last + 1 < len(lines):
        last += 1
        text = lines[last].partition("}")[0]
        _enumerators(text.replace("{", ""), last, match.group(1) or "", header)
    if last != number:
        lines[last] = lines[last].replace("}", "", 1)  # its opening brace was on a line that is not counted again
    return last


def _enumerators(text: str, number: int, enum: str, header: Header) -> None:
    for part in text.split(","):
        name = re.match(r"\s*([A-Za-z_]\w*)\s*(?:=.*)?$", part)
        if name:
            header.members.append(Declaration(name.group(1), "enumerator", number + 1, enum))


def _read_function(lines: list[str], number: int, section: str, header: Header) -> None:
    line = lines[number]
    match = _FUNCTION.search(line)
    if match is None or match.group(2) in _NOT_FUNCTIONS or match.group(2).startswith("Q_"):
        return
    text, last = line[match.end() :], number
    while text.count(")") <= text.count("(") and last + 1 < len(lines) and last - number < 6:
        last += 1
        text += " " + lines[last].strip()
    kind = {"signals": "signal", "public slots": "slot", "public": "function"}.get(section)
    if "Q_INVOKABLE" in line:
        kind = "invokable"
    if kind is None:
        return
    returned = _QUALIFIERS.sub("", match.group(1) or "").strip()
    pointer = "*" if "*" in (match.group(1) or "") else ""
    returned = returned.replace("*", "").replace("&", "").strip() + pointer
    header.members.append(Declaration(match.group(2), kind, number + 1, returned, _arguments(text)))


def _arguments(text: str) -> str:
    depth, end = 1, len(text)
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            end = index
            break
    return re.sub(r"\s+", " ", text[:end]).strip()


def _read_namespace(lines: list[str], path: str, found: dict[str, Header]) -> None:
    """Qt's own enumerations lie in a namespace, which PythonQt shows as the class `Qt`."""
    for number, line in enumerate(lines):
        if re.match(r"^Qt\s*\{", line) and path.endswith("qnamespace.h"):
            header = Header("Qt", path, number + 1, [])
            index = number
            while index < len(lines):
                index = _read_enum(lines, index, header) + 1 if _ENUM.match(lines[index]) else index + 1
            found["Qt"] = header
            return


def plain_arguments(arguments: str) -> list[str]:
    """Types of a parameter list as a signal's signature spells them: `const QString &text` -> `QString`."""
    if not arguments or arguments in ("void", "QPrivateSignal"):
        return []
    plain = []
    for part in re.split(r",(?![^<]*>)", arguments):
        text = part.split("=")[0].strip()
        by_reference = re.match(r"const\s+([\w:<>]+)\s*&", text)
        if by_reference:
            plain.append(by_reference.group(1))
        else:
            words = re.match(r"((?:const\s+)?[\w:<>]+\s*\*?)", text)
            plain.append(re.sub(r"\s+", "", words.group(1).replace("const ", "")) if words else text)
    return plain


def optional_count(arguments: str) -> int:
    """How many of the last parameters have a default."""
    return sum("=" in part for part in re.split(r",(?![^<]*>)", arguments)) if arguments else 0
