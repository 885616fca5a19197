"""What the way from a 2 mm grid to 1 mm costs: its steps, against a run of the single network on the same scan.

    python3 dev.py bench inference steps --backend torch --out OUT

The bundled set in mode fast (S once, then the steps), on the MNI152 template unless another scan is given. Every run
is done several times; of each step the median of the CPU seconds counts. Memory is what NumPy holds at a step's peak
beyond what it held when the step began, in a run of its own, because counting it takes time. Writes
OUT/steps_<backend>.json.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib import Volume
from SynthSegPlusLib.cohort.files import write_text
from SynthSegPlusLib.commands.demo import nilearn_files
from SynthSegPlusLib.inference import ModelSet, Segmenter, _to_output
from SynthSegPlusLib.networks import choose_backend

STEPS = {
    "gaps": "fill_gaps", "intensities": "fit_appearance", "roughness": "relative_roughness", "fluid": "return_fluid",
}  # fmt: skip
"""Steps by the names of the functions that do them."""
REFINER = {"closeup": "_closeup", "refiner": "_refined"}
"""And those of a set with a refiner, by the methods of `WayToOutput`: what it is shown, and its run."""
WHOLE = "the whole way"


def main(words: list[str]) -> int:
    """Measure and write; returns the exit status."""
    parser = argparse.ArgumentParser(prog="inference steps", description=__doc__.splitlines()[0])
    parser.add_argument("--scan", type=Path, help="default: the MNI152 template of nilearn")
    parser.add_argument("--models", help="a model set that works coarser than 1 mm (default: the one that is found)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    args = parser.parse_args(words)
    report = measure(args)
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(args.out / f"steps_{args.backend}.json", json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All numbers of a run."""
    chosen = choose_backend(args.backend, args.device, args.threads)
    segmenter = Segmenter(
        ModelSet.find(args.models), mode="fast", quality=False, backend=args.backend, device=args.device,
        threads=args.threads, keep_networks=True,
    )  # fmt: skip
    volume = Volume.read(args.scan or nilearn_files()["scan"])
    segmenter.segment(volume)  # loads and compiles
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(args.runs):
        with watched(time.process_time) as spent:
            timings = segmenter.segment(volume).record["timings"]
        for step, value in spent.items():
            seconds[step].append(value)
        seconds["S"].append(timings["Segmentation (S)"]["cpu_s"])
    tracemalloc.start()
    with watched(peak_beyond, resets=tracemalloc.reset_peak) as held:
        segmenter.segment(volume)
    tracemalloc.stop()
    medians = {step: float(np.median(values)) for step, values in seconds.items()}
    return {
        "scan": volume.name, "shape": list(volume.shape), "model_set": segmenter.model_set.name,
        "device": chosen.description, "runs": args.runs, "cpu_s": {step: round(n, 3) for step, n in medians.items()},
        "of_a_run_of_s": {step: round(n / medians["S"], 3) for step, n in medians.items() if step != "S"},
        "peak_mb": {step: round(n / 1e6, 1) for step, n in held.items()},
    }  # fmt: skip


def peak_beyond() -> float:
    """Bytes that NumPy has held at most since the peak was last reset."""
    return float(tracemalloc.get_traced_memory()[1])


@contextmanager
def watched(clock: Callable[[], float], resets: Callable[[], object] = lambda: None) -> Iterator[dict[str, float]]:
    """Yields what ``clock`` gained in each step, all its calls together (of memory: the largest); the whole way too."""
    found: dict[str, float] = {}
    of_memory = clock is peak_beyond

    def noting(step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            resets()
            before = float(tracemalloc.get_traced_memory()[0]) if of_memory else clock()
            result = work(*given)
            gained = clock() - before
            found[step] = max(found.get(step, 0.0), gained) if of_memory else found.get(step, 0.0) + gained
            return result

        return run

    way: Any = _to_output.WayToOutput
    places = [(_to_output, name, step) for step, name in STEPS.items()]
    places += [(way, name, step) for step, name in REFINER.items()]
    if not of_memory:  # within which the steps reset the peak
        places.append((way, "bring", WHOLE))
    kept = [getattr(owner, name) for owner, name, _ in places]
    try:
        for (owner, name, step), work in zip(places, kept, strict=True):
            setattr(owner, name, noting(step, work))
        yield found
    finally:
        for (owner, name, _), work in zip(places, kept, strict=True):
            setattr(owner, name, work)
