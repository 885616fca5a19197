"""What the scene needs of a worker, and how Slicer starts one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import slicer
import slicer.util

LIBRARY_HOME = Path(__file__).resolve().parents[2]
"""The folder that holds SynthSegPlusLib."""


class Worker(Protocol):
    """The door's end of a worker process; `SynthSegPlusLib.inference.client.WorkerClient` is the real one."""

    @property
    def log(self) -> Sequence[str]: ...

    @property
    def alive(self) -> bool: ...

    def send(self, kind: str, **fields: Any) -> None:
        """Hand over a command, starting the process when there is none; `WorkerError` when it cannot start."""

    def poll(self) -> list[dict[str, Any]]:
        """Events since the last call; never blocks. The death of the worker is a `failed` event."""

    def cancel(self, job: str) -> None:
        """Ask a job to stop and see to it; never blocks. What follows comes through `poll`."""

    def close(self) -> None:
        """End the worker and everything it started."""


WorkerMaker = Callable[[], Worker]


def workerPython() -> str:
    """Slicer's Python as a program: PythonSlicer, or this very Python where there is none."""
    return shutil.which("PythonSlicer") or sys.executable


def workerEnvironment(packages: Sequence[Path]) -> dict[str, str]:
    """Slicer's start-up environment, with the library and the packages for the worker alone."""
    environment = dict(slicer.util.startupEnvironment())
    paths = [*map(str, packages), str(LIBRARY_HOME), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    # Else Python files in Slicer's current folder, such as a queue.py, would stand in for the standard library's.
    environment["PYTHONSAFEPATH"] = "1"
    return environment


_START = ("import json, runpy, sys; sys.path[:0] = json.loads(sys.argv[1]); del sys.argv[1]; "
          "runpy.run_module('SynthSegPlusLib.inference.worker', run_name='__main__', alter_sys=True)")


def workerCommand(packages: Sequence[Path]) -> list[str]:
    """The worker's command line.

    The packages are put first by the program itself, because Slicer's launcher may set its own packages
    before what the environment says.
    """
    paths = [*map(str, packages), str(LIBRARY_HOME)]
    return [workerPython(), "-c", _START, json.dumps(paths)]


def userFolder() -> Path:
    """Where this extension keeps what it installs: beside Slicer's settings of this user."""
    return Path(slicer.app.slicerUserSettingsFilePath).parent / "SynthSegPlus"
