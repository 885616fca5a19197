"""One run of the command line that is killed in a stage of its work, for test_killed_stages.py.

Run as `python -m Testing.cli.stage_driver MOMENT WORDS...`. MOMENT is `read:PATH` (the scan is being opened),
`stage:FRACTION:NAME` (that stage of the engine has come so far) or `write:PATH` (some of this output is on the disk
but it has not got its name yet). The process ends itself without any chance to clean up.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from SynthSegPlusLib.cli import main
from SynthSegPlusLib.inference._progress import Stages
from SynthSegPlusLib.inference.segmenter import FINISHING


def end() -> None:
    """SIGKILL; on Windows, where there is none, `os.kill` terminates the process at once with any other number."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def end_when_reading(path: str) -> None:
    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]) == path:
            end()

    sys.addaudithook(watch)


def in_stage(name: str, fraction: float, act: Callable[[], None]) -> None:
    """Act once, when a stage of the engine has come so far."""
    update = Stages.update

    def updated(self: Stages, done: float) -> None:
        update(self, done)
        if self._current == name and done >= fraction:
            Stages.update = update  # type: ignore[method-assign]
            act()

    Stages.update = updated  # type: ignore[method-assign]


def end_when_writing(path: Path) -> None:
    """As soon as a byte of the temporary file is there, at the latest before the rename: small files come at once."""
    partial = path.with_name(f".partial-{path.name}")

    def wait_for_content() -> None:
        while not partial.exists() or not partial.stat().st_size:
            time.sleep(0)
        end()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]) == str(partial) and "w" in str(arguments[1]):
            threading.Thread(target=wait_for_content, daemon=True).start()
        elif event == "os.rename" and str(arguments[0]) == str(partial):
            end()

    sys.addaudithook(watch)


def arm(moment: str) -> None:
    kind, _, where = moment.partition(":")
    if kind == "read":
        end_when_reading(where)
    elif kind == "stage":
        fraction, _, name = where.partition(":")
        in_stage(name, float(fraction), end)
    else:
        # Before that, a run only tries whether the file could be written.
        in_stage(FINISHING, 1.0, lambda: end_when_writing(Path(where)))


if __name__ == "__main__":
    arm(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
