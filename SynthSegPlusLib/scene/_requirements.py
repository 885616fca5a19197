"""What the worker needs, from the requirements files, and what of it a Python already has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKENDS = ("tensorflow", "torch", "jax")
"""In the order of preference."""

_LINE = re.compile(r"^(?P<text>[^;#]+?)\s*(;\s*sys_platform (?P<test>[!=]=) '(?P<platform>\w+)')?\s*"
                   r"#\s*(?P<module>\w+) (?P<megabytes>\d+)$")


@dataclass(frozen=True)
class Requirement:
    """One package: what pip is told, the module it brings, and its size on disk in MB with what it brings along."""

    text: str
    module: str
    megabytes: int


def readRequirements(path: Path, platform: str = sys.platform) -> list[Requirement]:
    """Requirements of a file of Resources for a platform; ValueError names a line that is not understood."""
    found = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise ValueError(f"{Path(path).name}: {line!r} is no requirement with module and size.")
        wanted = match["test"] is None or (match["test"] == "==") == (match["platform"] == platform)
        if wanted:
            found.append(Requirement(match["text"].strip(), match["module"], int(match["megabytes"])))
    return found


def requirementsFor(resources: Path, backend: str, platform: str = sys.platform) -> list[Requirement]:
    """Everything that the worker needs with one backend."""
    names = ("requirements.txt", f"requirements-{backend}.txt")
    return [requirement for name in names for requirement in readRequirements(Path(resources) / name, platform)]


def totalMegabytes(requirements: Iterable[Requirement]) -> int:
    return sum(requirement.megabytes for requirement in requirements)


_PROBE = ("import importlib.util, json, sys\n"
          "sys.path[:0] = json.loads(sys.argv[1])\n"
          "print(json.dumps({name: importlib.util.find_spec(name) is not None for name in sys.argv[2:]}))\n")


def probeCommand(python: str, folders: Sequence[Path], modules: Sequence[str]) -> list[str]:
    """A command that says as JSON which modules a Python finds, without importing any."""
    return [python, "-c", _PROBE, json.dumps([str(folder) for folder in folders]), *modules]


def modulesFound(python: str, folders: Sequence[Path], modules: Sequence[str],
                 environment: Mapping[str, str] | None = None) -> set[str]:
    """Which of the modules a Python finds with the given folders first on its path."""
    options: dict[str, Any] = {"creationflags": 0x08000000} if sys.platform == "win32" else {}  # no console window
    try:
        finished = subprocess.run(probeCommand(python, folders, modules), capture_output=True, text=True, timeout=60,
                                  check=True, env=None if environment is None else dict(environment), **options)
        return {name for name, there in json.loads(finished.stdout.splitlines()[-1]).items() if there}
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        # A Python that cannot even answer has nothing that the worker could use.
        return set()
