"""What a run needs, against what is free."""

from __future__ import annotations

import numpy as np

from SynthSegPlusLib.contract import MemoryShortage, SegmentOptions
from SynthSegPlusLib.inference._cgroups import left_by_cgroups
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import RegressorSpec, UNetSpec, estimate_memory
from SynthSegPlusLib.volume import Conformed

FLOAT = 4
BRAIN_SHARE = 0.4
"""Largest share of a field of view that a brain takes: posteriors are kept there only, and in the networks' box."""

MAPS_BYTES = 24
"""Bytes per voxel of the image, label maps and masks that live through a run."""


APPEARANCE_BYTES = 12
"""Bytes per voxel of the output grid, where the scan's intensities have a say: the scan at 1 mm, and its bias field."""

NATIVE_BYTES = 8
"""Bytes per voxel of the scan's own grid while it is brought to 1 mm for that (measured)."""

REFINER_BYTES = 2
"""Bytes of each number that the refiner is shown, and of each posterior that it changes."""

FIT_BYTES = 600
"""Bytes per voxel of the brain on the working grid, in which the appearance of the structures is fitted (measured; 900
where all sides look different, which is less than the network has left)."""


def needed_memory(model_set: ModelSet, roles: tuple[str, ...], options: SegmentOptions, conformed: Conformed) -> int:
    """Estimate of the memory in bytes at the most demanding stage, beyond what the process holds already."""
    grid = conformed.image.shape
    voxels, output, native = (int(np.prod(n)) for n in (grid, conformed.output_shape, conformed.volume.shape))
    channels = len(structures(options.label_version))
    box = int(voxels * conformed.resolution_mm**3)  # in voxels of the output grid
    posteriors = int(min(BRAIN_SHARE * output, box)) * channels * FLOAT
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
        base += NATIVE_BYTES * native if conformed.resampled else 0
    needs = []
    for role in roles:
        network = model_set.require(role).network
        shape = _grid_of(network, role, model_set, conformed)
        held = 0 if role in ("tissue", "quality", "parcellation") and not options.posteriors else posteriors
        held += dense if role.startswith("segmenter") or role in ("structure", "denoiser") else 0
        held += single if role in ("segmenter", "structure") else 0
        held += dense + closeup_bytes(box, channels, network) if role == "refiner" else 0
        needs.append(estimate_memory(network, shape, options.precision) + held)
    if options.posteriors:  # made whole on the grid of the results, of those that are kept
        needs.append(posteriors + (native if options.grid == "native" else output) * channels * FLOAT)
    return base + max(needs)


def closeup_bytes(voxels: float, channels: int, network: UNetSpec | RegressorSpec) -> int:
    """Bytes of what the refiner is shown of so many voxels, and of the posteriors of ``channels`` that it changes."""
    return int(voxels * (network.in_channels + channels) * REFINER_BYTES)


def refiner_grid(working: tuple[int, ...], resolution_mm: float) -> tuple[int, int, int]:
    """The largest grid that a refiner looks at, of a working grid."""
    x, y, z = (round(side * resolution_mm) for side in working)
    return x, y, z


def _grid_of(
    network: UNetSpec | RegressorSpec, role: str, model_set: ModelSet, conformed: Conformed
) -> tuple[int, int, int]:
    """The grid that a role's network works on, at the largest."""
    if isinstance(network, RegressorSpec):
        return model_set.quality.input_shape
    if role == "refiner":
        return refiner_grid(conformed.image.shape, conformed.resolution_mm)
    x, y, z = conformed.image.shape
    return x, y, z


def check_memory(
    model_set: ModelSet, roles: tuple[str, ...], options: SegmentOptions, conformed: Conformed, device: str
) -> None:
    """Raise `MemoryShortage`, with the numbers, before a run that cannot fit; a GPU is found out by trying."""
    _check(needed_memory(model_set, roles, options, conformed), conformed, device)


def check_look(model_set: ModelSet, role: str, options: SegmentOptions, whole: Conformed, device: str) -> None:
    """As `check_memory`, for the first look at a whole scan, of which one network's channel map is all that is kept."""
    grid = whole.image.shape
    needed = estimate_memory(model_set.require(role).network, grid, options.precision)
    _check(needed + MAPS_BYTES * int(np.prod(grid)), whole, device)


def _check(needed: int, conformed: Conformed, device: str) -> None:
    available = free_memory()
    if device != "cpu" or available is None:
        return
    if needed > available:
        size = " x ".join(map(str, conformed.image.shape))
        raise MemoryShortage(
            f"This run needs about {needed / 1e9:.1f} GB of memory for {size} voxels and {available / 1e9:.1f} GB are "
            f"free; close other programs, give a crop, or choose a smaller precision."
        )


def free_memory() -> int | None:
    """Memory in bytes that can be used without swapping or reaching a limit; None where it cannot be known."""
    left = left_by_cgroups()
    try:
        import psutil
    except ImportError:
        return left
    available = int(psutil.virtual_memory().available)
    return available if left is None else min(available, left)
