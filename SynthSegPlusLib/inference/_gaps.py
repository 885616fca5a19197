"""Fluid between the gyri, where a network took it for what is about the head.

In a scan without its skull, and wherever fluid is as dark as air or bone, a small network cannot tell a sulcus from the
outside and leaves it out. What lies in so narrow a gap of the brain is mostly fluid with its vessels and membranes,
which count to the intracranial volume; at the base of the skull it may be a ridge of bone.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from SynthSegPlusLib.inference._appearance import CSF
from SynthSegPlusLib.inference._components import largest_component
from SynthSegPlusLib.labels import LabelTable


def fill_gaps(posteriors: np.ndarray, table: LabelTable, reach_mm: float, voxel_mm: float) -> None:
    """Move the background's posterior to CSF, in place, in narrow gaps of the brain.

    posteriors: float32 [X, Y, Z, C] of the channels of ``table`` on a grid of ``voxel_mm``. The gaps are what a
    morphological closing with a ball of ``reach_mm`` adds to the largest component of voxels that are rather something
    than background: they are up to twice as wide as that. Their walls keep the background's share, or the fluid would
    take the cortex's border. A table without extracerebral CSF (labels 1.0) has no name for them.
    """
    if reach_mm <= 0 or CSF not in table:
        return
    brain = largest_component(posteriors[..., 1:].sum(axis=-1) > 0.5)
    gaps = closed(brain, reach_mm / voxel_mm) & ~brain
    csf = table.channel(CSF)
    posteriors[gaps, csf] += posteriors[gaps, 0]
    posteriors[gaps, 0] = 0.0


def closed(mask: np.ndarray, reach: float) -> np.ndarray:
    """Morphological closing of a bool array [X, Y, Z] with a ball of ``reach`` voxels; beyond the array is nothing."""
    if not mask.any():
        return mask.copy()
    room = int(np.ceil(reach)) + 1
    reached = distance_transform_edt(~np.pad(mask, room)) <= reach
    inside = distance_transform_edt(reached) > reach
    inner = (slice(room, -room),) * mask.ndim
    return inside[inner]
