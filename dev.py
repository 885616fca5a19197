#!/usr/bin/env python3
"""One door for people who work on SynthSegPlus: `python3 dev.py demo|test|host|bench`.

Standard library only. Each command makes what it needs in `.venv` beside this file, says what it does, and
does nothing twice: what is installed stays, so that a second run needs no network.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "synthsegplus-installed.json"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

# Shared libraries that the test host's windows and views load, and the Debian packages that hold them.
HOST_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libEGL_mesa.so.0": "libegl-mesa0",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    # For a window on a screen, real or virtual.
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
NOTHING_CHOSEN = 5  # pytest's exit status

HOST_PROGRAMS = {"Xvfb": "xvfb", "xauth": "xauth"}


def say(text: str) -> None:
    print(f"dev.py: {text}", flush=True)


def run(command: list[str | Path], **keywords: object) -> int:
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False, **keywords).returncode  # type: ignore


# ---- system packages ------------------------------------------------------------------------------------


def can_install_system_packages() -> bool:
    return os.name == "posix" and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def need_system_packages(packages: list[str], why: str) -> bool:
    """Install Debian packages when this user may, else name them. True when they were installed."""
    if not packages:
        return True
    names = " ".join(packages)
    if not can_install_system_packages():
        say(f"{why} needs system packages that are not here. On Debian or Ubuntu: sudo apt-get install {names}")
        return False
    say(f"{why} needs system packages; installing {names}")
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    for attempt in range(2):
        if run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], **quiet) == 0:
            return True
        if attempt == 0:
            run(["apt-get", "update", "-qq"], **quiet)
    say(f"could not install {names}; see the messages above")
    return False


def missing_libraries(libraries: dict[str, str]) -> list[str]:
    missing = []
    for library, package in libraries.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def need_host_packages(programs: dict[str, str]) -> None:
    if sys.platform.startswith("linux"):
        missing = missing_libraries(HOST_LIBRARIES)
        missing += [package for program, package in programs.items() if shutil.which(program) is None]
        need_system_packages(missing, "the Slicer test host (its tests are skipped without)")


# ---- the environment ------------------------------------------------------------------------------------


def declared() -> dict[str, Any]:
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(groups: tuple[str, ...]) -> list[str]:
    """What pyproject.toml lists for dependency groups, inclusions followed."""
    table = declared()["dependency-groups"]
    found: list[str] = []
    for group in groups:
        for entry in table[group]:
            found += [entry] if isinstance(entry, str) else requirements((entry["include-group"],))
    return found


def fingerprint(group: str) -> str:
    """Changes when what the group asks for, the folder, or Python changes; "project": the project's dependencies."""
    wanted = [declared()["project"] if group == "project" else requirements((group,)), str(ROOT), *sys.version_info[:2]]
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def is_usable() -> bool:
    """Whether the environment is whole and of this Python: a first run may have been stopped, a system upgraded."""
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return PYTHON.exists() and run([PYTHON, "-c", check], stderr=subprocess.DEVNULL) == 0


def make_venv() -> None:
    if is_usable():
        return
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not need_system_packages([package], "making a virtual environment"):
            raise SystemExit(2) from None
    say(f"making the virtual environment {VENV.name}")
    if run([sys.executable, "-m", "venv", "--clear", VENV]) != 0:
        raise SystemExit("dev.py: the virtual environment could not be made; see the messages above")


def ensure(*groups: str) -> None:
    """Install the project (editable, with TensorFlow) and dependency groups, unless that is done already."""
    make_venv()
    done = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    # Only what is declared matters: the same declaration is never installed twice.
    keys = {group: fingerprint(group) for group in ("project", *groups)}
    wanted = [group for group, key in keys.items() if done.get(group) != key]
    if not wanted:
        return
    say(f"installing {', '.join(wanted)} into {VENV.name} (this happens once and takes some minutes)")
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if run([*command, "-e", ".[tensorflow]", *requirements(groups)]) != 0:
        raise SystemExit("dev.py: the installation failed; see the messages above, then run the same command again")
    done.update(keys)
    STAMP.write_text(json.dumps(done, indent=1))


# ---- commands -------------------------------------------------------------------------------------------


def demo(rest: list[str]) -> int:
    ensure("demo")
    return run([PYTHON, "-m", "SynthSegPlusLib", "demo", *rest])


def test(rest: list[str], long: bool) -> int:
    ensure("test")
    need_host_packages(HOST_PROGRAMS)
    failed = run([PYTHON, "-m", "ruff", "check", "."]) != 0
    failed |= run([PYTHON, "-m", "mypy"]) != 0
    # Slicer's core draws through Mesa, which brings its own compiler; in one process with TensorFlow's it can crash.
    # Slicer's process never holds a deep-learning framework either.
    runs = [rest] if any(Path(part.split("::")[0]).exists() for part in rest) else [
        [*rest, "--ignore=Testing/slicer"], [*rest, "Testing/slicer"]]
    chosen = [] if long else ["-m", "not long"]
    environment = {"QT_QPA_PLATFORM": "offscreen", "TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    # The environment's own tools (cmake, ninja) are found without being activated.
    environment["PATH"] = os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", "")])
    codes = [run([PYTHON, "-m", "pytest", *chosen, *part], env=environment) for part in runs]
    if failed:
        say("ruff or mypy found something; see above")
    return _worst(codes) or int(failed)


def _worst(codes: list[int]) -> int:
    """Exit status of several runs of pytest; a run that was killed has a negative one."""
    ran = [code for code in codes if code != NOTHING_CHOSEN]  # such as by -k, in one of the halves
    return next((code for code in ran if code), 0) if ran else NOTHING_CHOSEN


def host(rest: list[str]) -> int:
    ensure("demo", "host")
    need_host_packages({})
    return run([PYTHON, "-m", "Testing.host", *rest])


def bench(rest: list[str]) -> int:
    ensure("test")
    folder = ROOT / "Testing" / "benchmarks"
    names = sorted(path.parent.name for path in folder.glob("*/__main__.py"))
    if not rest or rest[0] not in names:
        say(f"benchmarks: {', '.join(names)}; for example: python3 dev.py bench {names[0] if names else 'NAME'}")
        return 0 if not rest else 2
    return run([PYTHON, "-m", f"Testing.benchmarks.{rest[0]}", *rest[1:]])


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036  (a person may start this with an older Python)
        raise SystemExit(f"dev.py: Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}")
    if sys.version_info >= (3, 14):
        raise SystemExit("dev.py: Python 3.11 to 3.13 is needed, for which TensorFlow and Slicer's core are made; this "
                         f"is {sys.version.split()[0]}. Start dev.py with another Python, such as python3.13.")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("demo", "test", "host", "bench"),
                        help="demo: segment a real scan and show the result; test: check everything; "
                             "host: open the Slicer panel in the test host; bench: run a benchmark")
    parser.add_argument("--long", action="store_true", help="test: also the checks that take minutes")
    arguments, rest = parser.parse_known_args()
    if arguments.command == "test":
        return test(rest, arguments.long)
    return {"demo": demo, "host": host, "bench": bench}[arguments.command](rest)


if __name__ == "__main__":
    sys.exit(main())
