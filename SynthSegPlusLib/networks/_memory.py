"""How much memory a network needs: counted from its description, checked against measurements."""

from __future__ import annotations

import math

from SynthSegPlusLib.networks._runner import CPU_CHUNK_VOXELS, GPU_CHUNK_VOXELS, Precision
from SynthSegPlusLib.networks._specs import RegressorSpec, UNetSpec

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

_COPIES_OF_A_CHUNK = 16
"""Of the finest level's features at a time: windows, their transforms, products and results."""


def estimate_memory(
    spec: UNetSpec | RegressorSpec, shape: tuple[int, int, int], precision: Precision, device: str = "cpu"
) -> int:
    """Bytes that running ``spec`` on a grid ``shape`` needs at most, its input and output not counted."""
    size, voxels = _BYTES[precision], math.prod(shape)
    weights = spec.parameters() * (4 + 2 * size)  # as read, and transformed
    kept = 0.0
    for level in range(spec.levels):
        features = voxels / 8**level * spec.level_features(level) * size
        skip = isinstance(spec, UNetSpec) and spec.has_skip(level)
        kept += features * (1.0 if skip and level < spec.levels - 1 else 0.0)
        waits = spec.norm == "instance" and isinstance(spec, UNetSpec)  # for the statistics, before the head
        kept += features * (1.0 if level or waits else 0.0)  # what a level hands to the next
    chunk = min(voxels, CPU_CHUNK_VOXELS if device == "cpu" else GPU_CHUNK_VOXELS)
    return int(weights + kept + _COPIES_OF_A_CHUNK * chunk * spec.features * size)
