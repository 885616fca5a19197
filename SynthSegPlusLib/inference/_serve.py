"""The worker's loop: one thread reads commands, the main thread works."""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from SynthSegPlusLib import __version__
from SynthSegPlusLib.contract.errors import Cancelled, SynthSegPlusError, WorkerError
from SynthSegPlusLib.contract.protocol import PROTOCOL_VERSION, decode, encode

IDLE_SECONDS = 1800.0
"""Without a command for so long, the worker ends and gives its memory back."""

LAST_SECONDS = 0.5
"""How long a running job may take to stop when the door is gone."""

STAGE_SECONDS = 0.1
"""Progress is told at most this often within a stage."""


class Server:
    """Reads commands from standard input and answers on ``stream``."""

    def __init__(self, stream: TextIO, idle_seconds: float):
        self._stream = stream
        self._idle = idle_seconds
        self._write_lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._commands: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[str] = set()
        self._running: tuple[str, str] | None = None  # (job, kind)
        self._closing = threading.Event()

    def serve(self) -> int:
        """Work until the end of input, "quit" or idleness; returns 0."""
        from SynthSegPlusLib.inference._jobs import Jobs

        with contextlib.suppress(ValueError):  # not the main thread, in tests
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the door's business
        self.say("hello", protocol=PROTOCOL_VERSION, version=__version__, python=platform.python_version(),
                 pid=os.getpid())  # fmt: skip
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        jobs = Jobs()
        while not self._closing.is_set():
            try:
                command = self._commands.get(timeout=self._idle)
            except queue.Empty:
                break
            if command is None:
                break
            self._work(jobs, command)
        return 0

    def say(self, kind: str, **fields: Any) -> None:
        """Send one event; a door that is gone ends the worker."""
        with self._write_lock:
            try:
                self._stream.write(encode(kind, **fields) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                self._closing.set()

    # The reading thread --------------------------------------------------------------------------------------

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            try:
                command = decode(line.decode("utf-8"))
            except (WorkerError, UnicodeDecodeError) as error:
                self.say("log", text=str(error))
                continue
            if command["kind"] == "quit":
                break
            if command["kind"] == "cancel":
                self._cancel(str(command.get("job")))
            else:
                self._commands.put(command)
        self._close()

    def _cancel(self, job: str) -> None:
        with self._state_lock:
            self._cancelled.add(job)
            running = self._running
        if running is None or running[0] != job or running[1] != "segment":
            # It waits in the queue, or is too short to be worth interrupting: its result will be dropped.
            self.say("cancelled", job=job)

    def _close(self) -> None:
        self._closing.set()
        self._commands.put(None)
        time.sleep(LAST_SECONDS)
        # The main thread is inside a network and cannot hear; nobody waits for its result.
        os._exit(0)

    # The main thread -----------------------------------------------------------------------------------------

    def _work(self, jobs: Any, command: dict[str, Any]) -> None:
        job, kind = str(command.get("job")), command["kind"]
        with self._state_lock:
            if job in self._cancelled:
                self._cancelled.discard(job)
                return
            self._running = (job, kind)
        try:
            answer: tuple[str, dict[str, Any]] = ("done", {"result": self._do(jobs, job, kind, command)})
        except Cancelled:
            answer = ("cancelled", {})
        except SynthSegPlusError as error:
            answer = ("failed", {"error": type(error).__name__, "message": str(error)})
        except Exception as error:  # the worker must outlive a mistake of its own, and say so
            traceback.print_exc()
            message = f"Something unexpected went wrong ({type(error).__name__}: {error}); the log has the details."
            answer = ("failed", {"error": "SynthSegPlusError", "message": message})
        with self._state_lock:
            self._running = None
            was_dropped = job in self._cancelled and kind != "segment"
            self._cancelled.discard(job)
        if not was_dropped:
            self.say(answer[0], job=job, **answer[1])

    def _do(self, jobs: Any, job: str, kind: str, command: dict[str, Any]) -> dict[str, Any]:
        if kind == "segment":
            return jobs.segment(command, self._reporter(job), lambda: job in self._cancelled or self._closing.is_set())
        if kind == "check":
            return jobs.check(command)
        if kind == "probe":
            return jobs.probe(command)
        raise WorkerError(f"The worker has no command {kind!r}; update SynthSegPlus on both sides.")

    def _reporter(self, job: str) -> Any:
        last: dict[str, Any] = {"stage": "", "time": 0.0}

        def report(stage: str, fraction: float, overall: float) -> None:
            now = time.monotonic()
            if stage == last["stage"] and fraction < 1.0 and now - last["time"] < STAGE_SECONDS:
                return
            last.update(stage=stage, time=now)
            self.say("stage", job=job, stage=stage, fraction=round(fraction, 4), overall=round(overall, 4))

        return report
