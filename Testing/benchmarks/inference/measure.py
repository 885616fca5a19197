"""One process's measurements: the chain of networks on a full head, stage by stage."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from SynthSegPlusLib.networks import PUBLISHED, Inputs, RegressorSpec, UNetSpec, load_network, load_regressor
from Testing.standin import file_of

MATRIX_SIDE = 2048
PLAIN_PLANES = 32
"""The plain Keras model is timed on so many planes of the volume and scaled up: whole, it needs 8 to 18 GB."""


class Stage:
    """Wall and CPU seconds and the highest resident memory of a piece of work."""

    def __enter__(self) -> Stage:
        self._process, self._running = psutil.Process(), True
        self.peak_gb = 0.0
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s, self.cpu_s = time.perf_counter() - self._wall, _cpu_seconds() - self._cpu
        self._running = False
        self._watch.join()

    def _sample(self) -> None:
        while self._running:
            self.peak_gb = max(self.peak_gb, self._process.memory_info().rss / 1e9)
            time.sleep(0.02)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def matrix_rate(precision: str) -> float:
    """GFLOP per CPU second of a large matrix product, the best of three."""
    from keras import ops

    a = ops.cast(ops.convert_to_tensor(np.random.default_rng(0).random((MATRIX_SIDE,) * 2, np.float32)), precision)
    ops.convert_to_numpy(ops.cast(ops.matmul(a, a), "float32"))
    best = 0.0
    for _ in range(3):
        start = _cpu_seconds()
        for _ in range(4):
            product = ops.matmul(a, a)
        ops.convert_to_numpy(ops.cast(product, "float32"))
        best = max(best, 4 * 2 * MATRIX_SIDE**3 / max(_cpu_seconds() - start, 0.01) / 1e9)
    return best


def plain_gflop(spec: UNetSpec | RegressorSpec, shape: tuple[int, int, int]) -> float:
    """Arithmetic of the plain model on a grid: what lean execution is compared with."""
    total = 0.0
    for layer in spec.layers():
        if "kernel" in layer.shapes:
            total += 2 * np.prod(layer.shapes["kernel"]) / 8.0 ** _level(spec, layer.name)
    return total * float(np.prod(shape)) / 1e9


def _level(spec: UNetSpec | RegressorSpec, layer: str) -> int:
    if "likelihood" in layer:
        return 0
    if "final_conv" in layer:
        return spec.levels
    if "expand" in layer:
        return int(layer.rpartition("_")[2])
    number = int(layer.split("_")[-2])
    return 2 * spec.levels - 2 - number if "uparm" in layer else number


def head(shape: tuple[int, int, int]) -> np.ndarray:
    """A smooth head-like image with texture, float32 in [0, 1]; the arithmetic does not depend on it."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, length, dtype=np.float32) for length in shape], indexing="ij")
    inside = (x / 0.8) ** 2 + (y / 0.85) ** 2 + (z / 0.85) ** 2 < 1
    texture = 0.5 + 0.2 * np.sin(9 * x) * np.sin(11 * y) * np.sin(10 * z)
    noise = 0.05 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return np.clip(np.where(inside, texture, 0) + noise, 0, 1).astype(np.float32)


def measure_chain(
    weights: Path, precision: Any, shape: tuple[int, int, int], plain: bool, given: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Run S1, D, S2, S3 and R as a robust run with parcels and quality does; a second S2 shows a warm process.

    ``given`` label maps replace those that this run makes, as the input of the next network.
    """
    rate, image = matrix_rate(precision), head(shape)
    stages: dict[str, dict[str, float]] = {}
    maps: dict[str, np.ndarray] = {}

    def between(role: str) -> np.ndarray:
        return given.get(role, maps[role])

    def stage(name: str, role: str, grid: tuple[int, int, int], work: Callable[[], Any], inputs: Any) -> Any:
        with Stage() as watch:
            result = work()
        gflop = plain_gflop(PUBLISHED[role], grid)
        row = {
            "wall_s": watch.wall_s, "cpu_s": watch.cpu_s, "peak_gb": watch.peak_gb, "plain_gflop": gflop,
            "share_of_matrix_rate": gflop / watch.cpu_s / rate,
        }  # fmt: skip
        if plain:
            row["plain_cpu_s"] = _plain_cpu_s(role, weights, inputs, grid)
            row["cpu_over_plain"] = row["cpu_s"] / row["plain_cpu_s"]
        stages[name] = {key: round(value, 3) for key, value in row.items()}
        return result

    def network(role: str) -> Any:
        return load_network(PUBLISHED[role], weights / file_of(role), precision)  # type: ignore[arg-type]

    def slabs(role: str, inputs: Inputs) -> np.ndarray:
        found = np.empty(shape, np.uint8)
        for planes, posteriors in network(role).slabs(inputs):
            found[planes] = posteriors.argmax(-1)
        return found

    steps: list[tuple[str, str, Callable[[], Inputs]]] = [
        ("S1", "S1", lambda: Inputs(image=image)),
        ("D", "D", lambda: Inputs(groups=between("S1"), n_groups=5)),
        ("S2", "S2", lambda: Inputs(image=image, groups=between("D"), n_groups=5)),
        ("S2 again", "S2", lambda: Inputs(image=image, groups=between("D"), n_groups=5)),
        ("S3", "S3", lambda: Inputs(image=image, groups=np.isin(between("S2"), (2, 20)).astype(np.uint8), n_groups=2)),
    ]
    for name, role, make in steps:
        inputs = make()
        hard = role in ("S1", "D")  # the others' posteriors are handed out, as the engine needs them
        maps[role] = stage(
            name, role, shape,
            lambda r=role, i=inputs, h=hard: network(r).argmax(i) if h else slabs(r, i), inputs,
        )  # fmt: skip
    groups = np.zeros((224,) * 3, np.uint8)
    groups[tuple(slice(0, min(length, 224)) for length in shape)] = (between("S2") % 9)[:224, :224, :224]
    regressor = load_regressor(PUBLISHED["R"], weights / file_of("R"), precision)  # type: ignore[arg-type]
    quality = Inputs(groups=groups, n_groups=9)
    scores = stage("R", "R", groups.shape, lambda: regressor.predict(groups), quality)
    return {
        "matrix_gflop_per_cpu_s": round(rate, 1), "stages": stages, "maps": maps,
        "scores": [round(float(score), 4) for score in scores],
    }  # fmt: skip


def _plain_cpu_s(role: str, weights: Path, inputs: Inputs, shape: tuple[int, int, int]) -> float:
    """CPU seconds of the plain float32 Keras model, scaled from a slab of the volume."""
    from keras import ops

    from SynthSegPlusLib.networks import build_regressor, build_unet, load_weights

    spec = PUBLISHED[role]
    model = build_unet(spec) if isinstance(spec, UNetSpec) else build_regressor(spec)
    load_weights(model, weights / file_of(role))
    slab = inputs.slab(0, PLAIN_PLANES)[None]
    with Stage() as watch:
        ops.convert_to_numpy(model(slab, training=False))
    return watch.cpu_s * shape[0] / PLAIN_PLANES
