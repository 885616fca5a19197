"""Measures whole runs, one process a case, and keeps each result in a file of its own."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib import Volume
from SynthSegPlusLib.cohort.files import write_text
from SynthSegPlusLib.networks import PUBLISHED
from Testing.benchmarks.inference.measure import head, plain_gflop
from Testing.standin import write_standin

Shape = tuple[int, ...]

FULL: Shape = (180, 220, 200)

CHAINS: dict[str, tuple[str, ...]] = {"robust": ("--robust", "--parc"), "fast": ("--fast",)}
"""Flags; volumes are written too, and with parcels the scores."""

NETWORKS = {"robust": ("S1", "D", "S2", "S3", "R"), "fast": ("S 2.0",)}

REFERENCE = {
    "robust": {"wall_s": 162.5, "cpu_s": 248.8, "peak_gb": 17.8},
    "fast": {"wall_s": 44.8, "cpu_s": 58.4, "peak_gb": 10.5},
}
"""The reference's whole process on the full head: tensorflow-cpu 2.15, 2 threads on 2 Zen 4 cores."""

QC_GRID: Shape = (224, 224, 224)


@dataclass(frozen=True)
class Machine:
    """Where and how the cases run."""

    backend: str
    device: str
    threads: int

    def words(self) -> list[str]:
        return ["--backend", self.backend, "--device", self.device, "--threads", str(self.threads)]


@dataclass(frozen=True)
class Bench:
    """All cases on one head. out: results, one JSON a case. work: what the cases need and leave behind."""

    shape: Shape
    machine: Machine
    out: Path
    work: Path

    @property
    def is_full(self) -> bool:
        return self.shape == FULL

    def file_of(self, case: str) -> Path:
        machine = f"{self.machine.backend}-{self.machine.device}-{self.machine.threads}".replace(":", "")
        return self.out / f"{'x'.join(map(str, self.shape))}_{machine}_{case}.json"

    def labels_of(self, chain: str, precision: str) -> Path:
        return self.work / f"{'x'.join(map(str, self.shape))}_{chain}_{precision}.nii.gz"

    def measure(self, chain: str, precision: str, again: bool) -> None:
        """Measure a case and store it, unless it is there."""
        path = self.file_of(f"{chain}_{precision}")
        if path.exists() and not again:
            say(f"{path.name} is there")
            return
        say(f"{chain}, {precision}: {' x '.join(map(str, self.shape))} voxels")
        rates = [self._rate(precision)]
        found = self._run(chain, precision)
        rates.append(self._rate(precision))
        store(path, self._report(chain, precision, found, max(rates)))

    def _run(self, chain: str, precision: str) -> dict[str, Any]:
        labels = self.labels_of(chain, precision)
        words = ["segment", "--i", self._head(), "--o", labels, "--models", write_standin(self.work / "weights"),
                 "--vol", labels.with_suffix(".vol.csv"), "--precision", precision, "--quiet", *CHAINS[chain],
                 *self.machine.words()]  # fmt: skip
        words += ["--qc", labels.with_suffix(".qc.csv")] if "--parc" in CHAINS[chain] else []
        began = time.perf_counter()
        found: dict[str, Any] = run("command", *words)
        found["wall_s"] = round(time.perf_counter() - began, 2)
        record = labels.with_name(labels.name.removesuffix(".nii.gz") + "_record.json")
        found["run"] = json.loads(record.read_text(encoding="utf-8"))["run"]
        return found

    def _rate(self, precision: str) -> float:
        machine = self.machine
        return run("rate", precision, machine.backend, machine.device, machine.threads)["gflop_per_cpu_s"]

    def _head(self) -> Path:
        path = self.work / f"head_{'x'.join(map(str, self.shape))}.nii.gz"
        if not path.exists():
            Volume((1000 * head(self.shape)).astype(np.int16), np.eye(4)).write(path)  # type: ignore[arg-type]
        return path

    def _report(self, chain: str, precision: str, found: dict[str, Any], rate: float) -> dict[str, Any]:
        taken, run_record = {name: found[name] for name in ("wall_s", "cpu_s", "peak_gb")}, found["run"]
        grid = run_record["grid"]["working"]
        gflop = sum(plain_gflop(PUBLISHED[name], QC_GRID if name == "R" else grid) for name in NETWORKS[chain])
        return {
            "chain": chain, "precision": precision, "shape": list(self.shape), "grid": grid, **taken,
            "over_reference": {name: round(taken[name] / REFERENCE[chain][name], 3) for name in taken}
            if self.is_full else None,
            "stages": run_record["timings"],
            "gflop_of_the_plain_networks": round(gflop),
            "matrix_gflop_per_cpu_s": rate,
            "share_of_matrix_rate": round(gflop / taken["cpu_s"] / rate, 3),
            "machine": {"cpu": cpu_name(), "threads": self.machine.threads, "device": run_record["device_description"],
                        "platform": run_record["platform"], "load_1min": load()},
            "versions": run_record["versions"],
            "measured": run_record["finished"],
        }  # fmt: skip


def run(*words: object) -> dict[str, Any]:
    """Run `Testing.benchmarks.inference.child`; its last line as values."""
    command = [sys.executable, "-m", "Testing.benchmarks.inference.child", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def store(path: Path, report: dict[str, Any]) -> None:
    write_text(path, json.dumps(report, indent=1) + "\n")


def say(text: str) -> None:
    print(f"bench: {text}", flush=True)


def load() -> float | None:
    """Processes that wanted to run during the last minute, this one's included; None where nobody counts."""
    import os

    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def cpu_name() -> str:
    """Model name of the processor, as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
