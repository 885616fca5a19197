"""Reads the values of a JSON description, and says in words what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.errors import ModelError


class Fields:
    """One JSON object of a model set's description, and where it stands, for messages."""

    def __init__(self, values: object, path: Path, place: str = ""):
        if not isinstance(values, Mapping):
            raise ModelError(f"In {path}, {place or 'the description'} is not a JSON object; correct the file.")
        self.values, self.path, self.place = values, path, place

    def wrong(self, key: str, problem: str) -> ModelError:
        """The error that says what is wrong with an entry."""
        name = f"{self.place}.{key}" if self.place else key
        return ModelError(f"In {self.path}, {name} {problem}; correct the file or choose another model set.")

    def only(self, *known: str) -> None:
        """Refuse entries that are not known: a misspelt option must not be ignored in silence."""
        unknown = sorted(set(self.values) - set(known))
        if unknown:
            raise self.wrong(unknown[0], f"is unknown (known are {', '.join(known)})")

    def text(self, key: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"is {value!r} where text is needed")
        if choices and value not in choices:
            raise self.wrong(key, f"is {value!r}; it can be {', '.join(choices)}")
        return value

    def number(self, key: str, default: float | None = None, low: float = 0.0, high: float = float("inf")) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.wrong(key, f"is {value!r} where a number from {low:g} to {high:g} is needed")
        return float(value)

    def whole(self, key: str, default: int | None = None, low: int = 0) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self.wrong(key, f"is {value!r} where a whole number of {low} or more is needed")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"is {value!r} where true or false is needed")
        return value

    def wholes(self, key: str, length: int | None = None) -> tuple[int, ...]:
        """A list of whole numbers; an absent one is empty."""
        value = self.values.get(key, [])
        fits = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
        if not fits or (length is not None and len(value) != length):
            raise self.wrong(key, f"is {value!r} where a list of {length or ''} whole numbers is needed")
        return tuple(value)

    def numbers(self, key: str, low: float, high: float) -> tuple[float, ...]:
        """A list of numbers from ``low`` to ``high``; an absent one is empty."""
        value = self.values.get(key, [])
        fits = isinstance(value, list) and all(
            isinstance(n, (int, float)) and not isinstance(n, bool) and low <= n <= high for n in value
        )
        if not fits:
            raise self.wrong(key, f"is {value!r} where a list of numbers from {low:g} to {high:g} is needed")
        return tuple(map(float, value))

    def part(self, key: str) -> Fields:
        """A nested object; an absent one is empty."""
        return Fields(self.values.get(key, {}), self.path, f"{self.place}.{key}" if self.place else key)

    def _get(self, key: str, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        return value
