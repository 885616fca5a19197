"""A small equivalent of `slicer.i18n`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import slicer

_PLACEHOLDER = re.compile(r"(?<!\{)\{([^{}]+)\}(?!\})")


def translate(context: str, text: str) -> str:
    """Translate a text in a context that is named."""
    return slicer.app.translate(context, text)


def context_of(source: str) -> str:
    """The context of a source file: its name, preceded by its package's when it lies in one."""
    path = Path(source)
    inside_package = (path.parent / "__init__.py").is_file()
    return f"{path.parent.name}.{path.stem}" if inside_package else path.stem


getContext = context_of


def tr(text: str) -> str:
    """Translate a text in the context of the calling file. A translation that lost a placeholder is not used."""
    if not isinstance(text, str):
        raise TypeError(f"Only text can be translated, not {type(text).__name__}.")
    translated = translate(context_of(sys._getframe(1).f_code.co_filename), text)
    return translated if set(_PLACEHOLDER.findall(translated)) == set(_PLACEHOLDER.findall(text)) else text
