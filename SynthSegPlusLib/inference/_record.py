"""The run record: how a result came about."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import os
import platform
import sys
from typing import Any

import numpy as np

from SynthSegPlusLib import __version__
from SynthSegPlusLib.contract import SegmentOptions
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.networks import Chosen
from SynthSegPlusLib.volume import Volume

RECORD_SCHEMA = 1
"""Version of the record's layout."""

_PACKAGES = ("numpy", "scipy", "nibabel", "SimpleITK", "h5py", "keras")


def describe_input(volume: Volume) -> dict[str, Any]:
    """Name, geometry and SHA-256 of the voxel values (C order) and affine: the same for every file format."""
    digest = hashlib.sha256(np.ascontiguousarray(volume.data))
    digest.update(np.ascontiguousarray(volume.affine))
    return {
        "name": volume.name,
        "source": None if volume.source is None else str(volume.source),
        "shape": list(volume.shape),
        "spacing_mm": [round(float(size), 6) for size in volume.spacing],
        "affine": volume.affine.tolist(),
        "sha256": digest.hexdigest(),
    }


def describe_models(model_set: ModelSet, roles: tuple[str, ...], mode: str) -> dict[str, Any]:
    """Which set, the checksums of the files that the run used, and the rules of the set that change structures or
    volumes: S's share where they are averaged with it, what intensities say, which gaps are filled, and which
    posteriors count.
    """
    used = {name: model_set.require(name).verify() for name in roles}
    return {
        "name": model_set.name,
        "version": model_set.version,
        "licence": model_set.licence,
        "citation": model_set.citation,
        "found_in": model_set.found_in,
        "scheme": model_set.scheme,
        "working_resolution_mm": model_set.working_resolution_mm,
        "roles": {name: {"file": file.path.name, "sha256": file.sha256} for name, file in used.items()},
        **model_set.postprocessing.described(model_set.averages_segmenter(mode)),
    }


def describe_machine(chosen: Chosen) -> dict[str, Any]:
    """Versions of what ran, and on what."""
    packages = (*_PACKAGES, *_distributions(chosen.backend))
    return {
        "versions": {
            "SynthSegPlus": __version__,
            "python": platform.python_version(),
            **{name: version for name in packages if (version := _version(name)) is not None},
        },
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "backend": chosen.backend,
        "device": chosen.device,
        "device_description": chosen.description,
    }


def describe_options(options: SegmentOptions) -> dict[str, Any]:
    return options.to_dict()


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def peak_memory() -> int | None:
    """Largest resident memory that this process had so far, bytes; None where it cannot be known."""
    try:
        import resource
    except ImportError:  # Windows
        return _peak_windows()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_windows() -> int | None:
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.Process().memory_info().peak_wset)


def _distributions(backend: str) -> tuple[str, ...]:
    return ("tensorflow", "tensorflow-cpu") if backend == "tensorflow" else (backend,)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
