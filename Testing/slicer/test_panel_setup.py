"""Model sets, options and packages in the panel: what cannot run is said, what is missing is asked for."""

from __future__ import annotations

import sys

import pytest
import slicer

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.scene import BACKENDS, Packages, Session, _packages
from Testing.slicer.helpers import add_scan, any_set, open_panel
from Testing.slicer.test_scene_packages import hold, make_installed, make_wheel


@pytest.fixture
def set_of(monkeypatch):
    """Let the panel find a set of these roles and modes."""
    def use(**keywords):
        found = any_set(**keywords)
        monkeypatch.setattr("SynthSegPlusLib.panel._modelPart.ModelSet.find", lambda folder: found)
    return use


@pytest.fixture
def bare_packages(tmp_path):
    """A worker that needs two packages that no Python has."""
    resources = tmp_path / "Resources"
    resources.mkdir()
    (resources / "requirements.txt").write_text("ssp_common>=1  # ssp_common 500\n")
    for backend in BACKENDS:
        (resources / f"requirements-{backend}.txt").write_text(f"ssp_{backend}>=1  # ssp_{backend} 1200\n")
    packages = Packages(tmp_path / "home", resources, sys.executable)
    packages.ownModules()
    return packages


@pytest.fixture
def needing(slicer_host, bare_packages, set_of):
    """An open panel whose worker has no packages yet."""
    set_of()
    add_scan()
    with open_panel(slicer_host, packages=bare_packages) as opened:
        opened.session._needsPackages = True
        opened.panel.refresh()
        yield opened


def answer(monkeypatch, agreed):
    asked = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, **_: asked.append(text) or agreed)
    return asked


def test_the_set_and_what_it_can_do_are_shown(slicer_host, set_of):
    set_of(roles=("segmenter", "quality"), modes=("default", "fast"))
    with open_panel(slicer_host) as opened:
        text = opened.ui.modelLabel.text
        assert "Stand-in set" in text
        assert "default, fast" in text
        assert "no parcels" in text
        assert "quality control" in text


def test_what_the_set_has_no_network_for_is_greyed_with_the_reason(slicer_host, set_of):
    set_of(roles=("segmenter",), modes=("default", "fast"))
    add_scan()
    with open_panel(slicer_host) as opened:
        assert not opened.ui.parcellationCheck.enabled
        assert not opened.ui.qualityCheck.enabled
        assert not opened.ui.thresholdSpin.enabled
        assert "no network" in opened.ui.qualityCheck.toolTip
        assert opened.parameters.mode.value == "default"
        assert any("cannot run mode robust" in line for line in opened.session.log)
        result = opened.apply()
        assert result.quality is None
        assert "Not scored" in opened.ui.verdictLabel.text


def test_without_a_set_apply_is_greyed_and_the_reason_is_shown(slicer_host, monkeypatch):
    def fail(folder):
        raise ModelError(f"There is no model set at {folder}: no such folder.")

    monkeypatch.setattr("SynthSegPlusLib.panel._modelPart.ModelSet.find", fail)
    add_scan()
    with open_panel(slicer_host) as opened:
        assert not opened.ui.applyButton.enabled
        assert "no model set" in opened.ui.applyButton.toolTip
        assert "no such folder" in opened.ui.modelLabel.text


def test_a_folder_that_the_user_names_is_looked_at_and_told_to_the_worker(slicer_host, monkeypatch, tmp_path):
    looked = []
    monkeypatch.setattr("SynthSegPlusLib.panel._modelPart.ModelSet.find",
                        lambda folder: looked.append(folder) or any_set())
    add_scan()
    with open_panel(slicer_host) as opened:
        opened.ui.modelFolderEdit.currentPath = str(tmp_path)
        assert looked[-1] == tmp_path
        assert opened.parameters.modelFolder == str(tmp_path)
        opened.apply()
        assert opened.worker.commands[-1]["models"] == str(tmp_path)
        slicer.mrmlScene.Clear(0)
        assert opened.panel.model.folder == tmp_path
        opened.ui.modelFolderEdit.currentPath = ""
        assert opened.panel.model.folder is None
        assert looked[-1] is None


def test_the_bundled_set_is_found_without_any_help(slicer_host):
    with open_panel(slicer_host) as opened:
        assert opened.panel.model.modelSet is not None
        assert opened.panel.model.modelSet.found_in == "bundled"


def test_missing_packages_are_named_with_their_size_before_anything_is_asked(needing):
    assert "ssp_common&gt;=1" in needing.ui.packagesLabel.text
    assert "1.7 GB" in needing.ui.packagesLabel.text
    assert needing.ui.applyButton.enabled


