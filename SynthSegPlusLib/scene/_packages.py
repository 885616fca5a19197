"""The worker's packages in a folder apart, which only the worker sees. To uninstall is to delete it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from SynthSegPlusLib.inference._process import detached, drain, end_tree, is_running
from SynthSegPlusLib.scene._requirements import BACKENDS, Requirement, modulesFound, requirementsFor, totalMegabytes

STAMP = "synthsegplus-packages.json"
PYTHON_TAG = f"py{sys.version_info[0]}{sys.version_info[1]}"

PATIENCE_SECONDS = 10.0
"""How long the finished folder may be refused its place: Windows holds new files while it scans them for viruses."""


class Packages:
    """What the worker may import beyond Slicer's own Python.

    `home` holds one folder for each installation, named by backend, Python and a hash of the requirements, so
    that a new version of the extension installs anew and never mends an old folder.
    """

    def __init__(self, home: Path, resources: Path, python: str, tag: str = PYTHON_TAG,
                 environment: Mapping[str, str] | None = None) -> None:
        self.home, self.resources, self.python, self.tag = Path(home), Path(resources), python, tag
        self.environment = environment
        self._own: set[str] | None = None

    def requirements(self, backend: str) -> list[Requirement]:
        return requirementsFor(self.resources, backend)

    def folder(self, backend: str) -> Path:
        """Where an installation with this backend lies or would lie."""
        texts = "\n".join(sorted(requirement.text for requirement in self.requirements(backend)))
        return self.home / f"{backend}-{self.tag}-{hashlib.sha256(texts.encode()).hexdigest()[:8]}"

    def installed(self) -> list[str]:
        """Backends with a complete folder."""
        return [backend for backend in BACKENDS if (self.folder(backend) / STAMP).is_file()]

    def newest(self) -> str | None:
        """The backend that was installed last, for a run that names none: who adds one wants it used."""
        return max(self.installed(), key=lambda backend: (self.folder(backend) / STAMP).stat().st_mtime, default=None)

    def folders(self) -> list[Path]:
        """What lies on the disk: every installation, also what an older version or a failure left."""
        return [path for path in sorted(self.home.glob("*")) if path.is_dir()]

    def ownModules(self) -> set[str]:
        """Needed modules that the worker's Python has by itself; asked once in a subprocess (0.1 s)."""
        if self._own is None:
            modules = {requirement.module for backend in BACKENDS for requirement in self.requirements(backend)}
            self._own = modulesFound(self.python, [], sorted(modules), self.environment)
        return self._own

    @property
    def asked(self) -> bool:
        """Whether `ownModules` is known already."""
        return self._own is not None

    def forget(self) -> None:
        """Ask again what the worker's Python has."""
        self._own = None

    def ready(self) -> str | None:
        """The backend that can run: one of an installed folder, else one that the Python has whole; or None."""
        newest = self.newest()
        if newest is not None:
            return newest
        return next((backend for backend in BACKENDS if not self.missing(backend)), None)

    def missing(self, backend: str) -> list[Requirement]:
        """What would have to be installed for a backend to run."""
        if (self.folder(backend) / STAMP).is_file():
            return []
        own = self.ownModules()
        needed = [requirement for requirement in self.requirements(backend) if requirement.module not in own]
        # Beside a foreign numpy, compiled packages could meet a version that they were not built for; so what is
        # not complete is installed whole, except a backend that is there already and large.
        if not needed:
            return []
        return [r for r in self.requirements(backend) if r in needed or r.module not in BACKENDS]

    def paths(self, backend: str | None = None) -> list[Path]:
        """Folders that the worker puts first on its path."""
        chosen = backend if backend in self.installed() else self.newest()
        return [self.folder(chosen)] if chosen else []

    def suggested(self) -> str:
        """The backend to install: one that the Python has already, else the first."""
        own = self.ownModules()
        return next((backend for backend in BACKENDS if backend in own), BACKENDS[0])

    def install(self, backend: str, wheels: Path | None = None) -> Installation:
        """Start to install into the folder apart. Ask the user first."""
        return Installation(self, backend, wheels)

    def uninstall(self) -> list[Path]:
        """Delete every installation; the folders deleted. OSError when a file is in use."""
        gone = self.folders()
        for path in gone:
            # First of all, so that what is left of a folder does not count as installed.
            (path / STAMP).unlink(missing_ok=True)
            shutil.rmtree(path)
        self.forget()
        return gone


