"""The reading of the code follows types as far as it can; a person's way through the panel shows what it overlooked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer

from SynthSegPlusLib import scene
from Testing.host import pythonqt
from Testing.slicer.helpers import Opened, add_scan, any_set, open_panel
from Testing.slicer.standin_worker import StandInWorker
from Testing.slicer.test_scene_packages import make_wheel
from Testing.slicer_members import usage

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "Testing" / "slicer_members" / "members.json").read_text(encoding="utf-8"))
ENTRIES = {(entry["class"], entry["member"]): entry for entry in TABLE["members"]}

UI_FILE = ROOT / "SynthSegPlus" / "Resources" / "UI" / "SynthSegPlus.ui"
HOST_CLASSES = {"Application": "qSlicerApplication", "ScriptedModule": "qSlicerScriptedLoadableModule"}
"""The host's own names."""

Asked = set[tuple[type, str]]
PATIENCE = 300.0
"""Seconds until a wait for something that happens in the background is given up."""


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Every member and signal of a Qt object that the module, the scene and the panel ask for."""
    found: Asked = set()

    def note(cls: type, member: str, module: str) -> None:
        if module.startswith(("SynthSegPlus", "SynthSegPlusLib")):
            found.add((cls, member))

    pythonqt.record(note)
    yield found
    pythonqt.record(None)


@pytest.fixture
def workers() -> list[StandInWorker]:
    return []


@pytest.fixture
def session(tmp_path: Path, workers: list[StandInWorker]) -> scene.Session:
    """A session whose packages really are looked for, and are missing; its workers are stand-ins."""
    resources = tmp_path / "Resources"
    resources.mkdir()
    (resources / "requirements.txt").write_text("ssp_common>=1  # ssp_common 5\n")
    for backend in scene.BACKENDS:
        (resources / f"requirements-{backend}.txt").write_text(f"ssp_{backend}>=1  # ssp_{backend} 100\n")
    for name in ("ssp_common", "ssp_tensorflow"):
        make_wheel(tmp_path / "wheels", name)

    def make() -> StandInWorker:
        workers.append(StandInWorker(failing=("cortex",)))
        return workers[-1]

    session = scene.Session(resources, make, scene.Packages(tmp_path / "home", resources, sys.executable))
    session._needsPackages = True
    return session


@pytest.fixture
def visited(slicer_host: Any, session: scene.Session, asked: Asked, workers: list[StandInWorker],
            monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """What was asked for in the course of a visit that presses every button."""
    monkeypatch.setattr("SynthSegPlusLib.panel._modelPart.ModelSet.find", lambda folder: any_set())
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, **_: True)
    with open_panel(slicer_host, session=session) as opened:
        install_and_run(opened, tmp_path / "wheels")
        look_at_the_result(opened)
        work_through_the_table(opened)
        export(opened, tmp_path / "out")
        read_the_log(opened)
        change_the_options(opened, tmp_path)
        cancel_a_run(opened, workers)
        uninstall_and_install(opened)
        slicer_host.clear_scene()
        assert not opened.ui.resultSection.visible
    return asked


def wait(opened: Opened, condition: Any) -> None:
    assert opened.host.wait_until(condition, PATIENCE), opened.session.log


def install_and_run(opened: Opened, wheels: Path) -> None:
    ui = opened.ui
    opened.choose(add_scan())
    wait(opened, lambda: "Not installed" in ui.packagesLabel.text)
    ui.parcellationCheck.click()
    ui.wheelsEdit.currentPath = str(wheels)
    ui.applyButton.click()
    wait(opened, lambda: opened.panel.result is not None)
    wait(opened, lambda: "Advised mode" in ui.foundLabel.text)
    assert ui.resultSection.visible


def look_at_the_result(opened: Opened) -> None:
    ui = opened.ui
    for button in (ui.qualityButton, ui.anatomyButton, ui.segmentationButton, ui.parcellationButton):
        button.click()
    ui.outlineCheck.click()
    assert opened.parameters.outline
    ui.outlineCheck.click()
    ui.opacitySlider.value = 0.75
    ui.judgeSpin.value = 0.3
    assert "Passed" in ui.verdictLabel.text
    ui.judgedLabel.linkActivated.emit("run")


def work_through_the_table(opened: Opened) -> None:
    ui, table = opened.ui, opened.panel.table
    header = ui.measuresTable.horizontalHeader()
    for column in (2, 2, 5, 0):
        header.sectionClicked.emit(column)
    ui.failedCheck.click()
    ui.filterEdit.text = "insula"
    assert table.labels() == [1035, 2035]
    ui.filterEdit.text = ""
    ui.failedCheck.click()
    ui.measuresTable.setCurrentCell(3, 0)
    ui.measuresTable.cellClicked.emit(3, 0)
    assert opened.panel.review.label == table.selected
    ui.acceptButton.click()
    ui.rejectButton.click()
    ui.commentEdit.text = "cut off"
    ui.commentEdit.editingFinished.emit()
    ui.scanDecisionCombo.activated.emit(1)
    ui.scanCommentEdit.editingFinished.emit()


def export(opened: Opened, folder: Path) -> None:
    ui = opened.ui
    ui.exportButton.click()
    ui.exportFolderEdit.currentPath = str(folder)
    ui.exportRecordCheck.click()
    ui.exportButton.click()
    assert "T1_volumes.csv" in ui.exportedLabel.text
    ui.segmentsButton.click()
    ui.surfacesButton.click()


def read_the_log(opened: Opened) -> None:
    opened.ui.logSection.collapsed = False
    assert "Done: fail" in opened.ui.logText.toPlainText()
    opened.ui.copyButton.click()


def change_the_options(opened: Opened, folder: Path) -> None:
    ui = opened.ui
    ui.optionsSection.collapsed = False
    ui.modeCombo.currentIndex = 2
    for box in (ui.ctCheck, ui.nativeCheck, ui.resampledCheck, ui.qualityCheck, ui.qualityCheck):
        box.click()
    ui.thresholdSpin.value = 0.5
    ui.threadsSpin.value = 2
    ui.modelFolderEdit.currentPath = str(folder)
    ui.modelFolderEdit.currentPath = ""
    ui.foundLabel.linkActivated.emit("robust")
    assert opened.parameters.mode.value == "robust"


def cancel_a_run(opened: Opened, workers: list[StandInWorker]) -> None:
    """With two threads the warm worker does not fit, so that another is made, which holds as it is told."""
    ui = opened.ui
    ui.applyButton.click()
    workers[-1].hold = True
    assert ui.cancelButton.enabled
    ui.cancelButton.click()
    opened.finish()
    assert "cancelled" in ui.stageLabel.text


def uninstall_and_install(opened: Opened) -> None:
    """First what the visit began with goes; then another installation is cancelled."""
    ui = opened.ui
    ui.uninstallButton.click()
    wait(opened, lambda: "Not installed" in ui.packagesLabel.text)
    ui.installButton.click()
    assert "Installing" in ui.packagesLabel.text
    ui.cancelButton.click()
    wait(opened, lambda: "Not installed" in ui.packagesLabel.text)


def names_of(cls: type) -> list[str]:
    """What Slicer calls a class and its bases."""
    return [HOST_CLASSES.get(base.__name__, base.__name__) for base in cls.__mro__]


def read_of_widgets() -> set[tuple[str, str]]:
    """Members of Qt objects that the reading of the panel's code finds; a value such as a colour is no such object."""
    panel = sorted((ROOT / "SynthSegPlusLib" / "panel").glob("*.py"))
    uses = usage.uses_in(panel, [UI_FILE], lambda cls, member: ENTRIES.get((cls, member), {}).get("gives"))
    of_the_file = usage.read_ui(UI_FILE).uses
    values = {"QColor", "QFont", "QIcon", "QPixmap", "QTableWidgetItem", "Qt"}
    found = {(use.cls, use.member) for use in uses - of_the_file if use.cls not in values}
    return {key for key in found if ENTRIES[key]["kind"] not in ("class", "enumerator")}


def test_a_visit_asks_for_what_is_in_the_table_and_for_all_that_the_panels_code_names(visited):
    overlooked = {
        f"{cls.__name__}.{member}"
        for cls, member in visited
        if member not in usage.PYTHONQT_OWN and not any((name, member) in ENTRIES for name in names_of(cls))
    }
    assert overlooked == set()
    assert len(visited) > 60
    # A visit that left out half of the panel would prove little.
    reached = {(name, member) for cls, member in visited for name in names_of(cls)}
    assert read_of_widgets() - reached == set()
    assert len(read_of_widgets()) > 50
