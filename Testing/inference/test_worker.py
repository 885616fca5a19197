"""The real worker process: the same results as in this process, and an end for every case."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from SynthSegPlusLib.contract import Cancelled, InputError, ModelError, OptionsError, OutputError, WorkerError
from SynthSegPlusLib.contract.exchange import read_array_volume, write_array_volume
from SynthSegPlusLib.contract.protocol import PROTOCOL_VERSION, SegmentReply
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference.client import WorkerClient, worker_command, worker_environment
from Testing.inference.tiny import scan

OPTIONS = {"mode": "robust", "parcellation": True, "quality": True}


@pytest.fixture(scope="module")
def worker():
    """One worker for all tests that leave it alive."""
    with WorkerClient() as one:
        yield one


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    volume = scan()
    return write_array_volume(tmp_path_factory.mktemp("exchange"), "input", volume.data, volume.affine)


@pytest.fixture
def job(worker, exported, tiny, tmp_path):
    """Sends one segmentation to the worker: a function of what to change."""

    def send(name="job", options=None, client=worker, **changes):
        fields = {"input": exported, "outputs": tmp_path, "models": tiny, "device": "cpu", "threads": 2, **changes}
        client.segment(name, options=OPTIONS if options is None else options, **fields)
        return name

    return send


def test_segmenting_through_the_worker_equals_segmenting_here(worker, job, tiny):
    here = Segmenter(ModelSet.load(tiny), device="cpu", **OPTIONS).segment(scan())
    stages = []
    values = worker.wait(job(), lambda stage, fraction, overall: stages.append((stage, overall)), timeout=120)
    reply = SegmentReply.from_dict(json.loads(json.dumps(values)))
    for ours, path in ((here.labels, reply.labels), (here.parcellation, reply.parcellation)):
        data, affine = read_array_volume(Path(path))
        assert np.array_equal(data, ours.data)
        assert data.dtype == np.int32
        assert affine == pytest.approx(ours.affine)
    assert reply.measures.volumes() == here.volumes.volumes()
    assert reply.icv_mm3 == here.icv_mm3
    assert reply.quality == here.quality
    assert reply.findings == here.findings
    assert reply.record["input"]["sha256"] == here.record["input"]["sha256"]
    assert reply.resampled is None
    assert [stage for stage in dict.fromkeys(stage for stage, _ in stages)][0] == "Preparing the scan"
    assert stages[-1][1] == pytest.approx(1.0)


def test_the_second_scan_is_faster_because_the_worker_stays_warm(worker, job):
    worker.wait(job("first"), timeout=120)
    pid, started = worker.pid, time.monotonic()
    worker.wait(job("second"), timeout=120)
    assert worker.pid == pid
    assert time.monotonic() - started < 10


def test_an_image_file_can_be_given_and_the_resampled_scan_asked_for(worker, job, tmp_path):
    path = scan(spacing=1.4).write(tmp_path / "scan.nii.gz")
    reply = SegmentReply.from_dict(worker.wait(job(input=path, resampled=True, options={"mode": "fast"}), timeout=120))
    labels, resampled = (read_array_volume(Path(p))[0] for p in (reply.labels, reply.resampled))
    assert labels.shape == resampled.shape


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"input": "absent.nii.gz"}, InputError, "absent.nii.gz"),
        ({"options": {"mode": "slow"}}, OptionsError, "'slow'"),
        ({"options": {"speed": 1}}, OptionsError, "Unknown option speed"),
        ({"models": "absent"}, ModelError, "no such folder"),
        ({"outputs": "/no/such/folder"}, OutputError, "does not exist"),
    ],
)
def test_a_wrong_command_fails_with_its_sentence_and_the_worker_lives_on(worker, job, changes, kind, words):
    with pytest.raises(kind, match=words):
        worker.wait(job(**changes), timeout=60)
    assert worker.alive


def test_check_tells_findings_and_an_advised_mode(worker, exported, tiny):
    worker.send("check", job="check", input=str(exported), models=str(tiny))
    answer = worker.wait("check", timeout=60)
    assert "thin" in {finding["code"] for finding in answer["findings"]}
    assert answer["advice"]["mode"] == "robust"
    assert answer["shape"] == list(scan().shape)


def test_cancel_is_obeyed_in_every_stage_and_writes_nothing(worker, job, tiny, tmp_path):
    worker.wait(job("warm", outputs=tmp_path), timeout=120)
    for path in tmp_path.iterdir():
        path.unlink()
    obeyed = 0
    for stage in Segmenter(ModelSet.load(tiny), **OPTIONS).stage_names[:-1]:
        name = job(stage)
        cancelled = 0.0

        def progress(running, *_, wanted=stage, name=name):
            nonlocal cancelled
            if running == wanted and not cancelled:
                cancelled = time.monotonic()
                worker.cancel(name)

        try:
            worker.wait(name, progress, timeout=60)
        except Cancelled:
            assert time.monotonic() - cancelled < 2.0
            assert not list(tmp_path.iterdir())
            obeyed += 1
        for path in tmp_path.iterdir():  # the last stages may be faster than the message
            path.unlink()
    assert obeyed >= 3


def test_a_waiting_job_can_be_cancelled_and_the_running_one_goes_on(worker, job):
    first, second = job("first"), job("second")
    worker.cancel(second)
    ended = {}
    deadline = time.monotonic() + 60
    while len(ended) < 2 and time.monotonic() < deadline:
        ended.update({e["job"]: e["kind"] for e in worker.poll() if e["kind"] in ("done", "cancelled", "failed")})
        time.sleep(0.01)
    assert ended == {first: "done", second: "cancelled"}


def start_raw(*arguments, folder=None):
    return subprocess.Popen(
        [*worker_command(), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=worker_environment(), text=True, cwd=folder,
    )  # fmt: skip


def test_the_first_line_is_the_greeting_with_the_protocols_version():
    with start_raw() as process:
        hello = json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(5) == 0
    assert hello["kind"] == "hello"
    assert hello["protocol"] == PROTOCOL_VERSION
    assert hello["pid"] == process.pid


def test_python_files_in_the_current_folder_are_not_the_standard_library(tmp_path):
    for name in ("queue", "signal", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    with start_raw(folder=tmp_path) as process:
        hello = process.stdout.readline()
        process.stdin.close()
        assert process.wait(5) == 0, process.stderr.read()
    assert json.loads(hello)["kind"] == "hello"


def test_it_ends_when_its_input_ends_even_in_the_middle_of_a_job(tiny, tmp_path):
    path = write_array_volume(tmp_path, "input", scan((64, 64, 64)).data, np.eye(4))
    with start_raw() as process:
        process.stdout.readline()
        command = {"kind": "segment", "job": "a", "input": str(path), "outputs": str(tmp_path), "options": OPTIONS,
                   "models": str(tiny), "device": "cpu"}  # fmt: skip
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0


def test_it_ends_when_it_was_idle_for_long():
    with start_raw("--idle", "0.2") as process:
        assert json.loads(process.stdout.readline())["kind"] == "hello"
        assert process.wait(20) == 0


def test_what_libraries_print_does_not_disturb_the_protocol(tmp_path):
    """Standard output, also of C code, becomes standard error before anything else is imported."""
    code = (
        "import runpy, sys, os\n"
        "from SynthSegPlusLib.inference import _jobs\n"
        "def chatter(self, command):\n"
        "    print('noise'); os.write(1, b'C noise\\n'); return {'fine': True}\n"
        "_jobs.Jobs.probe = chatter\n"
        "sys.argv = ['worker']\n"
        "runpy.run_module('SynthSegPlusLib.inference.worker', run_name='__main__')"
    )
    with WorkerClient([sys.executable, "-c", code], worker_environment()) as noisy:
        noisy.send("probe", job="a")
        assert noisy.wait("a", timeout=30) == {"fine": True}
        assert {"noise", "C noise"} <= set(noisy.log)


def test_a_mistake_of_the_engine_is_said_and_the_worker_lives_on():
    code = (
        "import runpy, sys\n"
        "from SynthSegPlusLib.inference import _jobs\n"
        "_jobs.Jobs.probe = lambda self, command: 1 / 0\n"
        "sys.argv = ['worker']\n"
        "runpy.run_module('SynthSegPlusLib.inference.worker', run_name='__main__')"
    )
    with WorkerClient([sys.executable, "-c", code], worker_environment()) as broken:
        broken.send("probe", job="a")
        with pytest.raises(Exception, match="Something unexpected went wrong .ZeroDivisionError"):
            broken.wait("a", timeout=30)
        assert broken.alive
        assert any("Traceback" in line for line in broken.log)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_killed_from_outside_in_the_middle_of_a_job_it_fails_with_a_sentence(job):
    with WorkerClient() as one:
        name = job(client=one)
        while not any(event["kind"] == "stage" for event in one.poll()):
            time.sleep(0.01)
        psutil.Process(one.pid).kill()
        with pytest.raises(WorkerError, match="The worker process stopped before it was done"):
            one.wait(name, timeout=10)


def test_twenty_starts_and_cancels_of_the_real_worker_leave_nothing(job, tmp_path):
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    with WorkerClient() as one:
        for number in range(20):
            name = job(str(number), client=one)
            if number % 4 == 3:
                while not any(event["kind"] == "stage" for event in one.poll()):
                    time.sleep(0.01)
            one.cancel(name)
            with pytest.raises(Cancelled):
                one.wait(name, timeout=30)
    deadline = time.monotonic() + 5
    while {child.pid for child in me.children(recursive=True)} - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {child.pid for child in me.children(recursive=True)} <= before
    assert not list(tmp_path.iterdir())
