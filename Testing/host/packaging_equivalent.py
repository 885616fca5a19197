"""A small equivalent of `slicer.packaging` (Slicer 5.12 and later); runs pip through `PythonSlicer`."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

import slicer
from packaging.requirements import Requirement

Requirements = str | Requirement | list[str | Requirement]


def load_requirements(path: str | Path) -> list[Requirement]:
    """The requirements of a file; comments and empty lines are left out, options are refused."""
    found = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        text = line.split("#", 1)[0].strip() if not line.strip().startswith("#") else ""
        if text.startswith("-"):
            raise ValueError(f"{path} has the option {text!r}; only requirements can be listed.")
        if text:
            found.append(Requirement(text))
    return found


def _listed(requirements: Requirements) -> list[Requirement]:
    if isinstance(requirements, str):
        return [Requirement(part) for part in requirements.split()]
    if isinstance(requirements, Requirement):
        return [requirements]
    return [part if isinstance(part, Requirement) else Requirement(part) for part in requirements]


def pip_check(req: Requirements) -> bool:
    """Whether all requirements that apply here are installed."""
    for requirement in _listed(req):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            return False
        if not requirement.specifier.contains(version, prereleases=True):
            return False
    return True


def pip_install(requirements: str | list[str], constraints: str | Path | None = None, **_: Any) -> None:
    """Install; `subprocess.CalledProcessError` when pip fails."""
    arguments = requirements.split() if isinstance(requirements, str) else [str(part) for part in requirements]
    if constraints is not None:
        arguments += ["-c", str(constraints)]
    slicer.util.executePythonModule("pip", ["install", *arguments])


def pip_uninstall(requirements: str | list[str], **_: Any) -> None:
    """Uninstall without asking."""
    arguments = requirements.split() if isinstance(requirements, str) else list(requirements)
    slicer.util.executePythonModule("pip", ["uninstall", *arguments, "--yes"])


def pip_ensure(
    requirements: Requirements,
    constraints: str | Path | None = None,
    prompt_install: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    **_: Any,
) -> None:
    """Install what is missing, after the user agreed. RuntimeError when the user declines; nothing in testing mode."""
    missing = [str(part) for part in _listed(requirements) if not pip_check(part)]
    if not missing or (skip_in_testing and slicer.app.testingEnabled()):
        return
    question = f"{requester or 'This module'} needs Python packages: {', '.join(missing)}. Install them now?"
    if prompt_install and not slicer.util.confirmOkCancelDisplay(question):
        raise RuntimeError("The installation of required Python packages was declined.")
    pip_install(missing, constraints)


def isPipInstallInProgress() -> bool:
    return False


CalledProcessError = subprocess.CalledProcessError
