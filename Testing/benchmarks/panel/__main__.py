"""Lateness of a 50 ms timer in Slicer's process while a scan of 256 voxels a side is segmented.

    python3 dev.py bench panel                     (the bundled model set, mode fast)
    python3 dev.py bench panel --standin           (no engine: parcels, quality, and all nodes)

Three phases: the scan is handed to the worker (start), the worker runs (running), nodes are made and shown (nodes).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from Testing import host

INTERVAL_MS = 50
SIDE = 256


class Watch:
    """A timer that notes how late it comes, phase by phase."""

    def __init__(self) -> None:
        import qt

        self.phase = "idle"
        self.late: dict[str, list[float]] = {}
        self._due = time.perf_counter() + INTERVAL_MS / 1000
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.setdefault(self.phase, []).append(1000 * max(now - self._due, 0.0))
        self._due = now + INTERVAL_MS / 1000

    def stop(self) -> None:
        self._timer.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="panel", description=__doc__.splitlines()[0])
    parser.add_argument("--standin", action="store_true", help="a worker without an engine, in this process")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    started = host.start()
    started.load_module()
    prepare(args.standin)
    node = add_head()
    widget = started.open_panel()
    started.make_window()
    parameters = widget._parameterNode
    parameters.inputVolume, parameters.threads = node, args.threads
    parameters.parcellation = args.standin
    assert started.wait_until(lambda: widget.ui.applyButton.enabled, 60)
    started.process_events(1500)
    watch = Watch()
    started.process_events(500)
    seconds = run(started, widget, watch)
    watch.stop()
    report(watch, seconds)
    failed = widget.panel.result is None
    widget.logic.close()
    started.stop()
    return int(failed)


def run(started: Any, widget: Any, watch: Watch) -> float:
    """Click Apply and follow the phases; seconds of the whole."""
    session = widget.logic.session
    from SynthSegPlusLib.scene import _run

    made = _run.makeNodes

    def making(*arguments: Any) -> Any:
        watch.phase = "nodes"
        return made(*arguments)

    _run.makeNodes = making
    watch.phase = "start"
    begun = time.perf_counter()
    widget.ui.applyButton.click()
    started.process_events(2 * INTERVAL_MS)
    watch.phase = "running"
    assert started.wait_until(lambda: not session.busy, 900)
    seconds = time.perf_counter() - begun
    started.process_events(2000)
    _run.makeNodes = made
    return seconds


def prepare(standin: bool) -> None:
    """With a stand-in worker, a model set of every role."""
    if not standin:
        return
    from SynthSegPlusLib.panel import _modelPart
    from SynthSegPlusLib.scene import Session, _session
    from Testing.slicer.helpers import any_set
    from Testing.slicer.standin_worker import StandInWorker

    resources = Path(sys.modules["SynthSegPlus"].RESOURCES).resolve()
    _session._sessions[resources] = Session(resources, makeWorker=lambda: StandInWorker(failing=("cortex",)))
    _modelPart.ModelSet.find = staticmethod(lambda folder: any_set())


def add_head() -> Any:
    """A made-up head: a bright ball with folds, float32 [256, 256, 256] at 1 mm."""
    import slicer

    axes = np.ogrid[:SIDE, :SIDE, :SIDE]
    radius = sum((axis - SIDE / 2) ** 2 for axis in axes)
    folds = sum(np.sin(axis / 5) for axis in axes)
    data = np.where(radius < 80**2, 60 + 10 * folds, 0).astype(np.float32)
    return slicer.util.addVolumeFromArray(data, name="Head")


def report(watch: Watch, seconds: float) -> None:
    print(f"{seconds:.1f} s from the click to the result; lateness of a {INTERVAL_MS} ms timer:")
    for phase, late in watch.late.items():
        print(f"  {phase:8s} {len(late):5d} ticks, median {np.median(late):6.1f} ms, worst {max(late):7.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
