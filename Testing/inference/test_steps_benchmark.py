"""The benchmark of the way to 1 mm, with tiny networks."""

from __future__ import annotations

import json
import time

import keras
import numpy as np

from SynthSegPlusLib.inference import Segmenter, _to_output
from Testing.benchmarks.inference import steps
from Testing.inference import test_refine
from Testing.inference.appearances import a_set
from Testing.inference.tiny import scan


def test_it_measures_every_step_and_leaves_the_engine_as_it_was(tmp_path):
    import nibabel as nib

    volume = scan((40, 44, 48))
    noise = np.random.default_rng(0).normal(0, 20, volume.data.shape)
    nib.save(nib.Nifti1Image((volume.data + noise).astype(np.float32), volume.affine), tmp_path / "head.nii.gz")
    models, backend = a_set(tmp_path / "set", 0.5), keras.backend.backend()
    before = {name: getattr(_to_output, name) for name in steps.STEPS.values()}, _to_output.WayToOutput.bring
    words = ["--scan", str(tmp_path / "head.nii.gz"), "--models", str(models.folder), "--runs", "3"]
    assert steps.main([*words, "--backend", backend, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / f"steps_{backend}.json").read_text(encoding="utf-8"))
    assert set(found["cpu_s"]) == {*steps.STEPS, steps.WHOLE, "S"}
    assert set(found["of_a_run_of_s"]) == {*steps.STEPS, steps.WHOLE}
    assert set(found["peak_mb"]) == set(steps.STEPS)
    assert found["peak_mb"]["intensities"] > 0
    after = {name: getattr(_to_output, name) for name in steps.STEPS.values()}, _to_output.WayToOutput.bring
    assert after == before


def test_a_set_with_a_refiner_has_its_steps_too(tmp_path):
    models = test_refine.a_set(tmp_path / "set", 0.5)
    with steps.watched(time.process_time) as spent:
        Segmenter(models, mode="fast", device="cpu").segment(scan((40, 44, 48)))
    assert {"gaps", "intensities", *steps.REFINER, steps.WHOLE} <= set(spent)
    assert spent["closeup"] + spent["refiner"] < spent[steps.WHOLE]


def test_steps_that_run_twice_count_twice():
    ticks = iter(range(100))
    with steps.watched(lambda: float(next(ticks))) as spent:
        for _ in range(2):
            _to_output.relative_roughness(np.zeros((8, 8, 8), np.float32))
    assert spent == {"roughness": 2.0}
