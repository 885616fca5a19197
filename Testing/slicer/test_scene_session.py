"""The session: what goes wrong around a run never leaves it busy, and the worker is the one that was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.errors import Cancelled, OptionsError, OutputError
from SynthSegPlusLib.contract.options import SegmentOptions
from SynthSegPlusLib.contract.protocol import encode
from SynthSegPlusLib.scene import _engine, _session
from SynthSegPlusLib.scene._packages import STAMP
from Testing.slicer.helpers import add_scan, node_names
from Testing.slicer.standin_worker import StandInWorker
from Testing.slicer.test_module import run_python


class TellingWorker(StandInWorker):
    """Writes its commands as the real client does."""

    def send(self, kind, **fields):
        encode(kind, **fields)
        super().send(kind, **fields)


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Slicer's temporary folder, for this test alone."""
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setattr(_engine, "temporaryHome", lambda: str(folder))
    return folder


@pytest.fixture
def worker():
    return TellingWorker()


@pytest.fixture
def session(slicer_host, root, files, worker):
    session = scene.Session(root / "SynthSegPlus" / "Resources", makeWorker=lambda: worker)
    yield session
    session.close()
    assert list(files.iterdir()) == []


# ---- what goes wrong around a run -----------------------------------------------------------------------


def test_a_progress_callback_that_fails_is_logged_and_the_run_goes_on(session, caplog):
    assert session.segment(add_scan(), scene.Request(), lambda fraction: None).segmentation is not None
    assert "takes 1 positional argument" in caplog.text