def test_apply_asks_first_and_a_no_leaves_the_panel_usable_with_the_reason(needing, monkeypatch):
    asked = answer(monkeypatch, agreed=False)
    needing.ui.applyButton.click()
    assert len(asked) == 1
    for said in ("ssp_common>=1   500 MB", "ssp_tensorflow>=1   1.2 GB", "1.7 GB", str(needing.session.packages.home)):
        assert said in asked[0]
    assert "declined" in needing.ui.stageLabel.text
    assert needing.ui.applyButton.enabled
    assert not needing.session.packages.home.exists()
    needing.ui.applyButton.click()
    assert len(asked) == 2


def agree_to_wheels(needing, monkeypatch, folder, backend="ssp_tensorflow"):
    """The packages lie in a folder, and the person will say yes to installing them."""
    answer(monkeypatch, agreed=True)
    for name in ("ssp_common", backend):
        make_wheel(folder, name)
    needing.ui.wheelsEdit.currentPath = str(folder)


def test_after_a_yes_the_packages_come_and_the_run_begins(needing, slicer_host, monkeypatch, tmp_path):
    agree_to_wheels(needing, monkeypatch, tmp_path / "wheels")
    needing.ui.applyButton.click()
    assert "Installing" in needing.ui.stageLabel.text
    assert needing.ui.cancelButton.enabled
    assert slicer_host.wait_until(lambda: needing.panel.result is not None, 300)
    assert needing.session.packages.installed() == ["tensorflow"]
    assert "Installed for the worker alone" in needing.ui.packagesLabel.text
    needing.ui.uninstallButton.click()
    assert needing.session.packages.installed() == []
    assert slicer_host.wait_until(lambda: "Not installed" in needing.ui.packagesLabel.text)


def test_install_alone_installs_and_runs_nothing(needing, slicer_host, monkeypatch, tmp_path):
    agree_to_wheels(needing, monkeypatch, tmp_path / "wheels")
    needing.ui.installButton.click()
    assert slicer_host.wait_until(lambda: "packages are installed" in needing.ui.stageLabel.text, 300)
    assert needing.ui.applyButton.enabled
    assert not needing.ui.cancelButton.enabled
    assert needing.session.run is None


def test_a_failed_installation_is_told_and_the_panel_stays_usable(needing, slicer_host, monkeypatch, tmp_path):
    answer(monkeypatch, agreed=True)
    (tmp_path / "empty").mkdir()
    needing.ui.wheelsEdit.currentPath = str(tmp_path / "empty")
    needing.ui.applyButton.click()
    assert slicer_host.wait_until(lambda: not needing.panel.packages.installing, 300)
    assert "could not be installed" in needing.ui.stageLabel.text
    assert "ssp_common" in needing.ui.stageLabel.text
    assert slicer_host.wait_until(lambda: needing.ui.applyButton.enabled)


@pytest.mark.parametrize("button", ["applyButton", "installButton"])
def test_an_installation_can_be_cancelled(needing, monkeypatch, tmp_path, button):
    answer(monkeypatch, agreed=True)
    make_wheel(tmp_path / "wheels", "ssp_common")
    needing.ui.wheelsEdit.currentPath = str(tmp_path / "wheels")
    getattr(needing.ui, button).click()
    assert not needing.ui.applyButton.enabled
    assert "Installing packages &nbsp;" in needing.ui.stageLabel.text
    assert "0:0" in needing.ui.stageLabel.text
    needing.ui.cancelButton.click()
    assert not needing.panel.packages.installing
    assert "cancelled" in needing.ui.stageLabel.text
    assert not any(needing.session.packages.home.glob("*"))


def test_the_worker_lets_go_of_its_packages_before_new_ones_take_their_place(
        needing, slicer_host, monkeypatch, tmp_path):
    agree_to_wheels(needing, monkeypatch, tmp_path / "wheels")
    needing.ui.applyButton.click()
    assert slicer_host.wait_until(lambda: needing.panel.result is not None, 300)
    folder, move, alive = needing.session.packages.folder("tensorflow"), _packages.os.replace, []

    def replace(source, target):
        if folder in (source, target):
            alive.append(any(worker.alive for worker in needing.workers))
        move(source, target)

    monkeypatch.setattr(_packages.os, "replace", replace)
    assert needing.worker.alive
    needing.ui.installButton.click()
    assert slicer_host.wait_until(lambda: "packages are installed" in needing.ui.stageLabel.text, 300)
    assert alive == [False, False]


