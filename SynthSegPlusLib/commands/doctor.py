"""`synthsegplus doctor`: what is installed and what it sees; the page to send with a question."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys

from SynthSegPlusLib import __version__
from SynthSegPlusLib.report.text import align

PACKAGES = ("numpy", "scipy", "nibabel", "SimpleITK", "h5py", "keras", "matplotlib", "psutil")
BYTES_PER_GB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", metavar="SET", help="a folder of models to look into first")


def run(args: argparse.Namespace) -> int:
    """Print everything; 1 when segmenting cannot work here, with the reasons at the end."""
    problems: list[str] = []
    print(align(_system()))
    print("\npackages")
    print(align(_packages(problems)))
    print("\nbackends (each is started once, which takes some seconds)", flush=True)
    print(align(_backends(problems)))
    print("\nmodel sets")
    print(align(_models(args.models, problems)))
    print()
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if not problems:
        print("Everything that segmenting needs is here.")
    return 1 if problems else 0


def _system() -> list[list[str]]:
    import psutil

    from SynthSegPlusLib.inference._memory import free_memory

    total, free = psutil.virtual_memory().total, free_memory() or 0
    return [
        ["synthsegplus", __version__],
        ["Python", f"{platform.python_version()} ({sys.executable})"],
        ["system", f"{platform.system()} {platform.release()} {platform.machine()}"],
        ["CPU cores", f"{os.cpu_count()}"],
        ["memory", f"{total / BYTES_PER_GB:.1f} GB, {free / BYTES_PER_GB:.1f} GB free"],
    ]


def _packages(problems: list[str]) -> list[list[str]]:
    rows = []
    for name in PACKAGES:
        try:
            rows.append(["  " + name, importlib.metadata.version(name)])
        except importlib.metadata.PackageNotFoundError:
            rows.append(["  " + name, "not installed"])
            problems.append(f"The package {name} is missing; install it with: python -m pip install {name}")
    return rows


def _backends(problems: list[str]) -> list[list[str]]:
    from SynthSegPlusLib.networks import probe_backends

    found = probe_backends()
    if not any(backend.usable for backend in found):
        problems.append("No deep-learning backend can be used; install tensorflow, torch or jax with pip.")
    return [
        ["  " + backend.name, backend.version, "CPU" + "".join(f", {gpu}" for gpu in backend.gpus)]
        if backend.usable else ["  " + backend.name, backend.version, backend.problem or "not usable"]
        for backend in found
    ]


def _models(named: str | None, problems: list[str]) -> list[list[str]]:
    from SynthSegPlusLib.inference import survey

    found, unusable = survey(named)
    problems += unusable
    if not found:
        problems.append("No model set was found; see synthsegplus models.")
        return [["  none"]]
    return [["  " + entry.name, f"modes {', '.join(entry.modes)}", str(entry.folder)] for entry in found]
