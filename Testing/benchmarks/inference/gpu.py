"""Scans one after the other in one process: from an array in memory to labels, parcels, volumes and scores in memory.

    python3 dev.py bench inference gpu --backend torch --precision bfloat16 --out OUT

The networks stay loaded and compiled; the first scan, which loads and compiles, is reported by itself. A robust run
with parcels and scores on a 1 mm head, by default of the published architecture (stand-in weights). Writes
OUT/gpu_<backend>_<precision>.json: seconds of every scan, their median, the stages of the median scan, the device's
memory at its peak, and the rate of a matrix product.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib import Volume
from SynthSegPlusLib.cohort.files import write_text
from SynthSegPlusLib.contract import SegmentOptions
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.networks import choose_backend
from Testing.benchmarks.inference.measure import head
from Testing.standin import write_standin

MATRIX_SIDE = 8192


def main(words: list[str]) -> int:
    """Measure and write; returns the exit status."""
    parser = argparse.ArgumentParser(prog="inference gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs=3, type=int, default=[180, 220, 200], help="voxels of the head, 1 mm")
    parser.add_argument("--scans", type=int, default=21)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--models", type=Path, help="a model set instead of the stand-in weights")
    parser.add_argument("--seconds", type=float, default=600.0, help="no scan begins later than this")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    parser.add_argument("--work", type=Path, default=Path("build/bench-inference"), help="the stand-in weights")
    args = parser.parse_args(words)
    report = measure(args)
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(args.out / f"gpu_{args.backend}_{args.precision}.json", json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All numbers of a run."""
    began = time.perf_counter()
    chosen = choose_backend(args.backend, args.device, args.threads)
    model_set = ModelSet.load(args.models) if args.models else ModelSet.find(write_standin(args.work / "weights"))
    options = SegmentOptions(mode="robust", parcellation=True, quality=True, precision=args.precision)
    segmenter = Segmenter(
        model_set, options, backend=args.backend, device=args.device, threads=args.threads, keep_networks=True
    )
    volume = Volume((1000 * head(tuple(args.shape))).astype(np.int16), np.eye(4))
    seconds: list[float] = []
    stages: list[dict[str, Any]] = []
    while not seconds or (len(seconds) <= args.scans and time.perf_counter() - began < args.seconds):
        start = time.perf_counter()
        result = segmenter.segment(volume)
        seconds.append(round(time.perf_counter() - start, 3))
        stages.append(result.record["timings"])
        print(f"scan {len(seconds)}: {seconds[-1]} s", flush=True)
    rest = seconds[1:] or seconds
    middle = int(np.argsort(rest)[len(rest) // 2]) + (len(seconds) > 1)
    return {
        "backend": args.backend, "precision": args.precision, "device": chosen.description,
        "shape": list(args.shape), "model_set": model_set.name, "scans": len(rest), "first_scan_s": seconds[0],
        "median_s": float(np.median(rest)), "seconds": rest, "stages_of_the_median": stages[middle],
        "device_peak_gb": None if chosen.device == "cpu" else device_peak(args.backend),
        "matrix_tflop_per_s": device_rate(args.precision),
    }  # fmt: skip


def device_peak(backend: str) -> float | None:
    """GB (10^9 bytes) that the backend held on the GPU at most; None where it does not say."""
    if backend == "torch":
        import torch

        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    if backend == "jax":
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        return round(stats["peak_bytes_in_use"] / 1e9, 3) if "peak_bytes_in_use" in stats else None
    return None


def device_rate(precision: str) -> float:
    """TFLOP/s of a large matrix product, the best of four."""
    from keras import ops

    side = MATRIX_SIDE if precision != "float32" else MATRIX_SIDE // 2
    a = ops.cast(ops.convert_to_tensor(np.random.default_rng(0).random((side, side), np.float32)), precision)
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        product = a
        for _ in range(4):
            product = ops.matmul(a, a)
        ops.convert_to_numpy(ops.cast(product[:1, :1], "float32"))
        best = max(best, 4 * 2 * side**3 / (time.perf_counter() - start) / 1e12)
    return round(best, 1)
