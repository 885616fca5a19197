"""A child process with its whole tree: started without a window, drained, ended, explained. Standard library only."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO

from SynthSegPlusLib.contract.errors import WorkerError

_WINDOWS_EXITS = {
    0xC0000005: "it crashed (access violation)",
    0xC0000017: "memory ran out",
    0xC000012D: "memory ran out",
    0xC0000135: "a library that it needs is missing",
    0xC0000139: "two of its libraries do not fit together",
    0xC0000409: "it crashed (buffer overrun)",
}


class ProcessTree:
    """A process whose output is read by threads, so that neither side ever waits for the other.

    ``on_line`` and ``on_log`` get the lines of standard output and of standard error, in those threads.
    Raises `WorkerError` when the program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None,
                 on_line: Callable[[str], object], on_log: Callable[[str], object]):  # fmt: skip
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=None if environment is None else dict(environment), **detached(),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise WorkerError(
                f"The worker {command[0]} could not be started ({error}); check the installation of its packages."
            ) from error
        self._write_lock = threading.Lock()
        self._threads = [
            threading.Thread(target=drain, args=(stream, take), name="worker output", daemon=True)
            for stream, take in ((self._process.stdout, on_line), (self._process.stderr, on_log))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the process runs."""
        return self._process.poll()

    @property
    def drained(self) -> bool:
        """Whether everything that it wrote has been handed over."""
        return not any(thread.is_alive() for thread in self._threads)

    def write(self, line: str) -> bool:
        """Send a line; False when the process no longer listens."""
        stream = self._process.stdin
        assert stream is not None
        with self._write_lock:
            try:
                stream.write(line.encode("utf-8") + b"\n")
                stream.flush()
            except (OSError, ValueError):
                return False
        return True

    def close_input(self) -> None:
        """End of file on its standard input: the worker ends by itself."""
        stream = self._process.stdin
        assert stream is not None
        with self._write_lock:
            try:
                stream.close()
            except OSError:  # what was still buffered has no reader
                return

    def kill(self) -> None:
        """End the process and everything that it started, at once, without waiting for it; again is harmless."""
        end_tree(self._process)

    def wait(self, timeout: float) -> bool:
        """Wait until the process is gone and its output read; whether that happened in time (s)."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        for thread in self._threads:
            thread.join(timeout)
        return self.drained

    def reap(self) -> None:
        """After a kill: close the pipes once the process is gone, in a thread of its own."""
        threading.Thread(target=self._reap, name="worker end", daemon=True).start()

    def _reap(self) -> None:
        self._process.wait()
        self.close_input()


_LAUNCHERS_LAST = "] exit abnormally - Report the problem."
"""How Slicer's launcher says that what it started crashed or was ended; it then exits with 1 on every system."""


def is_launchers(line: str) -> bool:
    """Whether a line of the log is the launcher's and not the worker's own."""
    return line.strip().endswith(_LAUNCHERS_LAST)


def exit_reason(code: int, last_lines: Iterable[str] = ()) -> str:
    """Why a process ended, from its exit code and last words, in words that follow "The worker stopped:"."""
    if code == 1 and any(is_launchers(line) for line in last_lines):
        return "it crashed or the system ended it, most often because memory ran out"
    if code in _WINDOWS_EXITS or code & 0xFFFFFFFF in _WINDOWS_EXITS:
        return _WINDOWS_EXITS[code & 0xFFFFFFFF]
    number = -code if code < 0 else code - 128  # a launcher in between reports signals as 128 + number
    try:
        name = signal.Signals(number).name if 0 < number < 65 else ""
    except ValueError:
        name = ""
    if name == "SIGKILL":
        return "the system or another program ended it (SIGKILL), most often because memory ran out"
    if name in ("SIGTERM", "SIGINT", "SIGHUP"):
        return f"another program ended it ({name})"
    if name:
        return f"it crashed ({name})"
    return f"it ended with code {code}"


def drain(stream: IO[bytes], take: Callable[[str], object]) -> None:
    """Hand over the lines of a stream until its end, then close it. For a thread."""
    with stream:
        for line in stream:
            take(line.decode("utf-8", errors="replace").rstrip("\r\n"))


def detached() -> dict:
    """No console window on Windows; elsewhere a group of its own, so that the whole tree can be ended."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def end_tree(process: subprocess.Popen) -> None:
    """End a process that was started `detached` and everything that it started, without waiting for it."""
    if sys.platform == "win32":
        # Its children first: once the parent is gone, nothing leads to them.
        command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(command, capture_output=True, check=False, **detached())
    else:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # gone already; macOS says "not permitted" of zombies
            pass
    if process.poll() is None:
        process.kill()


def is_running(pid: int) -> bool:
    """Whether a process of this computer has this number; one that may not be looked at counts as running."""
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_running_on_windows(pid: int) -> bool:
    # Signal 0 is Ctrl-C there, so the process is opened; its handle is at rest until the process ends.
    synchronize, access_denied, timed_out = 0x00100000, 5, 0x102
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.OpenProcess.restype = ctypes.c_void_p
    kernel.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    kernel.CloseHandle.argtypes = [ctypes.c_void_p]
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return ctypes.get_last_error() == access_denied  # type: ignore[attr-defined]
    try:
        return kernel.WaitForSingleObject(handle, 0) == timed_out
    finally:
        kernel.CloseHandle(handle)
