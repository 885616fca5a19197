"""The benchmark of scan after scan, on a CPU and with tiny networks."""

from __future__ import annotations

import json

import keras
import numpy as np

from Testing.benchmarks.inference import gpu


def test_it_reports_the_first_scan_the_others_and_their_median(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "MATRIX_SIDE", 64)
    backend = keras.backend.backend()
    words = ["--shape", "40", "44", "48", "--scans", "3", "--device", "cpu", "--backend", backend]
    assert gpu.main([*words, "--models", str(tiny), "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / f"gpu_{backend}_float32.json").read_text(encoding="utf-8"))
    assert found["scans"] == len(found["seconds"]) == 3
    assert found["median_s"] == np.median(found["seconds"]) in found["seconds"]
    assert found["first_scan_s"] > 0
    assert found["stages_of_the_median"]
    assert found["device_peak_gb"] is None
    assert found["matrix_tflop_per_s"] >= 0
    assert capsys.readouterr().out.count("scan ") == 4


def test_it_stops_in_time_but_measures_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "MATRIX_SIDE", 64)
    backend = keras.backend.backend()
    words = ["--shape", "40", "44", "48", "--seconds", "0", "--device", "cpu", "--backend", backend]
    assert gpu.main([*words, "--models", str(tiny), "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / f"gpu_{backend}_float32.json").read_text(encoding="utf-8"))
    assert found["seconds"] == [found["first_scan_s"]]
