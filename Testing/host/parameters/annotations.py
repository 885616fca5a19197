"""What may stand beside a field's type in `Annotated[...]`."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Default:
    """The value that a new parameter node starts with."""

    value: Any


@dataclass(frozen=True)
class Decimals:
    """Decimals that the bound widget shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Step of the bound widget."""

    value: float


@dataclass(frozen=True)
class WithinRange:
    """The value lies in [minimum, maximum]."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Minimum:
    """The value is not less."""

    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must not be less than {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum:
    """The value is not more."""

    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must not be more than {self.maximum}, is {value}")


@dataclass(frozen=True)
class Choice:
    """The value is one of these."""

    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {list(self.choices)}")


def split(annotated: Any) -> tuple[Any, list[Any]]:
    """(type, annotations) of a field's type; `X | None` is X, as None is a value of every node field."""
    annotations: list[Any] = []
    kind = annotated
    if typing.get_origin(kind) is typing.Annotated:
        kind, *annotations = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        if len(members) != 1:
            raise TypeError(f"The test host knows no field of type {kind}.")
        kind = members[0]
    return kind, annotations


def find(annotations: list[Any], kind: type) -> Any:
    """The first annotation of a class, or None."""
    return next((entry for entry in annotations if isinstance(entry, kind)), None)
