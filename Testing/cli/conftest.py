"""Scans on disk, and an engine that answers at once: the command line is real, the networks are not run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from SynthSegPlusLib import inference, networks
from SynthSegPlusLib.cli import main
from SynthSegPlusLib.contract import (
    Finding,
    InputError,
    MeasuresTable,
    QualityReport,
    RegionScore,
    SegmentOptions,
    StructureMeasure,
    Verdict,
)
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.labels import parcels, structures
from SynthSegPlusLib.volume import Volume, check

BLOCK = (slice(4, 12),) * 3


@pytest.fixture(autouse=True)
def _gpus_stay_visible():
    """What the command line hides from its own process is seen again by the next test."""
    before = {name: value for name, value in os.environ.items() if name == "CUDA_VISIBLE_DEVICES"}
    yield
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _single_network(monkeypatch):
    """Unless a test names another, the set that has the single network only: what it lacks is part of the tests."""
    monkeypatch.setenv("SYNTHSEGPLUS_MODELS", str(ModelSet.find("starter_2mm").folder))


def write_scan(path: Path, shape: tuple[int, ...] = (16, 16, 16), spacing: float = 2.0, seed: int = 0) -> Path:
    """A small scan of noise with a bright block, so that no check finds it constant."""
    data = np.random.default_rng(seed).uniform(10, 50, shape).astype(np.float32)
    data[BLOCK] += 100
    Volume(data, np.diag([spacing, spacing, spacing, 1.0])).write(path)
    return path


@dataclass
class FakeSegmenter:
    """Labels a block as left white matter with a volume that depends on the scan; counts what it was asked."""

    model_set: ModelSet
    options: SegmentOptions
    calls: list[str] = field(default_factory=list)
    hook: Callable[[str], None] = lambda name: None
    implausible: tuple[Finding, ...] = ()

    def segment(self, volume: Volume, progress: Any = None, cancelled: Any = None) -> Any:
        self.calls.append(volume.name)
        self.hook(volume.name)
        findings = check(volume, ct=self.options.ct)
        for finding in findings:
            if finding.severity == "error":
                raise InputError(f"{finding.message} {finding.advice}")
        for stage in ("conform", "network"):
            progress(stage, 1.0, 0.5)
        labels = np.zeros(volume.shape[:3], np.int16)
        labels[BLOCK] = 2
        soft = np.zeros((*volume.shape[:3], 33), np.float32)
        soft[..., 0] = 1
        quality = self._quality() if self.options.quality else None
        return SimpleNamespace(
            labels=Volume(labels, volume.affine),
            parcellation=Volume(labels * 0 + 1001, volume.affine) if self.options.parcellation else None,
            posteriors=Volume(soft, volume.affine) if self.options.posteriors else None,
            resampled=None if np.allclose(volume.spacing, 1) else Volume(volume.data, volume.affine),
            volumes=self._measures(float(volume.data.sum()), quality),
            icv_mm3=None if self.options.label_version == "1.0" else 1_234_567.891234,
            quality=quality,
            findings=(*findings, *self.implausible),
            record={"device": "none", "options": self.options.to_dict()},
        )

    def _quality(self) -> QualityReport:
        names = self.model_set.qc_regions.names[1:]
        scores = [round(0.95 - 0.05 * index, 4) for index in range(len(names))]
        threshold = self.options.qc_threshold
        regions = [RegionScore(n, s, Verdict.of(s, threshold)) for n, s in zip(names, scores, strict=True)]
        return QualityReport(tuple(regions), threshold)

    def _measures(self, total: float, quality: QualityReport | None) -> MeasuresTable:
        labels = [label for label in structures(self.options.label_version) if label.value]
        labels += [label for label in parcels() if label.value and self.options.parcellation]
        rows = []
        for label in labels:
            region = self.model_set.qc_regions.name_of(label.value) or ""
            score = None if quality is None else quality.score_of(region)
            verdict = Verdict.of(score, self.options.qc_threshold)
            volume = total * label.value / 997
            rows.append(StructureMeasure(label.value, label.name, label.hemisphere, volume,
                                         volume / 1_234_567.891234, region, score, verdict))
        return MeasuresTable(tuple(rows))


@dataclass
class Engine:
    """What the fake engine was asked, and a hook that runs inside every scan."""

    made: list[FakeSegmenter] = field(default_factory=list)
    hook: Callable[[str], None] = lambda name: None
    implausible: tuple[Finding, ...] = ()

    @property
    def calls(self) -> list[str]:
        return [name for segmenter in self.made for name in segmenter.calls]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Replace the segmenter; everything else is real."""
    state = Engine()

    def make(model_set: ModelSet, options: SegmentOptions, **_: object) -> FakeSegmenter:
        segmenter = FakeSegmenter(model_set, options, [], lambda name: state.hook(name), state.implausible)
        state.made.append(segmenter)
        return state.made[-1]

    monkeypatch.setattr(inference, "Segmenter", make, raising=False)
    monkeypatch.setattr(networks, "chosen_backend", lambda: SimpleNamespace(description="nothing"))
    return state


@pytest.fixture
def full_set(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the names of all published weight files, which are not read here."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("synthseg_1.0", "synthseg_2.0", "synthseg_robust_2.0", "synthseg_parc_2.0", "synthseg_qc_2.0"):
        (folder / f"{name}.h5").write_bytes(b"not read")
    monkeypatch.setenv("SYNTHSEGPLUS_MODELS", str(folder))
    return folder


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_scan(tmp_path / "in" / "b.nii.gz")


@dataclass
class Said:
    """Exit status and words of one command line."""

    status: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("synthsegplus:")]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `synthsegplus` in this process."""

    def run(*words: object) -> Said:
        capsys.readouterr()
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def read_labels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)
