"""The panel and the console with the real worker, the real engine and the bundled model set."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.errors import Cancelled, WorkerError
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.scene import _session
from Testing.slicer.helpers import add_transform, node_names, open_panel

nilearn = pytest.importorskip("nilearn")
MNI152 = Path(nilearn.__file__).parent / "datasets" / "data" / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"

TILTED = np.array([[1.92, -0.56, 0.0, -60.0], [0.56, 1.92, 0.0, -70.0], [0.0, 0.0, 2.0, -40.0], [0, 0, 0, 1.0]])
"""Voxels of 2 mm, turned by 16 degrees about the S axis."""


@pytest.fixture(scope="module")
def brain():
    """The middle of the MNI152 brain, [i, j, k] at 2 mm: small, so that a run takes seconds."""
    node = slicer.util.loadVolume(str(MNI152))
    data = slicer.util.arrayFromVolume(node).transpose(2, 1, 0)[40:158:2, 60:180:2, 30:140:2].astype(np.float32)
    slicer.mrmlScene.RemoveNode(node)
    return data


@pytest.fixture(scope="module")
def session(root):
    """One session, so that the worker stays warm between the tests; at the end no process is left."""
    session = scene.Session(root / "SynthSegPlus" / "Resources")
    yield session
    session.close()
    assert not workers()


@pytest.fixture
def logic(slicer_host, session):
    slicer_host.load_module()
    return sys.modules["SynthSegPlus"].SynthSegPlusLogic(session)


def workers() -> list[psutil.Process]:
    """Worker processes that this process started and that still run."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "SynthSegPlusLib.inference.worker" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def add(data, affine=None, name="Brain"):
    affine = np.diag([2.0, 2.0, 2.0, 1.0]) if affine is None else affine
    return slicer.util.addVolumeFromArray(data.transpose(2, 1, 0), affine, name)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_worker_killed_from_outside_is_explained_and_the_next_run_works(slicer_host, brain, logic):
    node = add(brain)
    run = logic.start(node, mode="fast", threads=2)
    assert slicer_host.wait_until(lambda: bool(workers()))
    os.kill(workers()[0].pid, signal.SIGKILL)
    assert slicer_host.wait_until(lambda: run.finished)
    assert isinstance(run.error, WorkerError)
    assert "memory" in str(run.error)
    assert "try again" in str(run.error)
    assert logic.segment(node, mode="fast", threads=2).segmentation is not None


def test_load_apply_see(slicer_host, brain, session):
    node = add(brain)
    with open_panel(slicer_host, session=session) as opened:
        widget = opened.widget
        widget._parameterNode.inputVolume = node
        widget._parameterNode.threads = 2
        assert slicer_host.wait_until(lambda: widget.ui.applyButton.enabled)
        seen = []
        widget.ui.progressBar.connect("valueChanged(int)", seen.append)
        widget.ui.applyButton.click()
        assert slicer_host.wait_until(lambda: widget.panel.result is not None, 600), widget.panel.session.log
        result = widget.panel.result
        assert [n.GetName() for n in (result.segmentation, result.volumes, result.summary)] == [
            "Brain segmentation", "Brain volumes", "Brain summary"]
        assert len(set(seen)) > 2
        labels, affine = scene.arrayAndAffine(result.segmentation)
        assert set(np.unique(labels)) <= set(structures("2.0").values)
        assert len(np.unique(labels)) > 10
        np.testing.assert_allclose(affine[:3, :3], np.eye(3), atol=1e-6)
        assert result.icvMm3 == pytest.approx(sum(row.volume_mm3 for row in result.measures), rel=1e-9)
        assert result.record["model_set"]["name"] == widget.panel.model.modelSet.name
        assert scene.isShown(result)


def test_console_panel_and_python_give_the_same_labels_and_volumes(slicer_host, brain, logic, root, tmp_path):
    node = add(brain, TILTED)
    nodes = logic.segment(node, mode="fast", threads=2)
    # The node's own affine: Slicer keeps spacing and directions apart, which rounds in the last digit.
    np.savez(tmp_path / "in.npz", data=brain, affine=scene.affineOf(node))
    code = f"""
import json, numpy as np
from SynthSegPlusLib import ModelSet, Segmenter, Volume
stored = np.load({str(tmp_path / "in.npz")!r})
result = Segmenter(ModelSet.find(), mode="fast", threads=2).segment(Volume(stored["data"], stored["affine"]))
np.savez({str(tmp_path / "out.npz")!r}, labels=result.labels.data, affine=result.labels.affine)
print("ROWS" + json.dumps(result.volumes.to_rows()))
"""
    finished = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    labels, affine = scene.arrayAndAffine(nodes.segmentation)
    expected = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(labels, expected["labels"])
    np.testing.assert_allclose(affine, expected["affine"], atol=1e-6)
    rows = json.loads(finished.stdout.partition("ROWS")[2])
    # json writes NaN; compared as text, so that NaN equals NaN.
    assert json.dumps(nodes.measures.to_rows()) == json.dumps(rows)


