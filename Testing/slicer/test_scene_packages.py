"""The worker's packages: what is needed, what is there, installing with a real pip and without a network."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

from SynthSegPlusLib.contract.errors import BackendError
from SynthSegPlusLib.scene import BACKENDS, Packages, Session, _packages, _session, totalMegabytes
from SynthSegPlusLib.scene._packages import STAMP, pipCommand, pipReason
from SynthSegPlusLib.scene._requirements import Requirement, modulesFound, readRequirements, requirementsFor
from Testing.processes import gone, until


def make_wheel(folder: Path, name: str, content: str = "ANSWER = 42\n") -> Path:
    """A wheel of one module, as pip wants it."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def resources(tmp_path):
    """Requirements of a made-up worker: one common package and one for each backend."""
    folder = tmp_path / "Resources"
    folder.mkdir()
    (folder / "requirements.txt").write_text("ssp_common>=1  # ssp_common 5\n")
    for backend in BACKENDS:
        (folder / f"requirements-{backend}.txt").write_text(f"ssp_{backend}>=1  # ssp_{backend} 100\n")
    return folder


@pytest.fixture
def packages(resources, tmp_path):
    return Packages(tmp_path / "home", resources, sys.executable)


@pytest.fixture
def wheels(tmp_path):
    for name in ("ssp_common", "ssp_tensorflow"):
        make_wheel(tmp_path / "wheels", name)
    return tmp_path / "wheels"


