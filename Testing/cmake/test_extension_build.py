"""The extension configures, installs and packages against a stand-in for Slicer, and what was installed works."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from Testing import host

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).parent / "slicer_stub"
MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")


def _tool(name: str) -> str:
    """A program of CMake's: from the Python package, else from PATH."""
    if importlib.util.find_spec("cmake") is not None:
        import cmake

        found = shutil.which(name, path=cmake.CMAKE_BIN_DIR)
        if found is not None:
            return found
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: cmake; PyPI: cmake)")
    return found


def _generator() -> list[str]:
    for program, name in (("ninja", "Ninja"), ("make", "Unix Makefiles")):
        if shutil.which(program) is not None:
            return ["-G", name]
    pytest.skip("neither ninja nor make is installed (Debian: make)")


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def configure(source: Path, build: Path, *options: str) -> subprocess.CompletedProcess[str]:
    common = [f"-DSlicer_DIR={STUB}", "-DSynthSegPlus_LANGUAGES=NONE"]
    return run(_tool("cmake"), "-S", source, "-B", build, *_generator(), *common, *options)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    done = configure(ROOT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(_tool("cmake"), "--build", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    done = run(_tool("cmake"), "--install", build, "--prefix", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / MODULES


def files_below(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name and not re.search(r"(^|/)\.", name)}


def expected_files() -> set[str]:
    library = {f"SynthSegPlusLib/{name}" for name in files_below(ROOT / "SynthSegPlusLib")}
    resources = {f"Resources/{name}" for name in files_below(ROOT / "SynthSegPlus" / "Resources")}
    return {"SynthSegPlus.py"} | library | resources


def test_module_resources_and_the_whole_library_are_installed_side_by_side(installed):
    assert files_below(installed) == expected_files()


def test_models_and_label_tables_are_among_the_installed_files(installed):
    names = files_below(installed)
    assert any(re.fullmatch(r"SynthSegPlusLib/models/[^/]+/model_set\.json", name) for name in names)
    assert any(name.startswith("SynthSegPlusLib/labels/") and name.endswith((".csv", ".json")) for name in names)
    assert "Resources/UI/SynthSegPlus.ui" in names
    assert "Resources/Icons/SynthSegPlus.png" in names


def test_the_build_tree_can_be_used_as_a_module_path_of_slicer(build):
    assert files_below(build / MODULES) == expected_files()


def test_the_library_is_imported_from_the_installed_tree(installed, tmp_path):
    code = (
        "import SynthSegPlusLib, SynthSegPlusLib.labels as labels, SynthSegPlusLib.inference as inference;"
        "print(SynthSegPlusLib.__file__); print(len(labels.structures('2.0'))); print(len(inference.model_sets()))"
    )
    done = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    place, structures, sets = done.stdout.splitlines()
    assert Path(place).is_relative_to(installed)
    assert int(structures) > 30
    assert int(sets) >= 1


def test_the_installed_module_opens_with_the_installed_library(installed, tmp_path):
    reason = host.missing_requirement()
    if reason is not None:
        pytest.skip(f"the Slicer test host cannot run: {reason}")
    code = (
        f"import sys; sys.path.append({str(ROOT)!r})\n"
        "from Testing import host\n"
        "started = host.start(views=False, platform='offscreen')\n"
        f"started.load_module({str(installed / 'SynthSegPlus.py')!r})\n"
        "started.open_panel('SynthSegPlus')\n"
        "import SynthSegPlus, SynthSegPlusLib\n"
        "print(SynthSegPlus.__file__); print(SynthSegPlusLib.__file__)\n"
        "started.stop()\n"
    )
    # -P: Python does not look in the present folder, so that only the installed tree can serve.
    done = run(sys.executable, "-P", "-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    places = [Path(line) for line in done.stdout.splitlines() if line.endswith(".py")]
    assert len(places) == 2
    assert all(place.is_relative_to(installed) for place in places)


def test_the_package_holds_what_was_installed(build, installed):
    done = run(_tool("cpack"), cwd=build)
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = build.glob("*SynthSegPlus.tar.gz")
    with tarfile.open(package) as archive:
        members = [member.name for member in archive.getmembers() if member.isfile()]
    marker = f"/{MODULES.as_posix()}/"
    assert {name.split(marker, 1)[1] for name in members} == files_below(installed)


def test_the_self_test_is_registered(build):
    done = run(_tool("cmake"), "-DBUILD_TESTING=ON", build)
    assert done.returncode == 0, done.stderr
    listed = run(_tool("ctest"), "-N", cwd=build)
    assert "py_SynthSegPlus" in listed.stdout


def test_an_extension_without_its_metadata_is_refused(tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(X LANGUAGES NONE)\n"
        "find_package(Slicer REQUIRED)\ninclude(${Slicer_USE_FILE})\n",
        encoding="utf-8",
    )
    done = configure(tmp_path, tmp_path / "build")
    assert done.returncode != 0
    assert "EXTENSION_HOMEPAGE must be set" in done.stderr


def test_a_script_that_does_not_exist_is_refused(tmp_path):
    metadata = "\n".join(
        f"set(EXTENSION_{name} x)"
        for name in ("HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS")
    )
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(X LANGUAGES NONE)\n{metadata}\n"
        "find_package(Slicer REQUIRED)\ninclude(${Slicer_USE_FILE})\n"
        "slicerMacroBuildScriptedModule(NAME X SCRIPTS Absent.py)\n",
        encoding="utf-8",
    )
    done = configure(tmp_path, tmp_path / "build")
    assert done.returncode != 0
    assert "Absent.py, which does not exist" in done.stderr


@pytest.mark.parametrize("icon", ["SynthSegPlus.png", "SynthSegPlus/Resources/Icons/SynthSegPlus.png"])
def test_the_icons_are_128_pixels_wide_and_high(icon):
    header = (ROOT / icon).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")) == (128, 128)


def test_addresses_of_the_extension_are_made_from_one():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"https?://", text)) == 1
