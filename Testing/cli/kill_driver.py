"""Kills a run of the command line at every one of its steps, for test_killed.py.

Run as `python -m Testing.cli.kill_driver SCANS PLACE COUNT`: for n = 1, 2, ... a child process segments the folder
SCANS into PLACE/n with the engine that answers at once and is killed by SIGKILL at its n-th step, a step being
anything it does to a file below PLACE, and every stage that it reports. Stops after COUNT children or when one
finishes; prints how many were killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from SynthSegPlusLib import inference
from SynthSegPlusLib.cli import main
from Testing.cli.conftest import FakeSegmenter

STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate")


class Fuse:
    """Ends the process, without any chance to clean up, at the n-th step."""

    def __init__(self, steps: int, below: Path) -> None:
        self.left, self.below = steps, str(below)

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS and str(arguments[0]).startswith(self.below):
            self.burn()


def words(scans: Path, out: Path) -> list[str]:
    return ["segment", "--i", str(scans), "--o", str(out), "--post", str(out), "--resample", str(out), "--vol",
            str(out / "v.csv"), "--table", str(out / "t.csv"), "--models", "starter_2mm", "--quiet"]


def child(scans: Path, out: Path, steps: int) -> int:
    fuse = Fuse(steps, out)

    def make(model_set: Any, options: Any, **_: object) -> FakeSegmenter:
        return FakeSegmenter(model_set, options, hook=lambda name: fuse.burn())

    inference.Segmenter = make  # type: ignore[attr-defined]
    sys.addaudithook(fuse)
    return main(words(scans, out))


def drive(scans: Path, place: Path, count: int) -> int:
    for steps in range(1, count + 1):
        out = place / str(steps)
        pid = os.fork()
        if pid == 0:
            os._exit(child(scans, out, steps))
        status = os.waitpid(pid, 0)[1]
        if not os.WIFSIGNALED(status):
            return steps - 1 if os.WEXITSTATUS(status) == 0 else -1
    return count


if __name__ == "__main__":
    print(drive(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
