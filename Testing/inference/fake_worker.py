"""A worker without an engine, for the client's tests: ``python fake_worker.py BEHAVIOUR [FOLDER]``.

Behaviours: obey (finishes each job after a while, or stops when told), deaf (starts a child of its own and hears no
cancel), die-CODE (exits in the middle of a job), signal-NAME (is ended by a signal), launched (crashes behind Slicer's
launcher), babble (says what is no message), other-protocol, silent (no hello), idle (ends before the first job, once;
FOLDER remembers).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def say(kind, **fields):
    print(json.dumps({"kind": kind, **fields}), flush=True)


def sleep_forever():
    while True:
        time.sleep(1)


def obey():
    cancelled = set()
    stopped = threading.Event()

    def work(job):
        for step in range(200):
            if job in cancelled:
                say("cancelled", job=job)
                return
            say("stage", job=job, stage="Working", fraction=step / 200, overall=step / 200)
            time.sleep(0.005)
        say("done", job=job, result={"echo": job})

    for line in sys.stdin:
        message = json.loads(line)
        if message["kind"] == "quit":
            break
        if message["kind"] == "cancel":
            cancelled.add(message["job"])
        else:
            threading.Thread(target=work, args=(message["job"],), daemon=True).start()
    stopped.set()


def main(behaviour, folder=None):
    if behaviour == "silent":
        sleep_forever()
    if behaviour == "other-protocol":
        say("hello", protocol=99, version="9.9", python="3", pid=os.getpid())
        sleep_forever()
    if behaviour == "idle" and not (Path(folder) / "seen").exists():
        (Path(folder) / "seen").touch()
        sys.exit(0)
    say("hello", protocol=1, version="0", python="3", pid=os.getpid())
    print("a line for the log", file=sys.stderr, flush=True)
    if behaviour in ("obey", "idle"):
        obey()
        return
    job = json.loads(sys.stdin.readline())["job"]
    if behaviour == "deaf":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say("stage", job=job, stage=f"child {child.pid}", fraction=0.5, overall=0.5)
        sleep_forever()
    if behaviour == "babble":
        print("this is no message", flush=True)
        sleep_forever()
    say("stage", job=job, stage="Working", fraction=0.5, overall=0.5)
    kind, _, value = behaviour.partition("-")
    if kind == "die":
        print("ValueError: something specific", file=sys.stderr, flush=True)
        os._exit(int(value))
    if kind == "launched":
        print("the worker's own last words", file=sys.stderr)
        print("error: [/opt/Slicer/bin/python-real] exit abnormally - Report the problem.", file=sys.stderr)
        print("resource_tracker: 1 leaked semaphore", file=sys.stderr, flush=True)
        os._exit(1)
    if kind == "signal":
        os.kill(os.getpid(), getattr(signal, value))
        sleep_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