@pytest.mark.parametrize("request_of", [
    lambda: scene.Request(threads=np.int64(4)),
    lambda: scene.Request(SegmentOptions(quality=np.bool_(True))),
])
def test_options_that_cannot_be_told_to_the_worker_are_an_error_and_the_next_run_works(session, request_of):
    node = add_scan()
    with pytest.raises(OptionsError, match="not JSON serializable.*plain numbers"):
        session.segment(node, request_of())
    assert not session.busy
    assert session.segment(node, scene.Request()).segmentation is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_wait_that_is_broken_off_ends_its_run_and_the_next_one_works(session, worker, files, error):
    node, worker.hold = add_scan(), True
    before = node_names()

    def stop():
        if worker.commands:
            raise error("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_session.slicer.app, "processEvents", stop)
        with pytest.raises(error, match="stopped"):
            session.segment(node, scene.Request())
    assert not session.busy
    assert session.run is None
    assert [event["kind"] for event in worker._events] == ["cancelled"]
    assert list(files.iterdir()) == []
    assert node_names() == before
    worker.hold = False
    assert session.segment(node, scene.Request()).segmentation is not None
    assert not session.engine.busy


def test_a_progress_callback_that_closes_the_session_cancels_the_wait(session):
    with pytest.raises(Cancelled):
        session.segment(add_scan(), scene.Request(), lambda *told: session.close())
    assert not session.busy
    assert session.segment(slicer.util.getNode("T1"), scene.Request()).segmentation is not None


def test_who_waits_for_a_run_that_is_closed_is_told(session, slicer_host, worker):
    worker.hold = True
    errors = []
    run = session.start(add_scan(), scene.Request(), onError=errors.append)
    assert slicer_host.wait_until(lambda: bool(worker.commands))
    session.close()
    assert [type(error) for error in errors] == [Cancelled]
    assert isinstance(run.error, Cancelled)


def test_who_is_told_of_a_closed_run_may_begin_another(session, slicer_host, worker):
    node, done, worker.hold = add_scan(), [], True
    session.start(node, scene.Request(), onError=lambda error: session.start(node, scene.Request(), onDone=done.append))
    assert slicer_host.wait_until(lambda: bool(worker.commands))
    worker.hold = False
    session.restart()
    assert slicer_host.wait_until(lambda: bool(done))


# ---- temporary files ------------------------------------------------------------------------------------


def test_the_scan_is_written_in_the_temporary_folder_that_slicers_settings_name(slicer_host):
    job = scene.Job("segment", print, print)
    assert job.folder.parent == Path(slicer.app.temporaryPath)
    assert str(os.getpid()) in job.folder.name
    job.discard()


def test_what_an_ended_slicer_left_is_deleted_and_that_of_a_running_one_stays(slicer_host, files):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = [f"SynthSegPlus-{pid}-abc" for pid in (ended.pid, os.getpid(), os.getppid())]
    for name in (*names, "SynthSegPlus-report"):
        (files / name).mkdir()
        (files / name / "input.raw").touch()
    scene.Engine(StandInWorker)
    assert sorted(path.name for path in files.iterdir()) == sorted([*names[1:], "SynthSegPlus-report"])


def test_a_slicer_that_ends_during_a_run_leaves_no_scan_behind(slicer_host, root, files):
    finished = run_python(f"""
        import os, sys
        from Testing import host
        host.start(views=False).load_module()
        from SynthSegPlusLib import scene
        from SynthSegPlusLib.scene import _engine
        from Testing.slicer.helpers import add_scan
        from Testing.slicer.standin_worker import StandInWorker
        _engine.temporaryHome = lambda: {str(files)!r}
        session = scene.sharedSession(sys.modules["SynthSegPlus"].RESOURCES)
        session._needsPackages, session.engine._makeWorker = False, lambda: StandInWorker(hold=True)
        run = session._begin(add_scan(), scene.Request(), None, None, None)
        run._work.wait()
        run.poll()
        print(len(os.listdir({str(files)!r})), "under way")
    """, root)
    assert "1 under way" in finished.stdout, finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(files.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_written_is_an_error_with_advice(session, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_engine.tempfile, "mkdtemp", full)
    with pytest.raises(OutputError, match=r"No space left.*another one in Slicer's"):
        session.segment(add_scan(), scene.Request())
    assert not session.busy


# ---- the worker's packages ------------------------------------------------------------------------------


@pytest.fixture
def two_backends(slicer_host, root, tmp_path, files, monkeypatch):
    """A session with TensorFlow and, installed later, PyTorch; and the folders that its workers got."""
    resources, got = root / "SynthSegPlus" / "Resources", []
    packages = scene.Packages(tmp_path / "home", resources, "no-such-python")
    for age, backend in ((50, "tensorflow"), (10, "torch")):
        packages.folder(backend).mkdir(parents=True)
        (packages.folder(backend) / STAMP).touch()
        os.utime(packages.folder(backend) / STAMP, (time.time() - age,) * 2)

    def make(command, environment):
        got.append(Path(json.loads(command[-1])[0]).name.partition("-")[0])
        return StandInWorker()

    monkeypatch.setattr("SynthSegPlusLib.inference.client.WorkerClient", make)
    session = scene.Session(resources, packages=packages)
    yield session, got
    session.close()


def test_a_worker_gets_the_packages_of_the_backend_that_is_asked_for(two_backends):
    session, got = two_backends
    node = add_scan()
    for backend in ("tensorflow", "torch", None, None, "tensorflow"):
        session.segment(node, scene.Request(backend=backend))
    assert got == ["tensorflow", "torch", "tensorflow"]


@pytest.mark.parametrize(("backend", "workers"), [
    (None, ["torch"]), ("torch", ["torch"]), ("tensorflow", ["torch", "tensorflow"])])
def test_a_worker_that_looked_at_the_scan_runs_it_when_it_has_the_right_packages(
        two_backends, slicer_host, backend, workers):
    session, got = two_backends
    node, said = add_scan(), []
    session.check(node, None, False, said.append, said.append)
    assert slicer_host.wait_until(lambda: bool(said))
    session.segment(node, scene.Request(backend=backend, device="cpu", threads=2))
    assert got == workers


def test_python_files_in_slicers_current_folder_are_not_the_workers_standard_library(slicer_host, tmp_path):
    for name in ("queue", "signal", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    finished = subprocess.run(scene.workerCommand([]), env=scene.workerEnvironment([]), cwd=tmp_path, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout.splitlines()[0])["kind"] == "hello"
