"""Makes the pictures of the Slicer panel in this folder, in the test host, at 1366 x 768.

    .venv/bin/python docs/screenshots/make.py [--models FOLDER] [--only before anatomy]

The scan is MNI152 (from nilearn). The labels are the engine's. Where the model set has no quality network, the
picture of failures is made with invented scores, and its file name ends in "-invented".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nilearn
import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from Testing import host  # noqa: E402

MNI152 = Path(nilearn.__file__).parent / "datasets" / "data" / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
SIZE = (1366, 768)
LOOK_AT = (-12.0, -18.0, 6.0)  # the left thalamus, RAS mm
INVENTED = {"cortex": 0.58, "hippocampus": 0.42, "amygdala": 0.61}
PICTURES = ("before", "running", "anatomy", "table", "quality")


class Studio:
    """The module's panel and views, with a scan in them."""

    def __init__(self, models: str) -> None:
        import slicer

        self.slicer, self.host = slicer, host.start()
        self.host.load_module()
        self.node = slicer.util.loadVolume(str(MNI152), {"name": "MNI152"})
        self.widget = self.host.open_panel()
        self.ui, self.panel, self.session = self.widget.ui, self.widget.panel, self.widget.logic.session
        self.widget._parameterNode.modelFolder = models
        self.widget._parameterNode.inputVolume = self.node
        self.host.make_window(size=SIZE)
        slicer.util.setSliceViewerLayers(background=self.node)
        self.look()
        assert self.host.wait_until(lambda: self.ui.applyButton.enabled, 60)
        if self.ui.parcellationCheck.enabled:
            self.ui.parcellationCheck.click()

    def look(self) -> None:
        """All three slices through one point, as large as the view allows."""
        self.slicer.util.resetSliceViews()
        self.slicer.vtkMRMLSliceNode.JumpAllSlices(self.slicer.mrmlScene, *LOOK_AT)
        self.host.process_events(300)

    def wait_for_check(self) -> None:
        assert self.host.wait_until(lambda: bool(self.panel.input.advice), 120)

    def run(self) -> None:
        self.ui.applyButton.click()
        assert self.host.wait_until(lambda: not self.session.busy, 1200)
        assert self.panel.result is not None, self.session.log
        self.look()

    def show(self, *sections: str) -> None:
        """Open these sections and fold the others."""
        for name in ("input", "model", "options", "result", "table", "export", "log"):
            getattr(self.ui, f"{name}Section").collapsed = name not in sections
        self.host.process_events(200)

    def save(self, name: str) -> None:
        path = HERE / f"{name}.png"
        self.host.save_screenshot(path)
        print(path.relative_to(ROOT))


def before(studio: Studio) -> None:
    studio.wait_for_check()
    studio.save("before")


def running(studio: Studio) -> None:
    studio.ui.applyButton.click()
    bar = studio.ui.progressBar
    assert studio.host.wait_until(lambda: bar.value >= 30 or not studio.session.busy, 1200)
    studio.save("running")
    studio.ui.cancelButton.click()
    assert studio.host.wait_until(lambda: not studio.session.busy, 30)


def anatomy(studio: Studio) -> None:
    finished(studio)
    studio.ui.anatomyButton.click()
    studio.ui.surfacesButton.click()
    studio.show("input", "result")
    studio.host.layout.threeDWidget(0).threeDView().resetFocalPoint()
    studio.save("anatomy")


def table(studio: Studio) -> None:
    finished(studio)
    studio.show("result", "table")
    studio.ui.resultSection.collapsed = True
    studio.ui.measuresTable.horizontalHeader().sectionClicked.emit(2)
    studio.ui.measuresTable.horizontalHeader().sectionClicked.emit(2)
    row = next(i for i, entry in enumerate(studio.panel.table._rows) if entry.name == "left hippocampus")
    studio.ui.measuresTable.setCurrentCell(row, 0)
    studio.ui.measuresTable.cellClicked.emit(row, 0)
    studio.ui.acceptButton.click()
    studio.ui.outlineCheck.click()
    studio.ui.exportSection.collapsed = False
    studio.host.process_events(300)
    studio.save("table")
    studio.ui.outlineCheck.click()


