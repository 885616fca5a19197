"""Reads the label tables' CSV files, wherever the package lies (clone, wheel, installed extension)."""

import csv
from functools import cache
from importlib import resources


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of `data/<name>.csv`, one dict of column to text per label, in the file's order."""
    text = (resources.files("SynthSegPlusLib.labels.data") / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
