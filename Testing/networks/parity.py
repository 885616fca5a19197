"""Every network alone against numbers of the reference implementation, with the stand-in weights.

With random weights the hard decisions between networks make the whole chain chaotic, so each network
is given the reference's own label map ("teacher forcing"). `phantom_golden` reads
``Testing/fixtures/phantom_networks.npz``: what the reference printed for the phantom, softmax at every
16th voxel, label maps whole; `scan_golden` reads a scan's numbers from the reference data, where they are.

``python -m Testing.networks.parity BACKEND WEIGHTS ROLE...`` prints the differences as one JSON line,
so that backends which cannot share a process can be tested from one.
"""

from __future__ import annotations

import json
import lzma
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.labels import qc_regions, structures
from SynthSegPlusLib.networks import PUBLISHED, Inputs, choose_backend, load_network, load_regressor
from SynthSegPlusLib.volume import Volume, conform
from Testing.standin import file_of
from Testing.volume.phantom import phantom

FIXTURE = Path(__file__).parents[1] / "fixtures" / "phantom_networks.npz"
REGRESSOR_SIDE = 224


@dataclass
class Golden:
    """One scan's input and the reference's answers."""

    image: np.ndarray
    maps: dict[str, np.ndarray]
    """Label maps (channels) by network, uint8; a smaller one holds every n-th voxel."""
    softmax: dict[str, np.ndarray]
    cortex: np.ndarray
    """Where S2's label map is cortex, 0 or 1."""
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))


def phantom_golden() -> Golden:
    data, affine = phantom()
    image = conform(Volume(data, affine.astype(np.float32).astype(np.float64), "phantom"), "published").image
    stored = np.load(FIXTURE)

    def unpacked(name: str) -> np.ndarray:
        return np.frombuffer(lzma.decompress(stored[name].tobytes()), np.uint8).reshape(image.shape)

    maps = {"S1": unpacked("S1_argmax_xz"), "D": unpacked("D_argmax_xz"), "S2": stored["S2_argmax_stride4"]}
    softmax = {role: stored[f"{role}_softmax_stride16"] for role in ("S1", "D", "S2", "S3", "S 2.0")}
    cortex = np.unpackbits(np.frombuffer(lzma.decompress(stored["S2_cortex_xz"].tobytes()), np.uint8))
    return Golden(image, maps, softmax, cortex.reshape(image.shape), stored["R_scores"])


def scan_golden(shared: Path) -> Golden:
    folder = shared / "reference" / "golden"
    chain, last = (np.load(folder / "intermediates_A" / f"{name}.npz") for name in ("robust_S1_D_S2", "S3"))
    single, scores = (np.load(folder / "intermediates_A" / f"{name}.npz") for name in ("nonrobust", "R"))
    softmax = {
        "S1": chain["S1_softmax_stride4"],
        "D": chain["D_softmax_stride4"],
        "S2": chain["S2_softmax_stride8"],
        "S3": last["S3_softmax_stride8"],
        "S 2.0": single["S_softmax_stride8"],
    }
    image = conform(Volume.read(folder / "inputs" / "A_t1_oblique.nii.gz"), "published").image
    maps = {role: chain[f"{role}_argmax"] for role in ("S1", "D", "S2")}
    table = structures("2.0")
    cortex = np.isin(maps["S2"], [table.channel(value) for value in table.cortex.values()]).astype(np.uint8)
    return Golden(image, maps, softmax, cortex, scores["scores"])


def differences(golden: Golden, role: str, weights: Path, precision: Any = "float32") -> dict[str, float]:
    """Run one network; ``softmax``: largest difference; ``labels``: voxels that differ among ``voxels``."""
    spec, path = PUBLISHED[role], weights / file_of(role)
    if role == "R":
        scores = load_regressor(spec, path, precision).predict(_quality_groups(golden))
        return {"scores": float(np.abs(scores - golden.scores).max())}
    posteriors = load_network(spec, path, precision).softmax(_inputs(golden, role))
    if role == "S2" and golden.maps["S2"].shape != golden.image.shape:
        golden.maps["S2 whole"] = posteriors.argmax(-1).astype(np.uint8)  # R's input; the fixture has no room for it
    expected = golden.softmax[role]
    found = {"softmax": float(np.abs(_every(posteriors, expected.shape) - expected).max())}
    if role in golden.maps:
        labels = _every(posteriors, golden.maps[role].shape).argmax(-1)
        found |= {"labels": int((labels != golden.maps[role]).sum()), "voxels": labels.size}
    return found


def _every(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    steps = [slice(None, None, array.shape[axis] // shape[axis]) for axis in range(3)]
    return array[tuple(steps)]


def _inputs(golden: Golden, role: str) -> Inputs:
    image, maps = golden.image, golden.maps
    if role == "D":
        return Inputs(groups=maps["S1"], n_groups=5)
    if role == "S2":
        return Inputs(image=image, groups=maps["D"], n_groups=5)
    if role == "S3":
        return Inputs(image=image, groups=golden.cortex, n_groups=2)
    return Inputs(image=image)


def _quality_groups(golden: Golden) -> np.ndarray:
    """R's input: QC regions, centred in its box (these label maps fill their grid, so the box is the grid's)."""
    regions = (
        qc_regions("published")
        .channels(structures("2.0"))
        .astype(np.uint8)[golden.maps.get("S2 whole", golden.maps["S2"])]
    )
    margins = [REGRESSOR_SIDE - length for length in regions.shape]
    return np.pad(regions, [((margin + 1) // 2, margin // 2) for margin in margins])


if __name__ == "__main__":
    backend, folder, *roles = sys.argv[1:]
    choose_backend(backend, "cpu", threads=2)
    found = phantom_golden()
    print(json.dumps({role: differences(found, role, Path(folder)) for role in roles}))