def wait(installation):
    end = time.monotonic() + 300
    while (succeeded := installation.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    return succeeded


def partial(folder, pid=None):
    """Where a process installs until the folder is whole."""
    return folder.with_name(f"{folder.name}.part{pid or os.getpid()}")


def make_installed(packages, backend):
    """A folder as an installation leaves it."""
    folder = packages.folder(backend)
    folder.mkdir(parents=True)
    (folder / STAMP).write_text("{}")
    return folder


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_has_one_package_on_every_system_and_sizes_are_named(root, platform, backend):
    needed = requirementsFor(root / "SynthSegPlus" / "Resources", backend, platform)
    assert [r.module for r in needed if r.module in BACKENDS] == [backend]
    assert all(r.megabytes > 0 for r in needed)
    assert len({r.module for r in needed}) == len(needed)


def test_the_requirements_are_those_of_the_pip_package(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[>=;\[ ]", text)[0] for text in project["dependencies"]} - {"matplotlib"}
    found = readRequirements(root / "SynthSegPlus" / "Resources" / "requirements.txt")
    assert {re.split(r"[>=]", r.text)[0] for r in found} == wanted
    versions = {re.split(r"[>=]", text)[0]: text for text in project["dependencies"]}
    assert all(versions[re.split(r"[>=]", r.text)[0]] == r.text for r in found)


def test_a_line_that_is_not_understood_is_an_error_that_quotes_it(tmp_path):
    (tmp_path / "requirements.txt").write_text("keras>=3\n")
    with pytest.raises(ValueError, match="keras>=3"):
        readRequirements(tmp_path / "requirements.txt")


def test_modules_are_found_without_being_imported(tmp_path):
    (tmp_path / "ssp_poison.py").write_text("raise SystemExit(7)\n")
    assert modulesFound(sys.executable, [tmp_path], ["ssp_poison", "ssp_absent", "json"]) == {"ssp_poison", "json"}
    assert modulesFound("no-such-python", [], ["json"]) == set()


def test_at_first_everything_is_missing_and_named_with_its_size(packages):
    assert packages.ready() is None
    assert [r.text for r in packages.missing("jax")] == ["ssp_common>=1", "ssp_jax>=1"]
    assert totalMegabytes(packages.missing("jax")) == 105
    assert packages.suggested() == "tensorflow"
    assert packages.paths() == []


def test_an_installation_from_wheels_makes_a_folder_that_only_the_worker_sees(packages, wheels):
    installation = packages.install("tensorflow", wheels)
    assert wait(installation), installation.lines
    folder = packages.folder("tensorflow")
    assert (folder / "ssp_common.py").is_file()
    assert (folder / STAMP).is_file()
    assert not partial(folder).exists()
    assert packages.installed() == ["tensorflow"]
    assert packages.ready() == "tensorflow"
    assert packages.missing("tensorflow") == []
    assert packages.paths() == [folder]
    assert modulesFound(sys.executable, packages.paths(), ["ssp_common"]) == {"ssp_common"}
    assert modulesFound(sys.executable, [], ["ssp_common"]) == set()
    assert packages.uninstall() == [folder]
    assert packages.ready() is None


def test_a_failed_installation_says_why_and_leaves_no_folder(packages, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    installation = packages.install("tensorflow", empty)
    assert wait(installation) is False
    assert "ssp_common" in installation.reason
    assert not any(packages.home.iterdir())
    assert packages.ready() is None


def test_a_cancelled_installation_leaves_no_folder(packages, wheels):
    installation = packages.install("tensorflow", wheels)
    installation.cancel()
    assert installation.poll() is False
    assert "cancelled" in installation.reason
    assert not any(packages.home.iterdir())


LAUNCHER = """
import subprocess, sys
child = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(90)"
sys.exit(subprocess.call([sys.executable, "-c", child, sys.argv[1]], start_new_session=sys.argv[2] == "apart"))
"""
"""As Slicer's launcher: starts the real program, which has its output, and waits for it."""


@pytest.fixture
def launched(packages, tmp_path, monkeypatch):
    """An installation whose pip runs behind a launcher and says nothing, and the process id of that pip."""
    started = []

    def launch(place):
        file = tmp_path / "pid"
        monkeypatch.setattr(_packages, "pipCommand", lambda *_: [sys.executable, "-c", LAUNCHER, str(file), place])
        installation = packages.install("tensorflow")
        assert until(lambda: file.exists() and file.read_text(), 120)
        started.append(int(file.read_text()))
        return installation, started[0]

    yield launch
    for pid in started:
        if not gone(pid):
            os.kill(pid, signal.SIGTERM)


def test_a_cancelled_installation_ends_what_the_launcher_started(launched):
    installation, pip = launched("in the launcher's group")
    begin = time.monotonic()
    installation.cancel()
    assert until(lambda: gone(pip), 10)
    assert time.monotonic() - begin < 45  # it would have ended by itself after 90 s
    assert until(lambda: not installation._reader.is_alive(), 10)
    assert not installation.partial.exists()


def test_a_cancel_does_not_wait_for_a_process_that_cannot_be_ended(launched):
    installation, pip = launched("apart")
    begin = time.monotonic()
    installation.cancel()
    assert time.monotonic() - begin < 45
    assert installation.poll() is False


def test_an_installation_takes_the_place_of_an_older_one_whole(packages, wheels):
    old = make_installed(packages, "tensorflow") / "left_over.py"
    old.touch()
    assert wait(packages.install("tensorflow", wheels))
    assert not old.exists()
    assert (packages.folder("tensorflow") / "ssp_common.py").is_file()
    assert list(packages.home.iterdir()) == [packages.folder("tensorflow")]


def hold(monkeypatch, held, times):
    """Refuse to move a folder some times, as Windows does while a file in it is open."""
    move, left = os.replace, [times]

    def replace(source, target):
        if Path(source) == held and left[0] > 0:
            left[0] -= 1
            raise PermissionError(13, "The process cannot access the file", str(source))
        move(source, target)

    monkeypatch.setattr(_packages.os, "replace", replace)


@pytest.mark.parametrize("in_use", ["old", "new"])
def test_a_folder_that_stays_in_use_is_a_reason_and_remains_whole(packages, wheels, monkeypatch, in_use):
    monkeypatch.setattr(_packages, "PATIENCE_SECONDS", 0.5)
    folder = make_installed(packages, "tensorflow")
    hold(monkeypatch, folder if in_use == "old" else partial(folder), times=10_000)
    installation = packages.install("tensorflow", wheels)
    assert wait(installation) is False
    assert "cannot access the file" in installation.reason
    assert packages.installed() == ["tensorflow"]
    assert list(packages.home.iterdir()) == [folder]


def test_new_files_that_the_system_holds_for_a_moment_are_waited_for(packages, wheels, monkeypatch):
    hold(monkeypatch, partial(packages.folder("tensorflow")), times=2)
    installation = packages.install("tensorflow", wheels)
    assert wait(installation), installation.reason
    assert packages.installed() == ["tensorflow"]


def test_of_two_slicers_that_install_at_once_the_first_to_end_makes_the_folder_and_both_succeed(
        packages, wheels, monkeypatch):
    first = packages.install("tensorflow", wheels)
    with monkeypatch.context() as patch:
        patch.setattr(_packages.os, "getpid", os.getppid)
        second = packages.install("tensorflow", wheels)
    assert second.partial != first.partial
    assert wait(first), first.reason
    (packages.folder("tensorflow") / "in_use_by_the_first").touch()
    assert wait(second), second.reason
    assert list(packages.home.iterdir()) == [packages.folder("tensorflow")]
    assert (packages.folder("tensorflow") / "in_use_by_the_first").exists()


def test_what_an_ended_slicer_left_half_installed_is_deleted_and_that_of_a_running_one_stays(packages, wheels):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = [partial(packages.folder("jax"), pid) for pid in (ended.pid, os.getppid())]
    for folder in left:
        folder.mkdir(parents=True)
    assert wait(packages.install("tensorflow", wheels))
    assert [folder.exists() for folder in left] == [False, True]


def test_without_a_choice_the_backend_that_was_installed_last_is_taken(packages):
    assert packages.newest() is None
    for age, backend in ((50, "tensorflow"), (10, "torch"), (90, "jax")):
        os.utime(make_installed(packages, backend) / STAMP, (time.time() - age,) * 2)
    assert packages.newest() == packages.ready() == "torch"
    assert packages.paths() == [packages.folder("torch")]
    assert packages.paths("jax") == [packages.folder("jax")]


def test_a_script_waits_for_the_packages(packages, wheels, resources, slicer_host):
    session = Session(resources, packages=packages)
    session.installAndWait("tensorflow", wheels)
    assert packages.installed() == ["tensorflow"]
    assert any("ssp_common" in line for line in session.log)
    with pytest.raises(BackendError, match="could not be installed"):
        session.installAndWait("torch", wheels)
    assert list(packages.home.iterdir()) == [packages.folder("tensorflow")]


def test_a_script_that_is_stopped_while_it_waits_ends_the_installation(
    packages, wheels, resources, slicer_host, monkeypatch
):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(_session.slicer.app, "processEvents", stop)
    with pytest.raises(KeyboardInterrupt):
        Session(resources, packages=packages).installAndWait("tensorflow", wheels)
    assert list(packages.home.iterdir()) == []


def test_what_could_be_deleted_only_in_part_is_no_longer_installed(packages, monkeypatch):
    folder = make_installed(packages, "torch")

    def locked(path):
        raise PermissionError(13, "The process cannot access the file", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(_packages.shutil, "rmtree", locked)
        with pytest.raises(PermissionError):
            packages.uninstall()
    assert packages.installed() == []
    assert packages.folders() == [folder]
    assert packages.uninstall() == [folder]


def test_new_requirements_make_a_new_folder(packages, resources):
    before = packages.folder("torch")
    (resources / "requirements.txt").write_text("ssp_common>=2  # ssp_common 5\n")
    assert packages.folder("torch") != before


def test_a_backend_that_the_python_has_already_is_preferred_and_not_installed_again(resources, tmp_path):
    (resources / "requirements-torch.txt").write_text("torch-like>=1  # json 800\n")
    packages = Packages(tmp_path / "home", resources, sys.executable)
    assert packages.suggested() == "tensorflow"
    (resources / "requirements-torch.txt").write_text("torch>=1  # torch 800\n")
    packages._own = {"torch"}
    assert packages.suggested() == "torch"
    assert [r.text for r in packages.missing("torch")] == ["ssp_common>=1"]


def test_pip_is_told_the_folder_and_with_wheels_asks_no_network(tmp_path):
    requirement = Requirement("a>=1", "a", 1)
    online = pipCommand("python", tmp_path, [requirement], None)
    assert online[:4] == ["python", "-m", "pip", "install"]
    assert online[online.index("--target") + 1] == str(tmp_path)
    assert "--no-index" not in online
    assert "--no-index" in pipCommand("python", tmp_path, [requirement], tmp_path)


@pytest.mark.parametrize(("lines", "said"), [
    (["ERROR: Could not install: [Errno 28] No space left on device"], "the disk is full"),
    (["WARNING: Retrying after connection broken", "ERROR: No matching distribution found for keras"], "network"),
    ([], "nothing"),
])
def test_the_reason_of_a_failure_is_in_words(lines, said):
    assert said in pipReason(lines)
