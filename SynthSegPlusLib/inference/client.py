"""A door's end of the worker process. Standard library and numpy only: this runs in Slicer's own process.

Nothing here blocks: two threads drain the worker, and whoever owns the client collects the events with `poll`,
from a timer or a loop of its own, so that callbacks happen in the owner's thread.
"""

from __future__ import annotations

import collections
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.errors import Cancelled, WorkerError, error_of_kind
from SynthSegPlusLib.contract.protocol import PROTOCOL_VERSION, decode, encode
from SynthSegPlusLib.inference._process import ProcessTree, exit_reason, is_launchers

GRACE_SECONDS = 1.0
"""How long a running job may take to stop by itself before the worker's whole tree is ended."""

HELLO_SECONDS = 120.0
"""How long the worker may take to say hello; a cold start from a slow disk takes tens of seconds."""

LOG_LINES = 500

LAST_LINES = 5
"""Where the launcher's word on a crash is looked for; what the worker left behind may speak after it."""

_LIBRARY_HOME = Path(__file__).resolve().parents[2]


class WorkerClient:
    """Starts the worker when it is first needed, keeps it for the next job, and sees to its end.

    Parameters
    ----------
    command
        Program and arguments that run ``SynthSegPlusLib.inference.worker``; None takes this Python.
    environment
        Environment variables of the worker; None takes this process's. See `worker_environment`.
    """

    def __init__(self, command: Sequence[str] | None = None, environment: Mapping[str, str] | None = None):
        self._command = list(command or [sys.executable, "-m", "SynthSegPlusLib.inference.worker"])
        self._environment = worker_environment() if environment is None else dict(environment)
        self._lock = threading.RLock()
        self._tree: ProcessTree | None = None
        self._finalizer: weakref.finalize | None = None
        self._hello = False
        self._started = 0.0
        self._events: collections.deque[dict[str, Any]] = collections.deque()
        self._pending: dict[str, str] = {}  # job -> the line that was sent
        self._seen: set[str] = set()  # jobs of which the worker has said something
        self._timers: dict[str, threading.Timer] = {}
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)

    @property
    def alive(self) -> bool:
        """Whether a worker process is running."""
        with self._lock:
            return self._tree is not None and self._tree.exit_code is None

    @property
    def pid(self) -> int | None:
        with self._lock:
            return self._tree.pid if self._tree is not None and self._tree.exit_code is None else None

    @property
    def log(self) -> list[str]:
        """The last lines that the worker wrote to standard error."""
        return list(self._log)

    def start(self) -> None:
        """Start the worker if none runs. Raises `WorkerError` when its program cannot be started."""
        with self._lock:
            if self.alive:
                return
            # The threads must not keep a forgotten client alive, or its worker would never end.
            owner = weakref.ref(self)
            generation = object()
            self._hello, self._started, self._generation = False, time.monotonic(), generation
            self._log.clear()  # an earlier worker's last words explain nothing about this one
            self._tree = ProcessTree(
                self._command, self._environment,
                lambda line: _tell(owner, "_take", line, generation),
                lambda line: _tell(owner, "_take_log", line, generation),
            )  # fmt: skip
            self._finalizer = weakref.finalize(self, _end, self._tree)

    def send(self, kind: str, **fields: Any) -> None:
        """Send a command (`contract.protocol`), starting the worker if needed.

        What becomes of a ``job`` comes through `poll`. Raises `WorkerError` when the worker cannot be started.
        """
        line = encode(kind, **fields)
        with self._lock:
            self._bury_the_dead()
            self.start()
            assert self._tree is not None
            if "job" in fields and kind != "cancel":
                self._pending[str(fields["job"])] = line
            self._tree.write(line)  # a worker that died in between is noticed by `poll`

    def segment(self, job: str, input: str | Path, outputs: str | Path, options: Mapping[str, Any],
                models: str | Path | None = None, backend: str | None = None, device: str = "auto",
                threads: int | None = None, **more: Any) -> None:  # fmt: skip
        """Send a segmentation: ``input`` an image or exchange file, ``outputs`` an existing folder for the result."""
        self.send(
            "segment", job=job, input=str(input), outputs=str(outputs), options=dict(options),
            models=None if models is None else str(models), backend=backend, device=device, threads=threads, **more,
        )  # fmt: skip

    def poll(self) -> list[dict[str, Any]]:
        """Events since the last call, without waiting. The end of a worker is a ``failed`` event of its jobs."""
        with self._lock:
            self._bury_the_dead()
            if self._tree is not None and not self._hello and time.monotonic() - self._started > HELLO_SECONDS:
                self._give_up(f"The worker did not answer within {HELLO_SECONDS:.0f} s of its start; try again.")
            events = list(self._events)
            self._events.clear()
        return events

    def cancel(self, job: str) -> None:
        """Ask a job to stop. When it has not within 1 s, the worker and all it started are ended. Never blocks."""
        with self._lock:
            if job not in self._pending or job in self._timers or self._tree is None:
                return
            self._tree.write(encode("cancel", job=job))
            timer = threading.Timer(GRACE_SECONDS, self._kill_for, [job])
            timer.daemon = True
            self._timers[job] = timer
            timer.start()

    def wait(self, job: str, progress: Callable[[str, float, float], object] | None = None,
             timeout: float | None = None) -> Any:  # fmt: skip
        """Collect events until a job ends; return its result or raise its error. For scripts and tests.

        Events of other jobs are dropped. After ``timeout`` s the job is cancelled and `WorkerError` raised.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while deadline is None or time.monotonic() < deadline:
            for event in self.poll():
                if event.get("job") != job:
                    continue
                if event["kind"] == "stage" and progress is not None:
                    progress(event["stage"], event["fraction"], event["overall"])
                elif event["kind"] == "done":
                    return event["result"]
                elif event["kind"] == "failed":
                    raise error_of_kind(event["error"], event["message"])
                elif event["kind"] == "cancelled":
                    raise Cancelled()
            time.sleep(0.01)
        self.cancel(job)
        raise WorkerError(f"The worker did not finish within {timeout:g} s; the job was cancelled.")

    def close(self, timeout: float = 1.0) -> None:
        """End the worker: ask it to, and after ``timeout`` s end its whole tree. Its jobs end without events."""
        with self._lock:
            tree = self._forget()
            self._pending.clear()
            self._stop_timers()
            self._events.clear()
        if tree is None:
            return
        tree.write(encode("quit"))
        tree.close_input()
        if not tree.wait(timeout):
            tree.kill()
            tree.wait(5.0)

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Threads -------------------------------------------------------------------------------------------------

    def _take(self, line: str, generation: object) -> None:
        with self._lock:
            if generation is not self._generation or self._tree is None:
                return  # a worker that was ended has nothing more to say
            try:
                event = decode(line)
            except WorkerError as error:
                self._give_up(str(error))
                return
            if event["kind"] == "hello":
                self._greet(event)
            elif event.get("job") is None or event["job"] in self._pending:
                self._note(event)

    def _take_log(self, line: str, generation: object) -> None:
        self._log.append(line)
        with self._lock:
            if generation is self._generation:
                self._events.append({"kind": "log", "text": line})

    def _greet(self, event: Mapping[str, Any]) -> None:
        if event.get("protocol") != PROTOCOL_VERSION:
            self._give_up(
                f"The worker speaks version {event.get('protocol')} of the protocol where {PROTOCOL_VERSION} is "
                f"needed (its SynthSegPlus is {event.get('version')}); install the same version on both sides."
            )
            return
        self._hello = True
        self._events.append(dict(event))

    def _note(self, event: dict[str, Any]) -> None:
        job = event.get("job")
        if job is not None:
            self._seen.add(job)
        if job is not None and event["kind"] in ("done", "failed", "cancelled"):
            self._finish(job)
        self._events.append(event)

    def _kill_for(self, job: str) -> None:
        with self._lock:
            if job not in self._pending or job not in self._timers:
                return
            self._end_tree()
            self._finish(job)
            self._events.append({"kind": "cancelled", "job": job})
            self._resend()

    # Ends ----------------------------------------------------------------------------------------------------

    def _finish(self, job: str) -> None:
        self._pending.pop(job, None)
        self._seen.discard(job)
        timer = self._timers.pop(job, None)
        if timer is not None:
            timer.cancel()

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _forget(self) -> ProcessTree | None:
        tree, self._tree = self._tree, None
        self._generation = None
        if self._finalizer is not None:
            self._finalizer.detach()
        return tree

    def _end_tree(self) -> None:
        tree = self._forget()
        if tree is not None:
            tree.kill()
            tree.reap()

    def _give_up(self, message: str) -> None:
        """End the worker and fail all its jobs."""
        self._end_tree()
        self._fail_all(message)

    def _fail_all(self, message: str) -> None:
        for job in list(self._pending):
            is_cancelled = job in self._timers
            self._finish(job)
            failure = {"kind": "failed", "job": job, "error": "WorkerError", "message": message}
            self._events.append({"kind": "cancelled", "job": job} if is_cancelled else failure)

    def _bury_the_dead(self) -> None:
        """Notice a worker that ended by itself, once all that it said has been read."""
        tree = self._tree
        if tree is None or tree.exit_code is None or not tree.drained:
            return
        code = tree.exit_code
        self._forget()
        tree.kill()  # whatever it started and left behind
        tree.reap()
        ended_idle = code == 0 and not self._seen.intersection(self._pending)
        if ended_idle:  # it had not read the job when it ended
            self._resend()
            return
        said = [line.strip() for line in self._log if line.strip()]
        last = next((line for line in reversed(said) if not is_launchers(line)), "")
        detail = f" Its last words: {last[:200]}" if last and code > 0 else ""
        reason = exit_reason(code, said[-LAST_LINES:])
        self._fail_all(
            f"The worker process stopped before it was done: {reason}. Close other programs or run without "
            f"parcellation and quality control, then try again; the log has the details.{detail}"
        )

    def _resend(self) -> None:
        """Hand jobs that were waiting behind an ended one to a new worker."""
        waiting = [(job, line) for job, line in self._pending.items() if job not in self._timers]
        if not waiting:
            self._fail_all("The worker ended.")
            return
        try:
            self.start()
        except WorkerError as error:
            self._fail_all(str(error))
            return
        assert self._tree is not None
        for _, line in waiting:
            self._tree.write(line)

    _generation: object | None = None


def worker_environment(extra_paths: Sequence[str | Path] = ()) -> dict[str, str]:
    """This process's environment, with ``extra_paths`` and this library on the worker's Python path."""
    environment = dict(os.environ)
    paths = [*map(str, extra_paths), str(_LIBRARY_HOME), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["PYTHONIOENCODING"] = "utf-8"
    environment["PYTHONSAFEPATH"] = "1"  # a queue.py in the current folder is not the standard library's
    return environment


def worker_command(python: str | Path = sys.executable) -> list[str]:
    """The worker's command line in another Python."""
    return [str(python), "-m", "SynthSegPlusLib.inference.worker"]


def _tell(owner: weakref.ref[WorkerClient], method: str, line: str, generation: object) -> None:
    client = owner()
    if client is not None:
        getattr(client, method)(line, generation)


def _end(tree: ProcessTree) -> None:
    tree.close_input()
    tree.kill()
    tree.wait(2.0)
