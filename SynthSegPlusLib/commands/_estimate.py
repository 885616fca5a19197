"""What a run would do, how long it would take and how much memory it would need, without running it.

Time is counted from the networks' multiplications and this machine's measured matrix rate: a forecast for the CPU,
good to about a factor of two. Where earlier scans of the same run left their records, it is corrected by what those
took.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SynthSegPlusLib.cohort import Job, Plan
from SynthSegPlusLib.cohort.records import finished
from SynthSegPlusLib.commands import _measured
from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.contract import SynthSegPlusError
from SynthSegPlusLib.inference import Role
from SynthSegPlusLib.networks import RegressorSpec, UNetSpec, estimate_memory

# Share of the matrix rate that 3-D convolutions reach, and what every scan costs besides its networks.
EFFICIENCY = 0.5
OVERHEAD_SECONDS = 8.0
BASE_BYTES = 1.2e9

Shape = tuple[int, int, int]


def describe(made: Plan, choice: Choice, device: str, resume: bool) -> str:
    """The whole run in words, one line a scan."""
    roles = choice.roles()
    lines = [
        f"model set   {choice.model_set.name} ({choice.model_set.folder})",
        f"mode        {choice.options.mode}, {choice.options.precision}, device {device}",
        f"networks    {', then '.join(role.title for role in roles)}",
    ]
    request = choice.request()
    rate = matrix_rate()
    total, largest, waiting, work = 0.0, 0.0, 0, 0.0
    for job in made.jobs:
        if resume and finished(job, request) is not None:
            lines.append(f"keep        {job.scan}")
            continue
        try:
            grids = grids_of(job, choice)
            seconds, needed = forecast(grids, choice, rate)
        except SynthSegPlusError as error:
            lines.append(f"would fail  {job.scan}: {error}")
            continue
        waiting += 1
        total, largest, work = total + seconds, max(largest, needed), work + work_of(grids, choice)
        lines.append(f"segment     {job.scan} -> {job.segmentation}")
    lines.append(f"scans       {waiting} to segment of {len(made.jobs)}")
    known = _measured.earlier(
        records_of(made), request, device, lambda *shapes: forecast(Grids(*shapes), choice, rate)  # type: ignore[arg-type]
    )
    if known is None:
        lines.append(f"time        about {_duration(total)} on this machine's CPU, within a factor of two")
        lines.append(f"memory      about {largest / 1e9:.1f} GB" + _free())
        lines.append(f"basis       {work / 1e12:.1f} Tflop of the networks, and {rate / 1e9:.0f} Gflop/s that a matrix "
                     "product reaches here now; nothing was measured yet")  # fmt: skip
    else:
        lines.append(f"time        about {_duration(total * known.seconds)} on this machine, device {known.device}")
        lines.append(f"memory      about {largest * known.memory / 1e9:.1f} GB" + _free())
        lines.append(f"basis       measured: records of {known.count} earlier scans of this machine with the same "
                     "options")  # fmt: skip
    return "\n".join(lines)


def records_of(made: Plan) -> Iterator[Path]:
    """Records beside the results that the plan would write, its own first."""
    own = dict.fromkeys(job.record for job in made.jobs)
    yield from (path for path in own if path.is_file())
    for folder in dict.fromkeys(path.parent for path in own):
        yield from (path for path in sorted(folder.glob("*_record.json")) if path not in own)


@dataclass(frozen=True)
class Grids:
    """Voxels of a scan where the networks work (padded), where its results lie at 1 mm, and its own (None: those)."""

    working: Shape
    output: Shape
    native: Shape | None = None


def forecast(grids: Grids, choice: Choice, rate: float) -> tuple[float, float]:
    """(seconds, bytes of the whole process) for one scan, at a matrix rate in FLOP/s."""
    from SynthSegPlusLib.inference._memory import MAPS_BYTES

    seconds = OVERHEAD_SECONDS + work_of(grids, choice) / (rate * EFFICIENCY)
    maps = MAPS_BYTES * (math.prod(grids.working) + math.prod(grids.output))
    return seconds, BASE_BYTES + maps + max(_stages(grids, choice))


def _stages(grids: Grids, choice: Choice) -> Iterator[float]:
    """Bytes of networks and posteriors at the stages that may need most."""
    from SynthSegPlusLib.inference._memory import BRAIN_SHARE, closeup_bytes

    model_set, options, roles = choice.model_set, choice.options, choice.roles()
    working, output = math.prod(grids.working), math.prod(grids.output)
    voxel = 4.0 * len(model_set.table)
    kept = voxel * min(BRAIN_SHARE * output, working * model_set.working_resolution_mm**3)
    dense = voxel * working * (2 if model_set.averages_segmenter(options.mode) else 1)
    for role in roles:
        shape = _shape(role, grids, choice)
        shown = closeup_bytes(math.prod(shape), len(model_set.table), role.network) if role.name == "refiner" else 0
        yield estimate_memory(role.network, shape, options.precision) + shown + dense + kept
    if options.posteriors:
        native = grids.native if options.grid == "native" else None
        yield kept + voxel * math.prod(native or grids.output)
    if _looks_first(choice):
        yield estimate_memory(roles[0].network, _padded(grids.output, choice), options.precision)


def work_of(grids: Grids, choice: Choice) -> float:
    """Floating-point operations of all networks of a run on one scan."""
    roles = choice.roles()
    found = sum(
        (2 if _averages(choice, role.name) else 1) * operations(role.network, _shape(role, grids, choice))
        for role in roles
    )
    if _looks_first(choice):
        found += operations(roles[0].network, _padded(grids.output, choice))
    return found


def _looks_first(choice: Choice) -> bool:
    """Whether the first network sees the whole scan once more, to find the brain."""
    return choice.model_set.field_of_view_mm is not None and choice.options.crop is None


def _shape(role: Role, grids: Grids, choice: Choice) -> Shape:
    from SynthSegPlusLib.inference._memory import refiner_grid

    if isinstance(role.network, RegressorSpec):
        return choice.model_set.quality.input_shape
    refines = role.name == "refiner"
    return refiner_grid(grids.working, choice.model_set.working_resolution_mm) if refines else grids.working


def _averages(choice: Choice, role: str) -> bool:
    """Whether a network sees the mirror image too."""
    rules, mode = choice.model_set.postprocessing, choice.options.mode
    mirrored = ["tissue", "structure", "parcellation"] if rules.flip_cascade else []
    if rules.flip_cascade and choice.model_set.averages_segmenter(mode):
        mirrored.append("segmenter")
    return rules.flip != "none" and (role in mirrored or (mode == "default" and role.startswith("segmenter")))


def operations(network: UNetSpec | RegressorSpec, shape: tuple[int, ...]) -> float:
    """Floating-point operations of all convolutions of a network on a grid.

    A layer's level is known from its name, so each weight of a kernel counts twice per voxel of its level.
    """
    total = 0.0
    voxels = math.prod(shape)
    for layer in network.layers():
        kernel = layer.shapes.get("kernel")
        if kernel is not None:
            total += 2.0 * math.prod(kernel) * voxels / 8 ** _level(layer.name, network.levels)
    return total


def _level(name: str, levels: int) -> int:
    parts = name.split("_")
    if "downarm" in parts:
        return int(parts[parts.index("downarm") + 1])
    if "uparm" in parts:
        return 2 * levels - 2 - int(parts[parts.index("uparm") + 1])
    # What is in no arm: a U-Net's last layer works on the whole grid, the end of a regressor on the coarsest.
    return 0 if "likelihood" in parts else levels - 1


def grids_of(job: Job, choice: Choice) -> Grids:
    """The grids of a scan, from its header. That a brain longer than the box gets a longer one is not known here."""
    from SynthSegPlusLib.volume import Volume

    model_set = choice.model_set
    volume = Volume.read(job.scan)
    native = volume.shape[0], volume.shape[1], volume.shape[2]
    extent = np.array(native) * volume.spacing
    x, y, z = (_up(length, 1) for length in extent)
    if choice.options.crop is not None:
        extent = np.minimum(extent, np.max(choice.options.crop))
    elif model_set.field_of_view_mm is not None:
        extent = np.minimum(extent, model_set.field_of_view_mm)
    return Grids(_padded(extent, choice), (x, y, z), native)


def _padded(extent_mm: Iterable[float], choice: Choice) -> Shape:
    """Grid on which networks work for a field of view."""
    step, padding = choice.model_set.working_resolution_mm, choice.model_set.padding
    x, y, z = (max(_up(length / step, padding.multiple), padding.minimum) for length in extent_mm)
    return x, y, z


def _up(length: float, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple


def matrix_rate(size: int = 1024, repeats: int = 3) -> float:
    """Measured float32 matrix multiplication of this machine, FLOP/s: the best of a few tries."""
    left, right = (np.ones((size, size), np.float32) for _ in range(2))
    return 2.0 * size**3 / min(_times(left, right, repeats))


def _times(left: np.ndarray, right: np.ndarray, repeats: int) -> Iterable[float]:
    for _ in range(repeats):
        began = time.perf_counter()
        left @ right
        yield max(time.perf_counter() - began, 1e-9)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _free() -> str:
    from SynthSegPlusLib.inference._memory import free_memory

    free = free_memory()
    return "" if free is None else f"; {free / 1e9:.1f} GB are free now"
