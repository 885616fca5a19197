"""Networks ready to run: weights loaded, on a device, called with arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from SynthSegPlusLib.contract.errors import Cancelled, InputError
from SynthSegPlusLib.networks._backend import chosen_backend, on_device
from SynthSegPlusLib.networks._inputs import Inputs
from SynthSegPlusLib.networks._specs import RegressorSpec, UNetSpec
from SynthSegPlusLib.networks._weights import read_weights

Precision = Literal["float32", "bfloat16", "float16"]
Progress = Callable[[float], object]
CancelFlag = Callable[[], bool]
T = TypeVar("T")

CPU_CHUNK_VOXELS = 400_000
"""Voxels of the finest level that are worked on at a time: features of a chunk should stay near the cache."""

GPU_CHUNK_VOXELS = 2_400_000
"""A GPU wants larger pieces, and its memory holds them."""


class Network:
    """A segmenter or denoiser with its weights. Made by `load_network`."""

    def __init__(
        self, spec: UNetSpec, path: str | Path, precision: Precision = "float32", device: str | None = None,
        chunk_voxels: int | None = None,
    ):  # fmt: skip
        self.spec = spec
        self.precision = precision
        self.device = _device(device)
        weights = read_weights(path, spec.layers())
        with on_device(self.device):
            from SynthSegPlusLib.networks.lean._unet import LeanUNet

            self._lean = LeanUNet(spec, weights, *_way_of_computing(precision, self.device, chunk_voxels))

    def slabs(
        self,
        inputs: Inputs | np.ndarray,
        progress: Progress | None = None,
        cancelled: CancelFlag | None = None,
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Run and hand out the softmax in slabs along x, in order and without overlap.

        Yields ``(planes, posteriors)``: a slice of the x axis and float32 [planes, Y, Z, n_labels]. Most
        of the work is done before the first slab comes. Raises `Cancelled` when ``cancelled()`` is true
        between two pieces of work, and `InputError` for an input of the wrong channels or grid.
        """
        for planes, posteriors in self._chunks(inputs, progress, cancelled):
            yield planes, _numpy(posteriors)

    def softmax(
        self, inputs: Inputs | np.ndarray, progress: Progress | None = None, cancelled: CancelFlag | None = None
    ) -> np.ndarray:
        """Posteriors, float32 [X, Y, Z, n_labels], of an input [X, Y, Z, in_channels]."""
        inputs = Inputs.of(inputs)
        out = np.empty((*inputs.shape, self.spec.n_labels), np.float32)
        for planes, posteriors in self.slabs(inputs, progress, cancelled):
            out[planes] = posteriors
        return out

    def argmax(
        self, inputs: Inputs | np.ndarray, progress: Progress | None = None, cancelled: CancelFlag | None = None
    ) -> np.ndarray:
        """Channel of the largest posterior (the lowest on ties), uint8 [X, Y, Z]; the posteriors are never whole."""
        from keras import ops

        inputs = Inputs.of(inputs)
        out = np.empty(inputs.shape, np.uint8)
        for planes, posteriors in self._chunks(inputs, progress, cancelled):
            with on_device(self.device):
                out[planes] = _numpy(ops.cast(ops.argmax(posteriors, axis=-1), "uint8"))
        return out

    def _chunks(
        self, inputs: Inputs | np.ndarray, progress: Progress | None, cancelled: CancelFlag | None
    ) -> Iterator[tuple[slice, Any]]:
        inputs = _checked(self.spec, inputs)
        tick = _tick(self._lean.work(inputs.shape), progress, cancelled)
        start = 0
        for posteriors in _on_device(self.device, self._lean.run(inputs, tick)):
            yield slice(start, start + posteriors.shape[0]), posteriors
            start += posteriors.shape[0]


