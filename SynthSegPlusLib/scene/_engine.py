"""The jobs of one worker: sent, followed, cancelled, cleaned up after."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import slicer

from SynthSegPlusLib.contract.errors import Cancelled, OptionsError, SynthSegPlusError, WorkerError, error_of_kind
from SynthSegPlusLib.inference._process import is_running
from SynthSegPlusLib.scene._worker import Worker, WorkerMaker

SILENCE_SECONDS = 5.0
"""How long a worker that is gone may leave its jobs without a word."""

Progress = Callable[[str, float, float], None]
"""Called with the stage, its fraction and the fraction of the whole (0..1)."""


class Job:
    """One command under way, with a temporary folder that lives as long as it does.

    `done` gets the result; when it returns something true, the folder stays until `discard`.
    """

    def __init__(self, kind: str, done: Callable[[Any], object], failed: Callable[[SynthSegPlusError], None],
                 progress: Progress | None = None) -> None:
        self.kind, self.name = kind, uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix=f"SynthSegPlus-{os.getpid()}-", dir=temporaryHome()))
        self.cancelling = False
        self._done, self._failed, self._progress = done, failed, progress

    def progressed(self, stage: str, fraction: float, overall: float) -> None:
        if self._progress is not None and not self.cancelling:
            guarded(self._progress, stage, fraction, overall)

    def finish(self, result: Any = None, error: SynthSegPlusError | None = None) -> None:
        """Hand over the outcome, then delete the folder unless whoever takes the result still reads there."""
        keeps = False
        try:
            if error is not None:
                self._failed(error)
            else:
                keeps = bool(self._done(result))
        finally:
            if not keeps:
                self.discard()

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def temporaryHome() -> str:
    """Where scans are written for the worker: the folder that Slicer's settings name, else the system's."""
    home = slicer.app.temporaryPath
    return home if os.path.isdir(home) else tempfile.gettempdir()


def sweepTemporary() -> None:
    """Delete what a Slicer left that ended in the middle of a run: a scan lies in it."""
    for folder in Path(temporaryHome()).glob("SynthSegPlus-*"):
        owner = re.match(r"SynthSegPlus-(\d+)-", folder.name)
        if owner is not None and not is_running(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)


class Engine:
    """The one worker of this process and what is under way in it. Nothing here blocks.

    The worker starts with the first job and stays for the next one.
    """

    def __init__(self, makeWorker: WorkerMaker, log: Callable[[str], None] | None = None) -> None:
        self._makeWorker = makeWorker
        self._worker: Worker | None = None
        self._jobs: dict[str, Job] = {}
        self._deadSince: float | None = None
        self._log = log or (lambda text: None)
        sweepTemporary()

    @property
    def busy(self) -> bool:
        """Whether any job is under way."""
        return bool(self._jobs)

    @property
    def worker(self) -> Worker | None:
        return self._worker

    def running(self, kind: str) -> list[Job]:
        """Jobs of one kind that are under way."""
        return [job for job in self._jobs.values() if job.kind == kind]

    def submit(self, job: Job, fields: Mapping[str, Any]) -> Job:
        """Send a job; a worker that cannot start is the job's failure, told to it at once."""
        self._jobs[job.name] = job
        try:
            if self._worker is None:
                self._worker = self._makeWorker()
            self._worker.send(job.kind, job=job.name, **fields)
        except SynthSegPlusError as error:
            self._finish(job, error=error)
        except OSError as error:
            self._finish(job, error=WorkerError(f"The worker could not start ({error}); reinstall the packages."))
        except (TypeError, ValueError) as error:
            self._finish(job, error=OptionsError(f"The worker cannot be told these options ({error}); give plain "
                                                 "numbers, texts and truth values."))
        return job

    def cancel(self, job: Job) -> None:
        """Ask a job to stop; its end comes through `poll`."""
        if job.name in self._jobs and not job.cancelling:
            job.cancelling = True
            if self._worker is not None:
                self._worker.cancel(job.name)

    def poll(self) -> None:
        """Bring in what the worker said since the last call."""
        worker = self._worker
        if worker is None:
            return
        for event in worker.poll():
            self._take(event)  # whose callback may close this engine
        if not self._jobs or worker.alive:
            self._deadSince = None
        elif self._deadSince is None:
            self._deadSince = time.monotonic()
        elif time.monotonic() - self._deadSince > SILENCE_SECONDS:
            # The client reports the death of its worker; this holds where it could not.
            for job in list(self._jobs.values()):
                self._finish(job, error=Cancelled() if job.cancelling else WorkerError(
                    "The worker process ended before it was done; press Apply to run again."))

    def close(self) -> None:
        """End the worker; what was under way is cancelled."""
        worker, self._worker = self._worker, None
        jobs, self._jobs = list(self._jobs.values()), {}
        try:
            if worker is not None:
                worker.close()
        finally:
            for job in jobs:
                guarded(job.finish, None, Cancelled())

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["kind"] == "log":
            self._log(str(event.get("text", "")))
            return
        job = self._jobs.get(str(event.get("job")))
        if job is None:
            return
        if event["kind"] == "stage":
            job.progressed(str(event["stage"]), float(event["fraction"]), float(event["overall"]))
        elif event["kind"] == "done":
            # What finished in spite of a cancel is still cancelled: nothing is to appear any more.
            self._finish(job, result=event["result"], error=Cancelled() if job.cancelling else None)
        elif event["kind"] == "failed":
            error = error_of_kind(str(event["error"]), str(event["message"]))
            self._finish(job, error=Cancelled() if job.cancelling else error)
        elif event["kind"] == "cancelled":
            self._finish(job, error=Cancelled())

    def _finish(self, job: Job, result: Any = None, error: SynthSegPlusError | None = None) -> None:
        self._jobs.pop(job.name, None)
        guarded(job.finish, result, error)


def guarded(callback: Callable[..., object], *arguments: Any) -> None:
    """Call a callback; its own mistake is logged and must not stop the polling of other jobs."""
    try:
        callback(*arguments)
    except Exception:
        logging.exception("SynthSegPlus: a callback failed")
