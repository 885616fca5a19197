"""Plausible mistakes for the networks that are fed with label maps: S2 with tissues, S3 with a cortex mask.

The released code deforms each binary mask and erodes or dilates it on its own, after which the masks no longer form a
partition, which they always do at test time. Here the partition itself is perturbed: the one-hot masks are blurred,
smooth random fields are added, and the argmax is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from SynthSegPlusLib.synthesis.interpolation import apply_along_axes, blur_matrix, resize

BLUR_MM = (0.3, 2.5)
FIELD_SPACING_MM = 12.0
FIELD_STD = (0.0, 0.25)
KEEP = 0.1
"""Probability that nothing is perturbed."""


def perturb_partition(onehot: Any, seed: int | list[int], voxel: float) -> Any:
    """Integer classes [x, y, z] of a perturbed one-hot map [x, y, z, n]; ``voxel`` is its spacing in mm."""
    from keras import ops

    rng = np.random.default_rng(seed)
    keep, blur, std = rng.random() < KEEP, rng.uniform(*BLUR_MM), rng.uniform(*FIELD_STD)
    if keep:
        return ops.cast(ops.argmax(onehot, -1), "int32")
    shape = onehot.shape[:3]
    points = tuple(max(2, round(size * voxel / FIELD_SPACING_MM)) for size in shape)
    field = rng.normal(0, std, (*points, onehot.shape[3])).astype(np.float32)
    smooth = apply_along_axes(onehot, [blur_matrix(size, blur / voxel) for size in shape])
    edge = 4.0 * smooth * (1.0 - smooth)  # fields act where classes meet, so that no islands appear elsewhere
    return ops.cast(ops.argmax(smooth + edge * resize(ops.convert_to_tensor(field), shape), -1), "int32")