class Regressor:
    """A quality regressor with its weights. Made by `load_regressor`."""

    def __init__(
        self, spec: RegressorSpec, path: str | Path, precision: Precision = "float32", device: str | None = None,
        chunk_voxels: int | None = None,
    ):  # fmt: skip
        self.spec = spec
        self.precision = precision
        self.device = _device(device)
        weights = read_weights(path, spec.layers())
        with on_device(self.device):
            from SynthSegPlusLib.networks.lean._regressor import LeanRegressor

            self._lean = LeanRegressor(spec, weights, *_way_of_computing(precision, self.device, chunk_voxels))

    def predict(
        self, groups: Inputs | np.ndarray, progress: Progress | None = None, cancelled: CancelFlag | None = None
    ) -> np.ndarray:
        """Raw scores, float32 [n_outputs], of a map of group indices, whole numbers [X, Y, Z], or of `Inputs`.

        Raises `Cancelled` and `InputError` as `Network.slabs` does.
        """
        if not isinstance(groups, Inputs):
            groups = Inputs(groups=groups, n_groups=self.spec.in_channels)
        inputs = _checked(self.spec, groups)
        tick = _tick(self._lean.work(inputs), progress, cancelled)
        with on_device(self.device):
            return _numpy(self._lean.run(inputs, tick))


def load_network(
    spec: UNetSpec,
    path: str | Path,
    precision: Precision = "float32",
    device: str | None = None,
    chunk_voxels: int | None = None,
) -> Network:
    """Read the weights of ``spec`` from ``path`` and make them ready on ``device`` (None: the chosen one).

    ``chunk_voxels`` is how much is worked on at a time; None takes what suits the device, less needs less memory.
    Choose the backend first (`choose_backend`). Raises `ModelError` when the file is missing, damaged,
    incomplete or of another shape.
    """
    return Network(spec, path, precision, device, chunk_voxels)


def load_regressor(
    spec: RegressorSpec,
    path: str | Path,
    precision: Precision = "float32",
    device: str | None = None,
    chunk_voxels: int | None = None,
) -> Regressor:
    """As `load_network`, for a quality regressor."""
    return Regressor(spec, path, precision, device, chunk_voxels)


def _device(device: str | None) -> str:
    if device is not None:
        return device
    chosen = chosen_backend()
    return chosen.device if chosen else "cpu"


def _way_of_computing(precision: Precision, device: str, chunk_voxels: int | None) -> tuple[Any, int]:
    """How the layers compute on this backend and device, and the size of a chunk."""
    import keras

    from SynthSegPlusLib.networks.lean._compile import forbid_rounded_products, fusion_of, largest_tile
    from SynthSegPlusLib.networks.lean._layers import Arithmetic

    backend = keras.backend.backend()
    if precision == "float32" and device != "cpu":
        forbid_rounded_products(backend)
    arithmetic = Arithmetic(precision, largest_tile(backend, device, precision), fusion_of(backend, device))
    return arithmetic, chunk_voxels or (CPU_CHUNK_VOXELS if device == "cpu" else GPU_CHUNK_VOXELS)


def _checked(spec: UNetSpec | RegressorSpec, inputs: Inputs | np.ndarray) -> Inputs:
    inputs = Inputs.of(inputs)
    if inputs.channels != spec.in_channels:
        raise InputError(f"Network {spec.prefix} takes {spec.in_channels} channels and was given {inputs.channels}.")
    if any(length % spec.multiple or not length for length in inputs.shape):
        raise InputError(
            f"Network {spec.prefix} was given a grid {inputs.shape}; pad each side to a multiple of {spec.multiple}."
        )
    return inputs


def _tick(total: float, progress: Progress | None, cancelled: CancelFlag | None) -> Callable[[float], None]:
    done = 0.0

    def tick(work: float) -> None:
        nonlocal done
        done += work
        if cancelled is not None and cancelled():
            raise Cancelled()
        if progress is not None:
            progress(min(1.0, done / total))

    tick(0.0)
    return tick


def _on_device(device: str, items: Iterator[T]) -> Iterator[T]:
    """The items, each made within the device's context but handed out outside of it."""
    while True:
        with on_device(device):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


def _numpy(tensor: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor))
