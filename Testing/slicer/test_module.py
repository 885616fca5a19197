"""The module file: what Slicer loads, what a script calls, and that nothing heavy comes along."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import slicer

from SynthSegPlusLib import scene
from SynthSegPlusLib.contract.errors import OptionsError
from Testing.slicer.helpers import add_scan
from Testing.slicer.standin_worker import StandInWorker

HEAVY = ("keras", "tensorflow", "torch", "jax", "nibabel", "h5py", "scipy", "SimpleITK", "matplotlib", "psutil")


@pytest.fixture
def logic(slicer_host):
    slicer_host.load_module()
    file = sys.modules["SynthSegPlus"]
    session = scene.Session(file.RESOURCES, makeWorker=StandInWorker)
    yield file.SynthSegPlusLogic(session)
    session.close()


def test_the_module_says_what_it_is(slicer_host):
    module = slicer_host.load_module()
    assert module.title == "SynthSegPlus"
    assert module.categories == ["Segmentation"]
    assert "Not for diagnosis" in module.helpText
    assert "Billot" in module.acknowledgementText


def test_the_terminology_is_known_to_slicer_after_start_up(slicer_host):
    slicer_host.load_module()
    assert slicer.modules.terminologies.logic().IsTerminologyContextLoaded(scene.CONTEXT)


def test_one_line_segments_and_gives_the_nodes(logic):
    nodes = logic.segment(add_scan(), mode="fast", quality=True)
    assert nodes.segmentation.GetName() == "T1 segmentation"
    assert nodes.verdict == "pass"
    assert nodes.icvMm3 > 0


def test_start_returns_at_once_and_calls_back(logic, slicer_host):
    told, done = [], []
    run = logic.start(add_scan(), mode="fast", onProgress=lambda *p: told.append(p), onDone=done.append)
    assert not run.finished
    assert not told
    assert slicer_host.wait_until(lambda: bool(done))
    assert told
    assert run.result is done[0]


def test_start_tells_an_error_to_its_callback(logic, slicer_host):
    errors = []
    run = logic.start(add_scan(), onError=errors.append)
    run.cancel()
    assert slicer_host.wait_until(lambda: bool(errors))
    assert "cancelled" in str(errors[0])


def test_a_wrong_option_is_named_before_anything_starts(logic):
    with pytest.raises(OptionsError, match="colour"):
        logic.segment(add_scan(), colour="red")
    with pytest.raises(OptionsError, match="mode"):
        logic.segment(add_scan(), mode="slow")
    with pytest.raises(OptionsError, match="choose a volume"):
        logic.segment(None)
    for call in (logic.segment, logic.start):
        with pytest.raises(OptionsError, match="Posteriors.*--post"):
            call(add_scan(), posteriors=True)
    assert logic.session.engine.worker is None


def run_python(code: str, root) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=root, capture_output=True, text=True,
                          timeout=600)


def test_with_every_heavy_package_blocked_the_module_opens_and_says_what_it_would_install(root, slicer_host):
    finished = run_python(f"""
        import sys
        sys.modules.update(dict.fromkeys({HEAVY!r}))
        from Testing import host
        started = host.start(views=False)
        from SynthSegPlusLib.scene import _session
        started.load_module()
        file = sys.modules["SynthSegPlus"]
        packages = _session.Packages(started.folder / "none", file.RESOURCES, "no-such-python")
        packages.ownModules()
        _session._sessions[file.RESOURCES] = _session.Session(file.RESOURCES, packages=packages)
        widget = started.open_panel()
        print(widget.ui.packagesLabel.text)
        assert not [name for name in {HEAVY!r} if sys.modules.get(name)]
        started.stop()
    """, root)
    assert finished.returncode == 0, finished.stderr
    assert "keras" in finished.stdout
    assert "tensorflow" in finished.stdout
    assert "GB" in finished.stdout


def test_without_a_main_window_a_script_segments(root, slicer_host):
    finished = run_python("""
        import sys
        from Testing import host
        started = host.start(views=False)
        started.load_module()
        from SynthSegPlusLib import scene
        from Testing.slicer.helpers import add_scan
        from Testing.slicer.standin_worker import StandInWorker
        file = sys.modules["SynthSegPlus"]
        logic = file.SynthSegPlusLogic(scene.Session(file.RESOURCES, makeWorker=StandInWorker))
        nodes = logic.segment(add_scan(), quality=True, parcellation=True)
        print(nodes.parcellation.GetName(), len(nodes.measures))
        logic.close()
        started.stop()
    """, root)
    assert finished.returncode == 0, finished.stderr
    assert "T1 parcellation 100" in finished.stdout


def test_the_worker_starts_in_slicers_python_with_its_packages_first(slicer_host, tmp_path):
    command = scene.workerCommand([tmp_path])
    assert "PythonSlicer" in command[0]
    environment = scene.workerEnvironment([tmp_path])
    assert environment["PYTHONPATH"].startswith(str(tmp_path))
    (tmp_path / "keras.py").write_text("raise SystemExit('the one apart')\n")
    probe = [*command[:2], command[2].replace("import json, runpy, sys;", "import json, runpy, sys;")]
    probe[2] = probe[2].split("runpy.run_module")[0] + "import keras"
    finished = subprocess.run([*probe, command[3]], capture_output=True, text=True, env=environment, timeout=600)
    assert "the one apart" in finished.stderr
    assert "keras" not in " ".join(sys.path)


def test_the_user_folder_lies_beside_slicers_settings(slicer_host):
    assert scene.userFolder().parent == type(scene.userFolder())(slicer.app.slicerUserSettingsFilePath).parent


def test_every_class_that_slicer_looks_for_is_in_the_file(slicer_host):
    slicer_host.load_module()
    file = sys.modules["SynthSegPlus"]
    for name in ("SynthSegPlus", "SynthSegPlusWidget", "SynthSegPlusLogic", "SynthSegPlusTest"):
        assert hasattr(file, name)
