"""What one Slicer process keeps between runs: the packages, the warm worker, the run under way."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from SynthSegPlusLib.contract.errors import BackendError, Cancelled, OptionsError, OutputError, SynthSegPlusError
from SynthSegPlusLib.scene._engine import Engine, Progress
from SynthSegPlusLib.scene._packages import Packages, describe
from SynthSegPlusLib.scene._requirements import BACKENDS
from SynthSegPlusLib.scene._result import ResultNodes
from SynthSegPlusLib.scene._run import Check, Request, SegmentRun
from SynthSegPlusLib.scene._worker import (
    Worker,
    WorkerMaker,
    userFolder,
    workerCommand,
    workerEnvironment,
    workerPython,
)

TICK_MS = 50
LOG_LINES = 2000


class Session:
    """Runs one scan at a time in one worker.

    `makeWorker` and `packages` are given by tests; else the worker is the real one in Slicer's Python, and the
    packages are those under Slicer's user folder.
    """

    def __init__(self, resources: Path, makeWorker: WorkerMaker | None = None,
                 packages: Packages | None = None) -> None:
        self.packages = packages or Packages(userFolder() / "packages", resources, workerPython(),
                                             environment=workerEnvironment([]))
        self.backend: str | None = None
        """The backend whose packages the worker has; None leaves it to what its Python has."""
        self.log: list[str] = []
        self.listeners: list[Callable[[], None]] = []
        self._needsPackages = makeWorker is None
        self.engine = Engine(makeWorker or self._realWorker, self.say)
        self.run: SegmentRun | None = None
        self._check: Check | None = None
        self._fixed: tuple[str, int | None] | None = None  # device and threads, once the worker has had a run
        self._timer: Any = None

    # ---- packages ---------------------------------------------------------------------------------------

    @property
    def packagesKnown(self) -> bool:
        """Whether `readiness` can answer without asking a process first."""
        return not self._needsPackages or bool(self.packages.installed()) or self.packages.asked

    def lookAtPackages(self) -> None:
        """Find out in a thread what the worker's Python has, so that no window waits for it."""
        if not self.packagesKnown:
            threading.Thread(target=self.packages.ownModules, name="SynthSegPlus packages", daemon=True).start()

    def readiness(self) -> str:
        """Empty when a worker can run, else why it cannot."""
        if not self._needsPackages or self.packages.ready() is not None:
            return ""
        missing = self.packages.missing(self.packages.suggested())
        return f"Packages are missing: {describe(missing)}."

    def installAndWait(self, backend: str | None = None, wheels: Path | None = None) -> None:
        """Install what is missing and wait, keeping Slicer alive; `BackendError` says why it failed."""
        chosen = backend or self.packages.suggested()
        if chosen not in BACKENDS:
            raise OptionsError(f"There is no backend {chosen!r}; choose one of {', '.join(BACKENDS)}.")
        if not self.packages.missing(chosen):
            return
        installation = self.packages.install(chosen, wheels)
        try:
            while not installation.ended:
                slicer.app.processEvents()
                time.sleep(0.05)
            # A worker, also one that began meanwhile, holds the files of the folder that is replaced now.
            self.restart()
            while (succeeded := installation.poll()) is None:
                time.sleep(0.05)
        except BaseException:
            installation.cancel()
            raise
        for line in installation.lines:
            self.say(line)
        if not succeeded:
            raise BackendError(f"The packages could not be installed: {installation.reason}.")

    # ---- runs -------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a segmentation is under way."""
        return self.run is not None and not self.run.finished

    def start(self, inputNode: Any, request: Request, onProgress: Progress | None = None,
              onDone: Callable[[ResultNodes], None] | None = None,
              onError: Callable[[SynthSegPlusError], None] | None = None) -> SegmentRun:
        """Begin a segmentation and return at once; callbacks come from Slicer's event loop.

        Raises what is wrong before the worker is asked: `OptionsError` while another run is under way,
        `BackendError` without packages, `InputError` for a volume that holds no scan, `OutputError` when the
        temporary folder cannot be written. A run that is closed meanwhile ends with `Cancelled`.
        """
        run = self._begin(inputNode, request, onProgress, onDone, onError)
        self.keepPolling()
        return run

    def segment(self, inputNode: Any, request: Request, onProgress: Progress | None = None) -> ResultNodes:
        """Segment and wait, keeping Slicer alive meanwhile; raises the run's error. Works without windows."""
        run = self._begin(inputNode, request, onProgress, None, None)
        try:
            while not run.poll():
                self._tell()
                slicer.app.processEvents()
                time.sleep(0.01)
        except BaseException:
            # Nobody polls it any more, and so it would count as under way for good.
            run.cancel()
            run.abandon()
            self._tell()
            raise
        self._tell()
        if run.result is None:
            raise run.error or Cancelled()
        return run.result

    def _begin(self, inputNode: Any, request: Request, onProgress: Progress | None,
               onDone: Callable[[ResultNodes], None] | None,
               onError: Callable[[SynthSegPlusError], None] | None) -> SegmentRun:
        if inputNode is None:
            raise OptionsError("No scan was given; choose a volume.")
        if self.busy:
            assert self.run is not None
            raise OptionsError(f"{self.run.inputName!r} is still being segmented; wait for it or cancel it first.")
        reason = self.readiness()
        if reason:
            raise BackendError(f"{reason} Install them in the panel, or with SynthSegPlusLogic().installPackages().")
        if self._check is not None:
            self._check.cancel()
        self._fitWorker(request)
        self.say(f"{inputNode.GetName()}: {request.options.mode}")
        try:
            self.run = SegmentRun(self.engine, inputNode, request, onProgress, onDone, onError)
        except OSError as error:
            raise OutputError(f"The temporary folder cannot be written ({error}); free some disk space, or name "
                              "another one in Slicer's application settings.") from error
        return self.run

    def _fitWorker(self, request: Request) -> None:
        """End a worker that was started for another backend, device or number of threads: it cannot change them."""
        backend, fixed = request.backend or self.packages.newest(), (request.device, request.threads)
        if backend != self.backend or self._fixed not in (None, fixed):
            self.engine.close()
        self.backend, self._fixed = backend, fixed

    def check(self, inputNode: Any, models: Path | None, ct: bool, onDone: Callable[[Any], None],
              onError: Callable[[SynthSegPlusError], None]) -> Check:
        """Have the worker look at a scan without running. `onDone` gets findings and advice as plain values."""
        fields = {"ct": ct, "models": None if models is None else str(models)}
        if self._check is not None:
            self._check.cancel()
        if self.engine.worker is None and not self.busy:  # it starts for this look; a run may then want just this one
            self.backend, self._fixed = self.packages.newest(), None
        self._check = Check(self.engine, inputNode, fields, onDone, onError)
        self.keepPolling()
        return self._check

    # ---- the worker -------------------------------------------------------------------------------------

    def _realWorker(self) -> Worker:
        from SynthSegPlusLib.inference.client import WorkerClient

        folders = self.packages.paths(self.backend)
        return WorkerClient(workerCommand(folders), workerEnvironment(folders))

    def restart(self) -> None:
        """End the worker, so that the next run starts one with the packages of now."""
        under_way = [command for command in (self.run, self._check) if command is not None]
        self.run = self._check = None  # before they end: who is told may begin another
        self.engine.close()
        for command in under_way:
            command.abandon()
        if under_way:
            self._tell()

    def close(self) -> None:
        """End everything: timer, worker, temporary folders."""
        if self._timer is not None:
            self._timer.stop()
        self.restart()

    # ---- log and timer ----------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Add a line to the log."""
        self.log.append(f"{time.strftime('%H:%M:%S')} {text}")
        del self.log[:-LOG_LINES]

    def keepPolling(self) -> None:
        """Let Slicer's event loop bring in the worker's messages for as long as a job is under way."""
        import qt

        if self._timer is None:
            self._timer = qt.QTimer()
            self._timer.setInterval(TICK_MS)
            self._timer.connect("timeout()", self._tick)
        self._timer.start()

    def _tick(self) -> None:
        if self.run is not None and not self.run.finished:
            self.run.poll()
        else:
            self.engine.poll()
        checking = self._check is not None and not self._check.poll()
        if not self.engine.busy and not self.busy and not checking and self._timer is not None:
            self._timer.stop()
        self._tell()

    def _tell(self) -> None:
        """Let the listeners follow. A run that is over is forgotten: it holds its nodes, which may leave the scene."""
        if not self.busy:
            self.run = None
        for listener in list(self.listeners):
            listener()


_sessions: dict[Path, Session] = {}


def sharedSession(resources: Path) -> Session:
    """The session of this process, so that every logic and panel uses the same warm worker."""
    key = Path(resources).resolve()
    if key not in _sessions:
        _sessions[key] = Session(key)
        # Slicer closes no logic when it ends, and the scan of a run under way lies in the temporary folder.
        atexit.register(_sessions[key].restart)
    return _sessions[key]