class Installation:
    """pip at work in a process of its own. Call `poll` until it is no longer None, then read `reason`."""

    def __init__(self, packages: Packages, backend: str, wheels: Path | None = None) -> None:
        self.backend, self.reason = backend, ""
        self.requirements = packages.missing(backend) or packages.requirements(backend)
        self.target = packages.folder(backend)
        # Named by process, for another Slicer may be installing the same.
        self.partial = self.target.with_name(f"{self.target.name}.part{os.getpid()}")
        self._replaces = self._complete
        self.lines: list[str] = []
        self._packages = packages
        self._succeeded: bool | None = None
        self._refusedSince: float | None = None
        self._sweep()
        self.partial.mkdir(parents=True)
        # Slicer's Python is a launcher with the real one as its child: to end pip is to end them both.
        self._process = subprocess.Popen(
            pipCommand(packages.python, self.partial, self.requirements, wheels), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=None if packages.environment is None else dict(packages.environment), **detached(),
        )
        # The thread closes the pipe: whoever else does waits for as long as anything holds its other end.
        self._reader = threading.Thread(target=drain, args=(self._process.stdout, self.lines.append),
                                        name="SynthSegPlus pip", daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether pip is done, so that the next `poll` puts the new folder in its place."""
        return self._process.poll() is not None

    def poll(self) -> bool | None:
        """None while pip runs, then whether it succeeded. The folder appears only after success."""
        if self._succeeded is None and self.ended:
            self._reader.join(timeout=5)
            if self._process.returncode == 0:
                self._place()
            else:
                self._finish(False, pipReason(self.lines))
        return self._succeeded

    def cancel(self) -> None:
        """End pip and delete what it left."""
        if self._succeeded is None:
            end_tree(self._process)
            self._process.wait(timeout=10)
            self._reader.join(timeout=1)
            self._finish(False, "the installation was cancelled")

    @property
    def _complete(self) -> bool:
        """Whether the folder is there, whoever installed it."""
        return (self.target / STAMP).is_file()

    def _sweep(self) -> None:
        """Delete what earlier installations left that were ended in the middle."""
        for folder in self.target.parent.glob("*.part*"):
            owner = re.search(r"\.part(\d+)$", folder.name)
            if owner is not None and (folder == self.partial or not is_running(int(owner[1]))):
                shutil.rmtree(folder, ignore_errors=True)

    def _place(self) -> None:
        """Succeed, or leave it to the next `poll` while the system refuses, or fail with what it said."""
        if self._complete and not self._replaces:
            self._finish(True)  # another Slicer was faster, and its worker may hold these files by now
            return
        now = time.monotonic()
        self._refusedSince = self._refusedSince or now
        try:
            self._replace()
        except OSError as error:
            if now - self._refusedSince > PATIENCE_SECONDS:
                self._finish(False, f"the new folder could not be put in its place ({error}); close other programs "
                                    "that use it, such as another Slicer, and try again")
        else:
            self._finish(True)

    def _replace(self) -> None:
        stamp = {"requirements": [r.text for r in self.requirements], "backend": self.backend}
        (self.partial / STAMP).write_text(json.dumps(stamp, indent=2), encoding="utf-8")
        old = self.target.with_name(self.target.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.target.exists():
            # Moved away before it is deleted: while one of its files is in use, all of it stays as it is.
            os.replace(self.target, old)
        try:
            os.replace(self.partial, self.target)
        except OSError:
            if old.exists():  # better the old packages than none
                os.replace(old, self.target)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def _finish(self, succeeded: bool, reason: str = "") -> None:
        shutil.rmtree(self.partial, ignore_errors=True)
        self._packages.forget()
        self.reason, self._succeeded = reason, succeeded


def pipCommand(python: str, target: Path, requirements: Sequence[Requirement], wheels: Path | None) -> list[str]:
    """pip's command; with a folder of wheels it asks no network."""
    command = [python, "-m", "pip", "install", "--target", str(target), "--no-input", "--disable-pip-version-check",
               "--no-warn-script-location", "--progress-bar", "off"]
    if wheels is not None:
        command += ["--no-index", "--find-links", str(wheels)]
    return [*command, *(requirement.text for requirement in requirements)]


def pipReason(lines: Sequence[str]) -> str:
    """Why pip failed, in its own last words and in ours."""
    errors = [line.partition("ERROR:")[2].strip() for line in lines if "ERROR:" in line]
    said = errors[-1] if errors else (lines[-1] if lines else "it said nothing")
    text = " ".join(lines).lower()
    if "no space left" in text:
        return "the disk is full"
    if "connection" in text or "resolve" in text or "network" in text:
        return f"the package index could not be reached; check the network or name a folder of wheels ({said})"
    return said


def describe(requirements: Sequence[Requirement]) -> str:
    """The packages and their total size in one line."""
    names = ", ".join(requirement.text for requirement in requirements)
    return f"{names} (about {totalMegabytes(requirements)} MB)"
