"""What a run needs, against what is free."""

from __future__ import annotations

import numpy as np

from SynthSegPlusLib.contract import MemoryShortage, SegmentOptions
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import RegressorSpec, estimate_memory
from SynthSegPlusLib.volume import Conformed

FLOAT = 4
BRAIN_SHARE = 0.4
"""Largest share of a field of view that a brain takes: posteriors are kept there only."""

MAPS_BYTES = 24
"""Bytes per voxel of the image, label maps and masks that live through a run."""


APPEARANCE_BYTES = 12
"""Bytes per voxel of the output grid, where the scan's intensities have a say: the scan at 1 mm, and its bias field."""

NATIVE_BYTES = 8
"""Bytes per voxel of the scan's own grid while it is brought to 1 mm for that (measured)."""

FIT_BYTES = 500
"""Bytes per voxel of the brain on the working grid, in which the appearance of the structures is fitted."""


def needed_memory(model_set: ModelSet, roles: tuple[str, ...], options: SegmentOptions, conformed: Conformed) -> int:
    """Estimate of the memory in bytes at the most demanding stage, beyond what the process holds already."""
    grid = conformed.image.shape
    voxels, output = int(np.prod(grid)), int(np.prod(conformed.output_shape))
    channels = len(structures(options.label_version))
    posteriors = int(BRAIN_SHARE * output) * channels * FLOAT
    averages = model_set.averages_segmenter(options.mode)
    rules = model_set.postprocessing
    mirrors = rules.flip_cascade and rules.flip != "none" and "structure" in roles
    is_dense = options.mode in ("default", "s-d", "s1-s2-d") or model_set.working_resolution_mm != 1 or mirrors
    dense = voxels * channels * FLOAT if is_dense else 0
    if options.quality and options.mode in ("s-d", "s1-s2-d"):
        dense *= 2  # what the network said before D corrected it
    single = voxels * channels * FLOAT if averages else 0
    base = MAPS_BYTES * (voxels + output)
    if rules.appearance:
        base += APPEARANCE_BYTES * output + int(BRAIN_SHARE * voxels) * FIT_BYTES
        base += NATIVE_BYTES * int(np.prod(conformed.volume.shape[:3])) if conformed.resampled else 0
    needs = []
    for role in roles:
        network = model_set.require(role).network
        shape = model_set.quality.input_shape if isinstance(network, RegressorSpec) else grid
        held = 0 if role in ("tissue", "quality", "parcellation") and not options.posteriors else posteriors
        held += dense if role.startswith("segmenter") or role in ("structure", "denoiser") else 0
        held += single if role in ("segmenter", "structure") else 0
        needs.append(estimate_memory(network, shape, options.precision) + held)
    whole = output * channels * FLOAT if options.posteriors else 0
    return base + max(*needs, whole, 0)


def check_memory(
    model_set: ModelSet, roles: tuple[str, ...], options: SegmentOptions, conformed: Conformed, device: str
) -> None:
    """Raise `MemoryShortage`, with the numbers, before a run that cannot fit; a GPU is found out by trying."""
    available = free_memory()
    if device != "cpu" or available is None:
        return
    needed = needed_memory(model_set, roles, options, conformed)
    if needed > available:
        size = " x ".join(map(str, conformed.image.shape))
        raise MemoryShortage(
            f"This run needs about {needed / 1e9:.1f} GB of memory for {size} voxels and {available / 1e9:.1f} GB are "
            f"free; close other programs, give a crop, or choose a smaller precision."
        )


def free_memory() -> int | None:
    """Memory in bytes that can be used without swapping; None where it cannot be known."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)
