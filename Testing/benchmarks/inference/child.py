"""One measured process: a command line, or the rate of a matrix product. Prints one line of JSON at its end.

CPU seconds are the process's own since it began, imports included, and those of its children.
"""

from __future__ import annotations

import json
import sys

import psutil

from SynthSegPlusLib.inference._record import peak_memory


def command(words: list[str]) -> dict[str, float]:
    from SynthSegPlusLib.cli import main

    status = main(words)
    if status:
        raise SystemExit(status)
    times = psutil.Process().cpu_times()
    spent = times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return {"cpu_s": round(spent, 2), "peak_gb": round((peak_memory() or 0) / 1e9, 3)}


def rate(precision: str, backend: str, device: str, threads: int) -> dict[str, float]:
    from SynthSegPlusLib.networks import choose_backend
    from Testing.benchmarks.inference.measure import matrix_rate

    choose_backend(backend, device, threads)
    return {"gflop_per_cpu_s": round(matrix_rate(precision), 1)}


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    found = command(words) if kind == "command" else rate(words[0], words[1], words[2], int(words[3]))
    print("\n" + json.dumps(found))
