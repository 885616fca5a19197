"""How a typed value lies in a parameter node: as a string, or for nodes as a reference."""

from __future__ import annotations

import enum
import pathlib
from typing import Any

import slicer

from .annotations import Default, find, split

_PLAIN = (bool, int, float, str, pathlib.Path, pathlib.PurePath)


class Storage:
    """One field: its type, its default, its checks; reads and writes it in a parameter node."""

    def __init__(self, name: str, annotated: Any, equals: Any = None) -> None:
        self.name, self.annotated = name, annotated
        self.kind, self.annotations = split(annotated)
        self.is_node = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        self.is_enum = isinstance(self.kind, type) and issubclass(self.kind, enum.Enum)
        if not (self.is_node or self.is_enum or self.kind in _PLAIN):
            raise TypeError(f"The test host knows no field of type {annotated} ({name}).")
        self.default = self._default(equals)

    def _default(self, equals: Any) -> Any:
        if equals is not None:
            return equals
        given = find(self.annotations, Default)
        if given is not None:
            return given.value
        if self.is_node:
            return None
        return next(iter(self.kind)) if self.is_enum else self.kind()

    def check(self, value: Any) -> None:
        if self.is_node and value is None:
            return
        expected = (int, float) if self.kind is float else self.kind
        if not isinstance(value, expected):
            raise TypeError(f"{self.name} must be of type {self.kind.__name__}, is {type(value).__name__} {value!r}")
        for entry in self.annotations:
            if hasattr(entry, "validate"):
                entry.validate(value)

    def is_in(self, node: Any) -> bool:
        return bool(node.HasParameter(self.name))

    def write(self, node: Any, value: Any) -> None:
        self.check(value)
        if self.is_node:
            # None is a value too: the empty parameter says that the field was written.
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        elif self.is_enum:
            node.SetParameter(self.name, value.name)
        else:
            node.SetParameter(self.name, str(value))

    def read(self, node: Any) -> Any:
        if not self.is_in(node):
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.is_enum:
            return self.kind[text]
        return text == "True" if self.kind is bool else self.kind(text)
