"""Which records of earlier scans a forecast may rest on."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from SynthSegPlusLib.commands._measured import earlier


def record(folder: Path, device: str) -> Path:
    """Of a scan that took 50 s and 4 GB on this machine."""
    run = {"device": device, "platform": platform.platform(), "processors": os.cpu_count(),
           "grid": {"working": [8, 8, 8], "output": [8, 8, 8]}, "input": {"shape": [8, 8, 8]},
           "timings": {"all": {"wall_s": 50.0}}, "peak_memory_bytes": 4e9}
    path = folder / f"{device.replace(':', '')}_record.json"
    path.write_text(json.dumps({"request": {}, "run": run}))
    return path


@pytest.mark.parametrize(("asked", "used"), [
    ("auto", ["cpu", "gpu:0", "gpu:1"]), ("cpu", ["cpu"]), ("gpu", ["gpu:0"]), ("cuda", ["gpu:0"]), ("mps", ["gpu:0"]),
    ("gpu:0", ["gpu:0"]), ("GPU", ["gpu:0"]), ("cuda:1", ["gpu:1"]), ("gpu:2", []),
])
def test_a_device_is_the_one_of_the_records_whatever_its_name(asked, used, tmp_path):
    records = [record(tmp_path, device) for device in ("cpu", "gpu:0", "gpu:1")]
    found = earlier(records, {}, asked, lambda *_: (25.0, 2e9))
    assert (0 if found is None else found.count) == len(used)
    if found is not None:
        assert (found.seconds, found.memory, found.device) == (2.0, 2.0, used[0])
