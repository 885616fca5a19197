"""A scripted module lives in the host as it does in Slicer: loaded, opened, used, left, unloaded."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parent.parent / "host" / "example" / "HostExample.py"


@pytest.fixture
def module(slicer_host):
    return slicer_host.load_module(EXAMPLE)


@pytest.fixture
def panel(slicer_host, module):
    widget = slicer_host.open_panel("HostExample")
    yield widget
    slicer_host.close_panel("HostExample")
    widget.events.clear()


@pytest.fixture
def volume(slicer_host):
    import slicer

    return slicer.util.addVolumeFromArray(np.full((3, 4, 5), 2.0), np.eye(4), "T1")


def test_a_module_is_known_under_its_name(module):
    import slicer

    assert slicer.modules.hostexample is module
    assert slicer.util.modulePath("HostExample") == str(EXAMPLE.resolve())
    assert (module.title, module.categories) == ("Host example", ["Examples"])
    assert "HostExample" in slicer.util.moduleNames()
    assert slicer.util.getModule("HostExample") is module


def test_the_panel_is_the_widget_of_the_module(panel):
    import slicer

    assert slicer.modules.HostExampleWidget is panel
    assert slicer.util.getModuleWidget("HostExample") is panel


def test_the_panel_is_told_when_it_is_entered_and_left(slicer_host, module):
    widget = slicer_host.open_panel("HostExample")
    slicer_host.close_panel("HostExample")
    assert [event for event in widget.events if event in ("enter", "exit")] == ["enter", "exit"]
    widget.events.clear()


def test_an_unloaded_panel_is_told_and_can_be_opened_anew(slicer_host, module):
    import slicer

    first = slicer_host.open_panel("HostExample")
    module.unload()
    assert first.events[-2:] == ["exit", "cleanup"]
    assert not hasattr(slicer.modules, "HostExampleWidget")
    slicer_host.clear_scene()
    assert first.events[-1] == "cleanup"
    assert slicer_host.open_panel("HostExample") is not first


def test_a_new_test_finds_no_panel(slicer_host, module):
    import slicer

    assert not hasattr(slicer.modules, "HostExampleWidget")


def test_apply_uses_what_the_panel_shows(panel, volume):
    panel.ui.applyButton.click()
    assert panel.ui.summaryLabel.text == "2.0"
    assert panel.ui.progressBar.value == 100


def test_an_error_in_a_slot_ends_in_the_hook_and_the_cursor_is_restored(panel, monkeypatch):
    import qt

    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: raised.append(str(error)))
    panel.ui.applyButton.click()
    assert raised == ["There is no input volume; choose one."]
    assert qt.QApplication.overrideCursor() is None


def test_an_error_is_shown_when_it_is_no_test(panel, slicer_host, monkeypatch):
    import slicer

    shown = []
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_: shown.append(text))
    slicer.app.setTestingEnabled(False)
    panel.ui.applyButton.click()
    assert shown == ["The example failed.\n\nThere is no input volume; choose one."]


def test_the_scene_is_closed_under_an_open_panel(panel, volume, slicer_host):
    panel._parameterNode.threshold = 0.9
    panel.events.clear()
    slicer_host.clear_scene()
    assert [event for event in panel.events if event != "node"] == ["start close", "end close"]
    assert panel._parameterNode.inputVolume is None
    assert panel.ui.thresholdSlider.value == pytest.approx(0.65)


def test_the_parameter_node_is_one_for_the_scene(panel, slicer_host):
    assert panel.logic.getParameterNode() is panel.logic.getParameterNode()
    assert panel.logic.getParameterNode().GetSingletonTag() == "HostExample"


def test_the_self_test_runs_each_test_method(module):
    import slicer

    case = sys.modules["HostExample"].HostExampleTest
    before = case.ran
    slicer.selfTests["HostExample"]()
    assert case.ran == before + 1


def test_a_module_without_a_self_test_says_so(module):
    case = sys.modules["HostExample"].HostExampleTest
    del sys.modules["HostExample"].HostExampleTest
    try:
        with pytest.raises(AssertionError, match="HostExampleTest"):
            module.self().runTest()
    finally:
        sys.modules["HostExample"].HostExampleTest = case


# ---- slicer.* that modules use --------------------------------------------------------------------------


def test_texts_are_translated_in_the_context_of_their_file(slicer_host, monkeypatch):
    import slicer
    from slicer.i18n import tr, translate

    asked = []
    monkeypatch.setattr(slicer.app, "translate", lambda context, text: asked.append(context) or text.upper())
    assert tr("Apply") == "APPLY"
    assert translate("Mine", "ok") == "OK"
    assert asked == ["slicer.test_host_module", "Mine"]
    # A translation that lost its placeholder would fail in format().
    assert tr("{count} failed") == "{count} failed"


def test_requirements_are_read_and_checked(slicer_host, tmp_path):
    from slicer import packaging

    path = tmp_path / "requirements.txt"
    path.write_text("# for the engine\nnumpy>=1\nnot-a-package-of-anyone>=2 # nobody has it\n", encoding="utf-8")
    numpy, absent = packaging.load_requirements(path)
    assert packaging.pip_check(numpy)
    assert not packaging.pip_check("numpy>=1000")
    assert not packaging.pip_check([numpy, absent])


def test_nothing_is_installed_in_testing_mode_and_after_a_refusal(slicer_host, monkeypatch):
    import slicer
    from slicer import packaging

    def never(*_):
        raise AssertionError("pip was run")

    monkeypatch.setattr(packaging, "pip_install", never)
    packaging.pip_ensure("not-a-package-of-anyone", requester="Test")
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: False)
    slicer.app.setTestingEnabled(False)
    with pytest.raises(RuntimeError, match="declined"):
        packaging.pip_ensure("not-a-package-of-anyone", requester="Test")


def test_python_slicer_is_on_the_path_and_is_this_python(slicer_host):
    launcher = shutil.which("PythonSlicer")
    assert launcher is not None
    printed = subprocess.run(
        [launcher, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True, timeout=60
    )
    assert printed.stdout.strip() == sys.prefix


def test_the_start_up_environment_has_no_trace_of_the_host(slicer_host):
    import slicer

    environment = slicer.util.startupEnvironment()
    assert str(slicer_host.folder) not in environment["PATH"]


def test_messages_are_logged_in_testing_mode(slicer_host, caplog):
    import slicer

    with caplog.at_level(logging.ERROR):
        slicer.util.errorDisplay("something failed")
    assert "something failed" in caplog.text


def test_there_is_no_main_window_before_one_is_made(slicer_host):
    import slicer

    if slicer_host.window is None:
        assert slicer.util.mainWindow() is None


def test_settings_are_kept_in_the_hosts_own_file(slicer_host):
    import slicer

    slicer.app.userSettings().setValue("Example/Key", "value")
    assert slicer.app.userSettings().value("Example/Key") == "value"
    assert slicer.util.settingsValue("Example/Key", "default") == "value"
    assert slicer.app.slicerUserSettingsFilePath.startswith(str(slicer_host.folder))


def test_a_sample_is_registered_once_and_read_from_this_disk(slicer_host, volume, tmp_path):
    import SampleData
    import slicer

    slicer.util.saveNode(volume, str(tmp_path / "sample.nrrd"))
    for _ in range(2):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="Example",
            sampleName="Example1",
            uris=(tmp_path / "sample.nrrd").as_uri(),
            fileNames="sample.nrrd",
            nodeNames="Example 1",
        )
    assert len(slicer.modules.sampleDataSources["Example"]) == 1
    assert SampleData.SampleDataLogic().downloadSample("Example1").GetName() == "Example 1"
    with pytest.raises(ValueError, match="Nothing"):
        SampleData.downloadSample("Nothing")
