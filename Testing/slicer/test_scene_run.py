"""Runs: progress, cancelling, and everything that can happen to a scan meanwhile."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.errors import (
    BackendError,
    Cancelled,
    InputError,
    MemoryShortage,
    OptionsError,
    WorkerError,
)
from SynthSegPlusLib.contract.options import SegmentOptions
from Testing.slicer.helpers import add_bend, add_scan, add_transform, node_names
from Testing.slicer.standin_worker import STAGES, StandInWorker


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch, tmp_path):
    """Others on this computer may segment as well; their files are not looked at."""
    (tmp_path / "files").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "files"))
    monkeypatch.setattr("SynthSegPlusLib.scene._engine.temporaryHome", tempfile.gettempdir)


def leftovers() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("SynthSegPlus-*"))


@pytest.fixture
def worker() -> StandInWorker:
    return StandInWorker()


@pytest.fixture
def session(slicer_host, worker, root, own_temporary_folder):
    session = scene.Session(root / "SynthSegPlus" / "Resources", makeWorker=lambda: worker)
    yield session
    session.close()
    assert leftovers() == set()


def poll(run, times=1):
    for _ in range(times):
        run.poll()


def finish(run):
    """Poll until the run ends."""
    end = time.monotonic() + 60
    while not run.poll():
        assert time.monotonic() < end
        time.sleep(0.005)


def begin(session, node, **keywords):
    """A run whose polls are made by hand."""
    return session._begin(node, scene.Request(SegmentOptions(**keywords)), None, None, None)


def start(session, node, **keywords):
    """A run that the worker has got; each poll brings one event."""
    run = begin(session, node, **keywords)
    run._work.wait()
    run.poll()
    return run


def test_progress_names_every_stage_and_then_the_nodes_are_there(session, slicer_host):
    node = add_scan()
    seen, done = [], []
    session.start(node, scene.Request(), lambda *told: seen.append(told), done.append)
    assert slicer_host.wait_until(lambda: not session.busy)
    assert [stage for stage, _, _ in seen] == list(STAGES)
    assert [overall for _, _, overall in seen] == sorted(overall for _, _, overall in seen)
    assert done[0].segmentation.GetName() == "T1 segmentation"


def test_the_worker_gets_the_scan_the_options_and_the_choices(session, worker):
    request = scene.Request(SegmentOptions(mode="fast", ct=True, grid="native"), Path("/models"), "torch", "cpu", 3)
    session.segment(add_scan(), request)
    (command,) = worker.commands
    assert command["kind"] == "segment"
    assert SegmentOptions.from_dict(command["options"]) == request.options
    choices = [command[key] for key in ("models", "backend", "device", "threads")]
    assert choices == [str(Path("/models")), "torch", "cpu", 3]


def test_waiting_and_not_waiting_give_the_same_nodes(session, slicer_host):
    node = add_scan()
    waited = session.segment(node, scene.Request())
    done = []
    session.start(node, scene.Request(), onDone=done.append)
    assert slicer_host.wait_until(lambda: bool(done))
    first, _ = scene.arrayAndAffine(waited.segmentation)
    second, _ = scene.arrayAndAffine(done[0].segmentation)
    assert (first == second).all()
    assert waited.measures == done[0].measures


def test_the_worker_stays_for_the_next_scan(slicer_host, root):
    made = []

    def make() -> StandInWorker:
        made.append(StandInWorker())
        return made[-1]

    session = scene.Session(root / "SynthSegPlus" / "Resources", makeWorker=make)
    for name in ("one", "two"):
        session.segment(add_scan(name), scene.Request())
    assert len(made) == 1
    session.close()
    assert made[0].closed == 1


@pytest.mark.parametrize("change", [{"threads": 2}, {"device": "cpu"}, {"backend": "torch"}])
def test_a_worker_that_cannot_change_is_ended_for_a_run_with_other_threads_device_or_backend(
        slicer_host, root, change):
    made = []

    def make() -> StandInWorker:
        made.append(StandInWorker())
        return made[-1]

    session = scene.Session(root / "SynthSegPlus" / "Resources", makeWorker=make)
    node = add_scan()
    session.segment(node, scene.Request())
    session.segment(node, scene.Request(**change))
    session.segment(node, scene.Request(**change))
    assert [worker.closed for worker in made] == [1, 0]
    session.close()


@pytest.mark.parametrize("events", range(len(STAGES) + 1))
def test_a_cancel_after_any_stage_makes_no_node(session, events):
    run = start(session, add_scan())
    poll(run, events)
    before = node_names()
    run.cancel()
    finish(run)
    assert run.finished
    assert isinstance(run.error, Cancelled)
    assert node_names() == before


def test_a_cancel_while_the_scan_is_still_written_never_reaches_the_worker(session, worker):
    run = begin(session, add_scan())
    run.cancel()
    finish(run)
    assert isinstance(run.error, Cancelled)
    assert worker.commands == []


def test_a_cancel_while_the_result_is_read_makes_no_node(session):
    run = start(session, add_scan())
    before = node_names()
    while run._reply is None:
        session.engine.poll()
    run.cancel()
    finish(run)
    assert isinstance(run.error, Cancelled)
    assert node_names() == before


def test_a_session_that_is_closed_during_a_run_leaves_no_file(session, worker):
    begin(session, add_scan())
    assert len(leftovers()) == 1
    session.close()
    assert not session.busy
    run = start(session, slicer.util.getNode("T1"))
    session.close()
    assert run.finished


def test_a_result_that_comes_after_a_cancel_is_not_shown(session, worker):
    run = start(session, add_scan())
    poll(run, len(STAGES))
    worker.cancel = lambda job: None
    before = node_names()
    run.cancel()
    finish(run)
    assert isinstance(run.error, Cancelled)
    assert node_names() == before


def test_a_second_run_during_a_run_is_refused_with_the_name_of_the_first(session):
    run = start(session, add_scan("first"))
    with pytest.raises(OptionsError, match="'first' is still being segmented"):
        session.segment(add_scan("second"), scene.Request())
    run.cancel()
    finish(run)
    assert session.segment(slicer.util.getNode("second"), scene.Request()).segmentation is not None


def test_a_scan_that_is_deleted_during_the_run_ends_it_with_its_name(session):
    node = add_scan("gone")
    run = start(session, node)
    slicer.mrmlScene.RemoveNode(node)
    before = node_names()
    finish(run)
    assert isinstance(run.error, InputError)
    assert "'gone' was removed" in str(run.error)
    assert node_names() == before


def test_a_scene_that_is_closed_during_the_run_stays_empty(session):
    run = start(session, add_scan())
    slicer.mrmlScene.Clear(0)
    before = node_names()
    finish(run)
    assert run.finished
    assert node_names() == before


@pytest.mark.parametrize("put_under", [lambda node: None, add_transform, add_bend], ids=["bare", "linear", "bent"])
@pytest.mark.parametrize("events", [0, len(STAGES)])
def test_a_scan_whose_voxels_move_during_the_run_ends_it_with_the_reason(session, put_under, events):
    node = add_scan("moved")
    put_under(node)
    run = start(session, node)
    poll(run, events)
    if node.GetParentTransformNode() is None:
        node.SetOrigin(10.0, 20.0, 30.0)
    else:
        node.HardenTransform()
    before = node_names()
    finish(run)
    assert isinstance(run.error, InputError)
    assert "'moved' was moved or resampled" in str(run.error)
    assert node_names() == before
    assert session.segment(node, scene.Request()).segmentation is not None


def test_a_scan_that_is_cropped_in_place_while_its_result_is_read_gets_no_nodes(session):
    node = add_scan()
    run = start(session, node)
    while run._reply is None:
        session.engine.poll()
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[1:].copy())
    finish(run)
    assert isinstance(run.error, InputError)
    assert scene.resultsIn(slicer.mrmlScene) == []


def test_a_scan_that_is_put_under_a_transform_during_the_run_takes_its_labels_along(session):
    node = add_scan()
    run = start(session, node)
    add_transform(node)
    finish(run)
    assert run.result.segmentation.GetTransformNodeID() == node.GetTransformNodeID() is not None


def test_a_cancel_of_a_run_whose_scan_is_then_moved_stays_a_cancel(session):
    node = add_scan()
    run = start(session, node)
    run.cancel()
    node.SetOrigin(10.0, 20.0, 30.0)
    finish(run)
    assert isinstance(run.error, Cancelled)


def test_a_look_at_a_scan_under_a_non_linear_transform_warns_beside_what_the_worker_finds(session, slicer_host):
    node = add_scan()
    add_bend(node)
    said = []
    session.check(node, None, False, said.append, said.append)
    assert slicer_host.wait_until(lambda: bool(said))
    assert [(finding["code"], finding["severity"]) for finding in said[0]["findings"]] == [
        ("thick-slices", "warning"), ("non-linear-transform", "warning")]
    assert said[0]["advice"]["mode"] == "robust"


def test_the_death_of_the_worker_is_a_sentence_and_the_next_run_works(session, worker):
    run = start(session, add_scan())
    worker.die("The worker was ended from outside (signal 9), perhaps because memory ran short; press Apply again.")
    finish(run)
    assert isinstance(run.error, WorkerError)
    assert "memory ran short" in str(run.error)
    assert session.segment(slicer.util.getNode("T1"), scene.Request()).segmentation is not None


def test_a_worker_that_vanishes_without_a_word_ends_the_run_all_the_same(session, worker, monkeypatch):
    run = start(session, add_scan())
    monkeypatch.setattr("SynthSegPlusLib.scene._engine.SILENCE_SECONDS", 0.0)
    worker.hold, worker.alive = True, False
    finish(run)
    assert isinstance(run.error, WorkerError)
    assert "ended before it was done" in str(run.error)


def test_an_error_of_the_engine_comes_back_as_its_kind(session, worker):
    worker.error = ("MemoryShortage", "The run needs 9 GB and 4 GB are free; close other programs.")
    with pytest.raises(MemoryShortage, match="close other programs"):
        session.segment(add_scan(), scene.Request())


def test_a_worker_that_cannot_start_is_an_error_and_no_run(slicer_host, root):
    def fail():
        raise WorkerError("The worker could not start; reinstall the packages.")

    session = scene.Session(root / "SynthSegPlus" / "Resources", makeWorker=fail)
    with pytest.raises(WorkerError, match="reinstall"):
        session.segment(add_scan(), scene.Request())
    assert not session.busy


def test_without_packages_the_reason_names_them_and_their_size(slicer_host, root, tmp_path):
    resources = root / "SynthSegPlus" / "Resources"
    packages = scene.Packages(tmp_path, resources, python="no-such-python")
    session = scene.Session(resources, packages=packages)
    with pytest.raises(BackendError, match=r"keras>=3\.13.*tensorflow.*MB.*installPackages"):
        session.segment(add_scan(), scene.Request())


def test_a_callback_that_fails_does_not_stop_the_session(session, slicer_host, caplog):
    def broken(result):
        raise RuntimeError("mistake in a script")

    session.start(add_scan(), scene.Request(), onDone=broken)
    assert slicer_host.wait_until(lambda: not session.busy)
    assert "mistake in a script" in caplog.text
    assert session.segment(slicer.util.getNode("T1"), scene.Request()).segmentation is not None


@pytest.mark.parametrize("cycles", [10, pytest.param(100, marks=pytest.mark.long)])
def test_starting_and_cancelling_again_and_again_leaves_nothing(session, worker, cycles):
    node = add_scan()
    observers = slicer.mrmlScene.HasObserver("ModifiedEvent")
    before = node_names()
    for cycle in range(cycles):
        run = start(session, node) if cycle % 2 else begin(session, node)
        poll(run, cycle % 5)
        run.cancel()
        finish(run)
        assert isinstance(run.error, Cancelled)
    assert node_names() == before
    assert leftovers() == set()
    assert slicer.mrmlScene.HasObserver("ModifiedEvent") == observers
    assert not session.engine.busy
    assert session.engine.worker is worker