def test_the_labels_follow_the_scan_when_it_is_tilted_and_moved(slicer_host, brain, logic):
    node = add(brain, TILTED, "tilted")
    add_transform(node)
    tilted = logic.segment(node, mode="fast", grid="native", threads=2)
    straight = logic.segment(add(brain, name="straight"), mode="fast", grid="native", threads=2)
    labels, made = scene.arrayAndAffine(tilted.segmentation)
    expected, _ = scene.arrayAndAffine(straight.segmentation)
    assert (labels > 0).any()
    assert (labels == expected).mean() > 0.99
    np.testing.assert_allclose(made, scene.affineOf(node), atol=1e-6)
    assert tilted.segmentation.GetTransformNodeID() == node.GetTransformNodeID()


def test_left_stays_left_for_a_left_handed_scan(slicer_host, brain, logic):
    flipped = np.diag([-2.0, 2.0, 2.0, 1.0])
    flipped[0, 3] = 2.0 * (brain.shape[0] - 1)
    left_handed = logic.segment(add(brain[::-1].copy(), flipped, "flipped"), mode="fast", grid="native", threads=2)
    straight = logic.segment(add(brain, name="straight"), mode="fast", grid="native", threads=2)
    one, _ = scene.arrayAndAffine(left_handed.segmentation)
    other, _ = scene.arrayAndAffine(straight.segmentation)
    assert (one[::-1] == other).mean() > 0.999


@pytest.fixture(scope="module")
def every_role(root, tmp_path_factory):
    """A model set of tiny untrained networks that has every role; written by another process, which may use Keras."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    code = ("from pathlib import Path; from Testing.inference.tiny import write_tiny_set; "
            f"write_tiny_set(Path({str(folder)!r}), working_resolution_mm=2.0)")
    finished = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    return folder


def test_parcels_and_quality_come_through_every_layer_to_the_pixels(slicer_host, brain, session, every_role):
    add(brain)
    with open_panel(slicer_host, session=session) as opened:
        try:
            opened.parameters.modelFolder = str(every_role)
            assert slicer_host.wait_until(lambda: opened.ui.parcellationCheck.enabled)
            opened.ui.parcellationCheck.checked = True
            opened.ui.modeCombo.currentIndex = 0
            opened.ui.applyButton.click()
            assert slicer_host.wait_until(lambda: not session.busy, 600)
            result = opened.panel.result
            assert result is not None, session.log
            assert len(result.quality.regions) == 10
            assert result.record["options"]["mode"] == "robust"
            parcels = [row for row in result.measures if row.label > 1000]
            assert len(parcels) == 68
            cortex = result.measures[3].volume_mm3 + result.measures[42].volume_mm3
            assert sum(row.volume_mm3 for row in parcels) == pytest.approx(cortex, rel=1e-6)
            opened.parameters.opacity = 1.0
            opened.ui.qualityButton.click()
            label = max((row for row in result.measures if row.qc_region), key=lambda row: row.volume_mm3).label
            slicer.util.resetSliceViews()
            position = scene.jumpTo(result, label)
            slicer_host.process_events()
            view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
            pixel = view.pixels()[view.pixel_of_ras(list(position))].astype(int)
            expected = scene.shade(result.measures[label].qc_score, result.quality.threshold)
            assert np.abs(pixel - expected).max() <= 3
        finally:
            opened.parameters.modelFolder = ""


def test_the_worker_checks_the_scan_before_the_run(slicer_host, brain, session):
    add(brain)
    with open_panel(slicer_host, session=session) as opened:
        assert slicer_host.wait_until(lambda: "Advised mode" in opened.ui.foundLabel.text), session.log


def test_the_module_tests_itself(slicer_host, session, monkeypatch):
    module = slicer_host.load_module()
    monkeypatch.setitem(_session._sessions, Path(sys.modules["SynthSegPlus"].RESOURCES), session)
    module.self().runTest()
    assert slicer.util.getNode("Ball segmentation") is not None


@pytest.mark.parametrize("stage", ["", "Preparing the scan", "Segmentation (S)", "Postprocessing"])
def test_cancel_in_any_stage_ends_the_run_within_two_seconds(slicer_host, brain, logic, stage):
    node = add(brain)
    # Other programs may take the computer's time; they do not do so each time.
    assert any(seconds_to_cancel(slicer_host, logic, node, stage) < 2.0 for _ in range(3))


def seconds_to_cancel(slicer_host, logic, node, stage):
    """Start a run, cancel it in a stage; how long it goes on."""
    before = node_names()
    seen = []
    run = logic.start(node, mode="fast", threads=2, onProgress=lambda *p: seen.append(p[0]))
    if stage:
        assert slicer_host.wait_until(lambda: stage in seen or run.finished, 600)
    finished = run.finished
    asked = time.monotonic()
    run.cancel()
    assert slicer_host.wait_until(lambda: run.finished)
    took = time.monotonic() - asked
    if not finished:
        assert isinstance(run.error, Cancelled)
        assert node_names() == before
    assert len(workers()) <= 1
    for made in () if run.result is None else run.result:
        slicer.mrmlScene.RemoveNode(made)
    return took


@pytest.mark.long
def test_a_hundred_starts_and_cancels_leave_no_process_file_or_node(slicer_host, brain, logic):
    node = add(brain)
    before = node_names()
    for cycle in range(100):
        run = logic.start(node, mode="fast", threads=2)
        slicer_host.process_events(20 * (cycle % 8))
        run.cancel()
        assert slicer_host.wait_until(lambda run=run: run.finished)
    assert node_names() == before
    assert len(workers()) <= 1
    logic.close()
    assert not workers()
