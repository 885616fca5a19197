"""The layout's promise: imports point one way, and Slicer's process stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "SynthSegPlusLib"

HEAVY = ("keras", "tensorflow", "torch", "jax", "nibabel", "h5py", "scipy", "SimpleITK", "matplotlib", "psutil")
SLICER = ("slicer", "vtk", "qt", "ctk")

# Who may import whom, area by area; an area may always import itself.
ALLOWED = {
    "labels": set(),
    "contract": {"labels"},
    "volume": {"labels", "contract"},
    "networks": {"labels", "contract", "volume"},
    "inference": {"labels", "contract", "volume", "networks"},
    "synthesis": {"labels", "contract", "volume", "networks"},
    "evaluation": {"labels", "contract", "volume", "networks", "inference"},
    "training": {"labels", "contract", "volume", "networks", "inference", "synthesis", "evaluation"},
    "report": {"labels", "contract", "volume", "inference", "evaluation"},
    "cohort": {"labels", "contract", "volume", "networks", "inference", "report"},
    # The worker's client is the one part of inference that Slicer's process uses; see LIGHT below.
    "scene": {"labels", "contract", "inference"},
    "panel": {"labels", "contract", "inference", "scene"},
}

LIGHT = (
    "SynthSegPlusLib", "SynthSegPlusLib.labels", "SynthSegPlusLib.contract", "SynthSegPlusLib.contract.protocol",
    "SynthSegPlusLib.contract.exchange", "SynthSegPlusLib.inference.client",
)


def imports_of(path: Path) -> set[str]:
    """Every module name that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def areas_of(names: set[str]) -> set[str]:
    parts = (name.split(".") for name in names)
    return {part[1] for part in parts if part[0] == "SynthSegPlusLib" and len(part) > 1}


FILES = sorted(LIBRARY.rglob("*.py"))


@pytest.mark.parametrize("area", sorted(ALLOWED))
def test_an_area_imports_only_what_lies_below_it(area):
    allowed = ALLOWED[area] | {area}
    wrong = {
        f"{path.relative_to(LIBRARY)} -> {other}"
        for path in FILES
        if path.relative_to(LIBRARY).parts[0] == area
        for other in areas_of(imports_of(path)) & (set(ALLOWED) - allowed)
    }
    assert not wrong


def test_only_scene_and_panel_know_slicer():
    wrong = {
        str(path.relative_to(LIBRARY))
        for path in FILES
        if path.relative_to(LIBRARY).parts[0] not in ("scene", "panel")
        and {name.split(".")[0] for name in imports_of(path)} & set(SLICER)
    }
    assert not wrong


def test_scene_and_panel_import_nothing_heavy_anywhere():
    wrong = {
        f"{path.relative_to(LIBRARY)}: {name}"
        for path in FILES
        if path.relative_to(LIBRARY).parts[0] in ("scene", "panel", "labels", "contract")
        for name in imports_of(path)
        if name.split(".")[0] in HEAVY
    }
    assert not wrong


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_opens_with_every_heavy_package_blocked(module):
    block = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import {module}"
    finished = subprocess.run([sys.executable, "-c", block], cwd=LIBRARY.parent, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
