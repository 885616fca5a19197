"""Whole runs of the command line on a full 1 mm head: stages, wall, CPU seconds, memory, against the reference's.

    python3 dev.py bench inference                              (all cases that are not measured yet)
    python3 dev.py bench inference --again                      (all cases anew)
    python3 dev.py bench inference --shape 90 110 100 --out DIR (smaller, to try it)
    python3 dev.py bench inference networks --help              (each network alone, and the plain models)
    python3 dev.py bench inference gpu --help                   (scan after scan in one process, networks kept)
    python3 dev.py bench inference steps --help                 (the way from 2 mm to 1 mm, step by step)

Every case is a process of its own (robust with parcels, quality and volumes, and fast; float32 and bfloat16) with the
stand-in weights, on a head of 180 x 220 x 200 voxels (192 x 224 x 224 padded): the files and the machine kind of the
reference's figures. The rate of a matrix product is measured right before and after. Results are written case by
case; a case that is there is not run again, so that an interrupted run is continued by the same command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from Testing.benchmarks.inference import dice, gpu, networks, steps, summary, whole

RESULTS = Path(__file__).with_name("results")


def main() -> int:
    parts = {"networks": networks.main, "gpu": gpu.main, "steps": steps.main}
    if sys.argv[1:2] and sys.argv[1] in parts:
        return parts[sys.argv[1]](sys.argv[2:])
    parser = argparse.ArgumentParser(prog="inference", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs=3, type=int, default=list(whole.FULL), help="voxels of the head, 1 mm")
    parser.add_argument("--chain", nargs="+", choices=sorted(whole.CHAINS), default=list(whole.CHAINS))
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--work", type=Path, default=Path("build/bench-inference"), help="weights, head, label maps")
    parser.add_argument("--scan", type=Path, help="real scan for the Dice of the precisions (nilearn's MNI152)")
    parser.add_argument("--again", action="store_true", help="measure again what is there")
    options = parser.parse_args()
    machine = whole.Machine(options.backend, options.device, options.threads)
    bench = whole.Bench(tuple(options.shape), machine, options.out, options.work)
    for precision in options.precision:
        for chain in options.chain:
            bench.measure(chain, precision, options.again)
            summary.write(options.out)
        dice.measure(bench, precision, options.scan, options.again)
    summary.write(options.out)
    print((options.out / summary.NAME).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