def test_packages_that_cannot_be_replaced_are_told_and_the_panel_stays_usable(
        needing, slicer_host, monkeypatch, tmp_path):
    monkeypatch.setattr(_packages, "PATIENCE_SECONDS", 0.5)
    hold(monkeypatch, make_installed(needing.session.packages, "tensorflow"), times=10_000)
    agree_to_wheels(needing, monkeypatch, tmp_path / "wheels")
    needing.panel.refresh()
    needing.ui.installButton.click()
    assert slicer_host.wait_until(lambda: not needing.panel.packages.installing, 300)
    assert "cannot access the file" in needing.ui.stageLabel.text
    assert "Installed for the worker alone" in needing.ui.packagesLabel.text
    assert needing.ui.applyButton.enabled


def test_packages_that_could_be_deleted_only_in_part_are_not_shown_as_installed(needing, slicer_host, monkeypatch):
    make_installed(needing.session.packages, "tensorflow")
    needing.panel.refresh()
    assert "Installed for the worker alone" in needing.ui.packagesLabel.text

    def locked(path):
        raise PermissionError(13, "The process cannot access the file", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(_packages.shutil, "rmtree", locked)
        with pytest.raises(PermissionError):
            needing.panel.packages.uninstall()
    assert slicer_host.wait_until(lambda: "Not installed" in needing.ui.packagesLabel.text)
    assert needing.ui.uninstallButton.enabled
    needing.ui.uninstallButton.click()
    assert not any(needing.session.packages.home.iterdir())
    assert slicer_host.wait_until(lambda: not needing.ui.uninstallButton.enabled)


def test_with_packages_installed_the_panel_names_their_backend_and_asks_no_process(
        slicer_host, bare_packages, set_of, monkeypatch):
    asked = []
    monkeypatch.setattr(_packages, "modulesFound", lambda *arguments: asked.append(arguments) or set())
    set_of()
    make_installed(bare_packages, "torch")
    bare_packages.forget()
    with open_panel(slicer_host, session=Session(bare_packages.resources, packages=bare_packages)) as opened:
        assert "(PyTorch)" in opened.ui.packagesLabel.text
        assert opened.ui.backendCombo.currentText == "PyTorch"
        slicer_host.process_events()
    assert asked == []


def test_of_two_installed_backends_the_one_that_is_chosen_runs(needing):
    for backend in ("tensorflow", "torch"):
        make_installed(needing.session.packages, backend)
    needing.panel.refresh()
    for backend in ("torch", "tensorflow"):
        needing.ui.backendCombo.currentIndex = BACKENDS.index(backend)
        needing.apply()
        assert needing.worker.commands[-1]["backend"] == backend
        assert needing.session.backend == backend


def test_a_chosen_backend_that_is_not_installed_leaves_the_choice_open(needing):
    make_installed(needing.session.packages, "tensorflow")
    needing.panel.refresh()
    needing.ui.backendCombo.currentIndex = BACKENDS.index("jax")
    needing.apply()
    assert needing.worker.commands[-1]["backend"] is None


def test_after_an_installation_its_backend_stays_chosen_and_no_process_is_asked(
        needing, slicer_host, monkeypatch, tmp_path):
    agree_to_wheels(needing, monkeypatch, tmp_path / "wheels", "ssp_torch")
    needing.ui.backendCombo.currentIndex = BACKENDS.index("torch")
    needing.ui.installButton.click()
    assert slicer_host.wait_until(lambda: "packages are installed" in needing.ui.stageLabel.text, 300)
    assert slicer_host.wait_until(lambda: not needing.panel.packages._timer.active)
    assert needing.ui.backendCombo.currentText == "PyTorch"
    assert not needing.session.packages.asked


def test_parameters_live_in_the_scene_and_come_back_with_it(slicer_host, set_of, tmp_path):
    set_of()
    add_scan()
    with open_panel(slicer_host) as opened:
        opened.ui.thresholdSpin.value = 0.5
        opened.ui.ctCheck.click()
        opened.ui.modeCombo.currentIndex = 2
        path = str(tmp_path / "scene.mrb")
        assert slicer.util.saveScene(path)
        slicer.mrmlScene.Clear(0)
        assert opened.ui.thresholdSpin.value == 0.65
        slicer.util.loadScene(path)
        slicer_host.process_events()
        assert opened.ui.thresholdSpin.value == 0.5
        assert opened.ui.ctCheck.checked
        assert opened.parameters.mode.value == "fast"