def quality(studio: Studio) -> None:
    """Failures beside passes: of this scan, else of a scan made bad on purpose; invented where the set cannot judge."""
    finished(studio)
    if studio.panel.result.verdict == "fail":
        name = "quality"
    elif "quality" in studio.panel.model.roles:
        bad = make_bad(studio)
        remove_result(studio)
        studio.widget._parameterNode.inputVolume = bad
        studio.slicer.util.setSliceViewerLayers(background=bad)
        studio.run()
        name = "quality"
    else:
        invent_scores(studio)
        name = "quality-invented"
        studio.panel.run.end("The scores are invented for this picture.")
    studio.ui.qualityButton.click()
    studio.ui.parcellationButton.click()
    studio.ui.surfacesButton.click()
    studio.show("result", "table")
    studio.ui.failedCheck.click()
    studio.look()
    studio.host.layout.threeDWidget(0).threeDView().resetFocalPoint()
    studio.save(name)


def finished(studio: Studio) -> None:
    if studio.panel.result is None:
        studio.run()


def remove_result(studio: Studio) -> None:
    """Take the result out of the scene: its surfaces are not those of the next scan."""
    for node in list(studio.panel.result):
        studio.slicer.mrmlScene.RemoveNode(node)


def make_bad(studio: Studio) -> Any:
    """MNI152 with a part missing and strong noise."""
    data = studio.slicer.util.arrayFromVolume(studio.node).astype(np.float32)
    noisy = data + np.random.default_rng(1).normal(0, 0.5 * data.max(), data.shape).astype(np.float32)
    noisy[:, : noisy.shape[1] // 3] = 0
    bad = studio.slicer.modules.volumes.logic().CloneVolume(studio.node, "MNI152 spoiled")
    studio.slicer.util.updateVolumeFromArray(bad, noisy)
    return bad


def invent_scores(studio: Studio) -> None:
    """Give the result scores that no network predicted, so that the colours can be seen."""
    import json

    from SynthSegPlusLib.contract.measures import MeasuresTable, QualityReport, RegionScore, StructureMeasure, Verdict
    from SynthSegPlusLib.labels import qc_regions
    from SynthSegPlusLib.scene import NodeBatch
    from SynthSegPlusLib.scene._colours import qualityTable
    from SynthSegPlusLib.scene._result import QUALITY
    from SynthSegPlusLib.scene._tables import fillVolumesTable

    result, regions, threshold = studio.panel.result, qc_regions("paper"), 0.65
    scores = {name: INVENTED.get(name, 0.70 + 0.025 * index) for index, name in enumerate(regions.names[1:])}
    report = QualityReport(
        tuple(RegionScore(name, score, Verdict.of(score, threshold)) for name, score in scores.items()), threshold)
    rows = []
    for row in result.measures:
        region = regions.name_of(row.label) or ""
        score = scores.get(region)
        rows.append(StructureMeasure(row.label, row.name, row.hemisphere, row.volume_mm3, row.fraction_of_icv, region,
                                     score, Verdict.of(score, threshold)))
    measures = MeasuresTable(tuple(rows))
    fillVolumesTable(result.volumes, measures)
    result.summary.SetAttribute(QUALITY, json.dumps(report.to_dict()))
    with NodeBatch(studio.slicer.mrmlScene) as batch:
        result.qualityColours = qualityTable(batch, "invented quality", measures, threshold)
    result.remember()
    studio.panel.result = None
    studio.panel.refresh()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="", help="folder of a model set (default: the one that is found)")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=PICTURES)
    args = parser.parse_args()
    studio = Studio(args.models)
    takes: dict[str, Callable[[Studio], None]] = {
        "before": before, "running": running, "anatomy": anatomy, "table": table, "quality": quality,
    }
    for name in args.only:
        takes[name](studio)
    studio.widget.logic.close()
    studio.host.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
