"""The reference's numbers with the same (stand-in) weights: labels, volumes and scores of whole runs.

The robust chain is compared network by network elsewhere: with random weights its two hard decisions make it chaotic.
"""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.volume import Volume
from Testing.inference.published import (
    FIXTURE,
    SCORES_MAY_DIFFER,
    VOXELS_THAT_MAY_DIFFER,
    arrays_of,
    assert_same_labels,
    assert_same_volumes,
)
from Testing.standin import write_standin
from Testing.volume.phantom import phantom

POSTERIORS_MAY_DIFFER = 1e-4
STORED_PRECISION = 2.0**-11
"""Relative: the reference's posteriors are stored in half precision."""

CHAOS = 0.15
"""Share of the voxels of a whole robust run that may differ with random weights: between two of its own convolution
libraries the reference's differ in 0.07."""

RUNS = {
    "fast": {"mode": "fast"},
    "v1": {"mode": "default", "label_version": "1.0"},
    "default_parc_qc": {"mode": "default", "parcellation": True, "quality": True, "compatibility": True},
    "robust_crop128": {"mode": "robust", "crop": (128, 128, 128)},
}
FILES = {
    "robust_crop128": ("synthseg_robust_2.0.h5",),
    "fast": ("synthseg_2.0.h5",),
    "v1": ("synthseg_1.0.h5",),
    "v1_qc": ("synthseg_1.0.h5", "synthseg_qc_2.0.h5"),
    "default_parc_qc": ("synthseg_2.0.h5", "synthseg_parc_2.0.h5", "synthseg_qc_2.0.h5"),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A function that makes the stand-in files which a run needs."""
    folder = tmp_path_factory.mktemp("weights")
    return lambda run: ModelSet.load(write_standin(folder, *FILES[run]))


def segment(model_set, volume, options):
    result = Segmenter(model_set, device="cpu", **options).segment(volume)
    volumes = {row.name: row.volume_mm3 for row in result.volumes}
    if result.icv_mm3 is not None:
        volumes["total intracranial"] = result.icv_mm3
    return result, (result.parcellation or result.labels).data, volumes


def assert_same_posteriors(ours, theirs):
    allowed = POSTERIORS_MAY_DIFFER + STORED_PRECISION * np.abs(theirs)
    # A voxel whose label is another, at a threshold or the border of a component, has other posteriors too.
    assert np.mean(np.abs(ours - theirs) > allowed) < VOXELS_THAT_MAY_DIFFER


@pytest.mark.parametrize("run", ["fast", "v1", pytest.param("default_parc_qc", marks=pytest.mark.long)])
def test_the_phantoms_labels_volumes_and_scores_are_the_references(weights, run):
    stored = arrays_of(FIXTURE)
    data, affine = phantom()
    volume = Volume(data, affine.astype(np.float32), "phantom")  # a NIfTI header holds float32
    result, labels, volumes = segment(weights(run), volume, RUNS[run])
    assert_same_labels(labels[::2, ::2, ::2], stored[f"{run}_labels"])
    assert_same_volumes(volumes, stored[f"{run}_names"].tolist(), stored[f"{run}_volumes"])
    assert result.labels.affine == pytest.approx(stored["affine"], abs=1e-5)
    if result.quality is not None:
        scores = {region.name: region.score for region in result.quality.regions}
        expected = dict(zip(stored["qc_names"].tolist(), stored["qc_scores"].tolist(), strict=True))
        assert scores == pytest.approx(expected, abs=SCORES_MAY_DIFFER)


@pytest.mark.long
@pytest.mark.parametrize("run", ["A_fast", "A_v1_qc", "A_default_parc_qc", "B_fast", "C_fast"])
def test_a_scans_labels_volumes_and_scores_are_the_references(weights, shared, run):
    golden = shared / "reference" / "golden"
    scan, _, kind = run.partition("_")
    options = {**RUNS[kind.removesuffix("_qc") if kind == "v1_qc" else kind], "quality": "qc" in kind}
    options["posteriors"] = kind == "fast" and scan != "C"
    volume = Volume.read(next((golden / "inputs").glob(f"{scan}_*.nii.gz")))
    result, labels, volumes = segment(weights(kind), volume, options)
    folder = golden / "runs" / run
    if (folder / "seg.nii.gz").exists():
        stored = Volume.read(folder / "seg.nii.gz")
        assert_same_labels(labels, stored.data)
        assert result.labels.affine == pytest.approx(stored.affine, abs=1e-5)
    else:
        assert_same_labels(labels[::2, ::2, ::2], arrays_of(folder / "seg_stride2.npz")["seg"])
    if result.posteriors is not None:
        stored = arrays_of(folder / "post_stride4.npz")["post"].astype(np.float32)
        assert_same_posteriors(result.posteriors.data[::4, ::4, ::4], stored)
    names, values = list(csv.reader((folder / "vol.csv").read_text().splitlines()))
    assert_same_volumes(volumes, names[1:], [float(value) for value in values[1:]])
    if result.quality is not None:
        _, scores = list(csv.reader((folder / "qc.csv").read_text().splitlines()))
        assert [region.score for region in result.quality.regions] == pytest.approx(
            [float(score) for score in scores[1:]], abs=SCORES_MAY_DIFFER
        )


@pytest.mark.long
def test_a_crop_of_a_robust_run_is_the_references_patch_on_the_references_grid(weights, shared):
    golden = shared / "reference" / "golden"
    volume = Volume.read(next((golden / "inputs").glob("A_*.nii.gz")))
    result, labels, volumes = segment(weights("robust_crop128"), volume, RUNS["robust_crop128"])
    about = json.loads((golden / "runs" / "summary.json").read_text())["A_robust_crop128"]["seg"]
    assert list(labels.shape) == about["shape"]
    assert result.labels.affine == pytest.approx(np.array(about["affine"]), abs=1e-5)
    stored = arrays_of(golden / "runs" / "A_robust_crop128" / "seg_stride2.npz")["seg"]
    ours = labels[::2, ::2, ::2]
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        assert np.array_equal((ours > 0).any(axis=others), (stored > 0).any(axis=others))
    assert np.mean(ours != stored) < CHAOS
    names, _ = list(csv.reader((golden / "runs" / "A_robust_crop128" / "vol.csv").read_text().splitlines()))
    assert set(volumes) == set(names[1:])
