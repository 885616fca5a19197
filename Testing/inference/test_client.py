"""The worker's client: it never blocks, explains every end, and leaves nothing behind."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from SynthSegPlusLib.contract import Cancelled, WorkerError
from SynthSegPlusLib.inference import _process, client
from SynthSegPlusLib.inference._process import exit_reason, is_running
from SynthSegPlusLib.inference.client import WorkerClient
from Testing.processes import gone, until

FAKE = Path(__file__).with_name("fake_worker.py")
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


@pytest.fixture
def make():
    """Makes clients of a fake worker and closes them."""
    made = []

    def start(behaviour, *more):
        made.append(WorkerClient([sys.executable, str(FAKE), behaviour, *map(str, more)]))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_nothing_runs_before_the_first_job(make):
    one = make("obey")
    assert not one.alive
    assert one.pid is None
    assert one.poll() == []


def test_a_job_is_followed_to_its_end_and_the_worker_stays_for_the_next(make):
    one, said = make("obey"), []
    one.send("segment", job="a")
    assert one.wait("a", lambda *values: said.append(values)) == {"echo": "a"}
    assert said[0][0] == "Working"
    first = one.pid
    one.send("segment", job="b")
    assert one.wait("b") == {"echo": "b"}
    assert one.pid == first


def test_the_first_event_is_the_greeting_and_standard_error_becomes_the_log(make):
    one = make("obey")
    one.start()
    events = []
    assert until(lambda: events.extend(one.poll()) or len(events) >= 2)
    assert {event["kind"] for event in events} == {"hello", "log"}
    assert one.log == ["a line for the log"]


def test_polling_takes_next_to_no_time_while_a_job_runs(make):
    one = make("obey")
    one.send("segment", job="a")
    longest, finished = 0.0, False
    while not finished:
        started = time.thread_time()
        events = one.poll()
        longest = max(longest, time.thread_time() - started)
        finished = any(event["kind"] == "done" for event in events)
        time.sleep(0.01)
    assert longest < 0.02


def test_a_job_that_obeys_is_cancelled_and_its_worker_lives_on(make):
    one = make("obey")
    one.send("segment", job="a")
    until(lambda: any(event["kind"] == "stage" for event in one.poll()))
    pid = one.pid
    one.cancel("a")
    with pytest.raises(Cancelled):
        one.wait("a", timeout=5)
    assert one.pid == pid


def test_a_job_that_does_not_obey_is_ended_within_2_s_with_all_that_it_started(make):
    one = make("deaf")
    one.send("segment", job="a")
    stages = []
    until(lambda: stages.extend(e["stage"] for e in one.poll() if e["kind"] == "stage") or stages)
    pids = [one.pid, int(stages[0].split()[1])]
    started = time.monotonic()
    one.cancel("a")
    with pytest.raises(Cancelled):
        one.wait("a", timeout=5)
    assert until(lambda: all(gone(pid) for pid in pids), 2.0)
    assert time.monotonic() - started < 2.0 + 0.5
    assert not one.alive


def test_the_tree_is_ended_even_when_nobody_polls(make):
    one = make("deaf")
    one.send("segment", job="a")
    assert until(lambda: any(event["kind"] == "stage" for event in one.poll()))
    pid = one.pid
    one.cancel("a")
    time.sleep(2.0)
    assert gone(pid)
    assert [event["kind"] for event in one.poll() if event.get("job") == "a"] == ["cancelled"]


def test_a_job_waiting_behind_a_cancelled_one_goes_to_a_new_worker(make, monkeypatch):
    monkeypatch.setattr(client, "GRACE_SECONDS", 0.2)
    one = make("deaf")
    one.send("segment", job="a")
    until(lambda: any(event["kind"] == "stage" for event in one.poll()))
    first = one.pid
    one.send("segment", job="b")
    one.cancel("a")
    events = []
    assert until(lambda: events.extend(one.poll()) or any(e.get("job") == "b" and e["kind"] == "stage" for e in events))
    assert one.pid != first
    assert [event["kind"] for event in events if event.get("job") == "a"] == ["cancelled"]


def test_cancelling_what_is_not_running_does_nothing(make):
    one = make("obey")
    one.cancel("never")
    one.send("segment", job="a")
    one.wait("a")
    one.cancel("a")
    assert one.alive


@POSIX_ONLY
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [("signal-SIGKILL", "memory ran out"), ("signal-SIGSEGV", "it crashed"), ("signal-SIGTERM", "another program"),
     ("die-3", "code 3.*ValueError: something specific"), ("die-137", "memory ran out"), ("die-0", "code 0")],
)  # fmt: skip
def test_a_worker_that_dies_fails_its_job_with_a_sentence_and_the_next_job_gets_a_new_one(make, behaviour, words):
    one = make(behaviour)
    for job in ("a", "b"):
        one.send("segment", job=job)
        with pytest.raises(WorkerError, match=f"(?s)stopped before it was done.*{words}"):
            one.wait(job, timeout=10)
        assert not one.alive


@POSIX_ONLY
def test_a_worker_killed_from_outside_is_explained(make):
    one = make("obey")
    one.send("segment", job="a")
    until(lambda: any(event["kind"] == "stage" for event in one.poll()))
    psutil.Process(one.pid).kill()
    with pytest.raises(WorkerError, match="the system or another program ended it"):
        one.wait("a", timeout=5)


def test_a_crash_that_slicers_launcher_reports_as_code_1_is_explained(make):
    one = make("launched")
    one.send("segment", job="a")
    with pytest.raises(WorkerError) as raised:
        one.wait("a", timeout=10)
    assert "it crashed or the system ended it, most often because memory ran out. Close" in str(raised.value)
    assert "Report the problem" not in str(raised.value)


def test_the_launchers_line_is_not_the_workers_last_words():
    line = "error: [/opt/Slicer/bin/python-real] exit abnormally - Report the problem.\n"
    assert "memory ran out" in exit_reason(1, ["words", line])
    assert "code 1" in exit_reason(1, ["words"])
    assert "code 3" in exit_reason(3, [line])


def test_what_an_earlier_worker_said_does_not_explain_the_end_of_the_next(make):
    one = make("launched")
    one.send("segment", job="a")
    with pytest.raises(WorkerError):
        one.wait("a", timeout=10)
    one._command[-1] = "die-1"
    one.send("segment", job="b")
    with pytest.raises(WorkerError, match="code 1.*ValueError"):
        one.wait("b", timeout=10)


def test_whether_a_process_runs_is_known_by_its_number():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert is_running(os.getpid())
    assert not is_running(ended.pid)
    assert not is_running(2**62)


@pytest.mark.parametrize(("handle", "error", "waited", "runs"), [
    (7, 0, 0x102, True), (7, 0, 0, False), (None, 5, None, True), (None, 87, None, False)])  # fmt: skip
def test_on_windows_a_process_is_looked_at_without_a_signal(monkeypatch, handle, error, waited, runs):
    closed = []

    class Function:
        def __init__(self, function):
            self.function = function

        def __call__(self, *arguments):
            return self.function(*arguments)

    class Kernel:
        OpenProcess = Function(lambda access, inherit, pid: handle)
        WaitForSingleObject = Function(lambda handle, milliseconds: waited)
        CloseHandle = Function(closed.append)

    monkeypatch.setattr(_process.sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, **_: Kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: error, raising=False)
    assert is_running(4711) is runs
    assert closed == ([] if handle is None else [handle])


@pytest.mark.parametrize(
    ("code", "words"),
    [(-9, "memory ran out"), (137, "memory ran out"), (-11, "crashed"), (1, "code 1"), (0xC0000005, "access violation"),
     (0xC0000005 - 2**32, "access violation"), (0xC0000135, "missing"), (250, "code 250"), (-77, "code -77")],
)  # fmt: skip
def test_exit_codes_of_every_system_are_put_in_words(code, words):
    assert words in exit_reason(code)


def test_a_worker_that_babbles_or_speaks_another_version_is_ended_with_a_reason(make):
    for behaviour, words in (("babble", "which is no message"), ("other-protocol", "version 99 of the protocol")):
        one = make(behaviour)
        one.send("segment", job="a")
        with pytest.raises(WorkerError, match=words):
            one.wait("a", timeout=10)
        assert not one.alive


def test_a_worker_that_never_says_hello_is_given_up(make, monkeypatch):
    monkeypatch.setattr(client, "HELLO_SECONDS", 0.3)
    one = make("silent")
    one.send("segment", job="a")
    with pytest.raises(WorkerError, match="did not answer within"):
        one.wait("a", timeout=10)


def test_a_worker_that_went_home_just_before_the_job_is_replaced_in_silence(make, tmp_path):
    one = make("idle", tmp_path)
    one.send("segment", job="a")
    assert one.wait("a", timeout=20) == {"echo": "a"}


def test_a_program_that_does_not_exist_is_said_at_once():
    one = WorkerClient(["/no/such/python"])
    with pytest.raises(WorkerError, match="could not be started"):
        one.send("segment", job="a")
    assert one.poll() == []


def test_a_job_that_takes_too_long_is_cancelled(make):
    one = make("deaf")
    one.send("segment", job="a")
    with pytest.raises(WorkerError, match="did not finish within"):
        one.wait("a", timeout=1.0)
    assert until(lambda: not one.alive, 5)


def test_closing_ends_the_worker_politely_or_not_and_twice_is_harmless(make):
    for behaviour in ("obey", "deaf"):
        one = make(behaviour)
        one.send("segment", job="a")
        until(lambda: any(event["kind"] == "stage" for event in one.poll()))  # noqa: B023
        pid = one.pid
        one.close(timeout=0.3)
        one.close()
        assert gone(pid)
        assert one.poll() == []


def test_a_forgotten_client_takes_its_worker_along(make):
    one = WorkerClient([sys.executable, str(FAKE), "obey"])
    one.start()
    pid = one.pid
    del one
    gc.collect()
    assert until(lambda: gone(pid), 5)


def test_twenty_starts_and_cancels_leave_no_process_thread_or_open_file(make, monkeypatch):
    monkeypatch.setattr(client, "GRACE_SECONDS", 0.05)
    me = psutil.Process()
    files = me.num_fds if hasattr(me, "num_fds") else me.num_handles
    before = (len(me.children(recursive=True)), threading.active_count(), files())
    one = make("deaf")
    for number in range(20):
        one.send("segment", job=str(number))
        if number % 2:
            until(lambda: any(event["kind"] == "stage" for event in one.poll()))
        one.cancel(str(number))
        with pytest.raises(Cancelled):
            one.wait(str(number), timeout=10)
    one.close()
    now = lambda: (len(me.children(recursive=True)), threading.active_count(), files())  # noqa: E731
    assert until(lambda: all(a <= b for a, b in zip(now(), before, strict=True)), 5), (before, now())


def test_on_windows_the_tree_is_ended_by_taskkill_and_no_window_opens(monkeypatch):
    calls = []

    class Process:
        pid = 4711
        stdin = stdout = stderr = None

        def poll(self):
            return None

        def kill(self):
            calls.append("kill")

    monkeypatch.setattr(_process.sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(subprocess, "run", lambda command, **more: calls.append((command, more["creationflags"])))
    tree = object.__new__(_process.ProcessTree)
    tree._process = Process()
    tree.kill()
    assert calls == [(["taskkill", "/F", "/T", "/PID", "4711"], 0x08000200), "kill"]
