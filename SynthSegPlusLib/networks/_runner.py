"""Networks ready to run: weights loaded, on a device, called with arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from SynthSegPlusLib.contract.errors import Cancelled, InputError
from SynthSegPlusLib.networks._inputs import Inputs
from SynthSegPlusLib.networks._regressor import build_regressor
from SynthSegPlusLib.networks._specs import RegressorSpec, UNetSpec
from SynthSegPlusLib.networks._unet import build_unet
from SynthSegPlusLib.networks._weights import load_weights

Precision = Literal["float32", "bfloat16", "float16"]
Progress = Callable[[float], object]
CancelFlag = Callable[[], bool]


class Network:
    """A segmenter or denoiser with its weights, run without Keras' usual memory."""

    def __init__(self, spec: UNetSpec, path: str | Path, precision: Precision = "float32", device: str | None = None):
        self.spec = spec
        self.precision = precision
        self.device = device
        self._model = build_unet(spec)
        load_weights(self._model, path, spec.prefix)

    def slabs(
        self,
        inputs: Inputs | np.ndarray,
        progress: Progress | None = None,
        cancelled: CancelFlag | None = None,
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Run and hand out the softmax in slabs along x, in order and without overlap.

        Yields ``(planes, posteriors)``: a slice of the x axis and float32 [planes, Y, Z, n_labels].
        """
        inputs = _checked(self.spec, inputs)
        _stop_if(cancelled)
        posteriors = np.asarray(self._model(inputs.slab(0, inputs.shape[0])[None], training=False)[0])
        yield slice(0, inputs.shape[0]), posteriors
        if progress is not None:
            progress(1.0)

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
        inputs = Inputs.of(inputs)
        out = np.empty(inputs.shape, np.uint8)
        for planes, posteriors in self.slabs(inputs, progress, cancelled):
            out[planes] = posteriors.argmax(-1)
        return out


class Regressor:
    """A quality regressor with its weights."""

    def __init__(
        self, spec: RegressorSpec, path: str | Path, precision: Precision = "float32", device: str | None = None
    ):
        self.spec = spec
        self.precision = precision
        self.device = device
        self._model = build_regressor(spec)
        load_weights(self._model, path, spec.prefix)

    def predict(
        self, groups: np.ndarray, progress: Progress | None = None, cancelled: CancelFlag | None = None
    ) -> np.ndarray:
        """Raw scores, float32 [n_outputs], of a map of group indices, whole numbers [X, Y, Z]."""
        inputs = _checked(self.spec, Inputs(groups=groups, n_groups=self.spec.in_channels))
        _stop_if(cancelled)
        scores = np.asarray(self._model(inputs.slab(0, inputs.shape[0])[None], training=False)[0])
        if progress is not None:
            progress(1.0)
        return scores


def load_network(
    spec: UNetSpec, path: str | Path, precision: Precision = "float32", device: str | None = None
) -> Network:
    """Read the weights of ``spec`` from ``path`` and make them ready on ``device`` (None: the chosen one).

    Choose the backend first (`choose_backend`). Raises `ModelError` when the file is missing, damaged,
    incomplete or of another shape.
    """
    return Network(spec, path, precision, device)


def load_regressor(
    spec: RegressorSpec, path: str | Path, precision: Precision = "float32", device: str | None = None
) -> Regressor:
    """As `load_network`, for a quality regressor."""
    return Regressor(spec, path, precision, device)


def estimate_memory(spec: UNetSpec | RegressorSpec, shape: tuple[int, int, int], precision: Precision) -> int:
    """Bytes that running ``spec`` on a grid ``shape`` needs at most, its input and output not counted."""
    voxels = int(np.prod(shape))
    return voxels * spec.features * 4 * 8


def _checked(spec: Any, inputs: Inputs | np.ndarray) -> Inputs:
    inputs = Inputs.of(inputs)
    if inputs.channels != spec.in_channels:
        raise InputError(f"Network {spec.prefix} takes {spec.in_channels} channels and was given {inputs.channels}.")
    if any(length % spec.multiple or not length for length in inputs.shape):
        raise InputError(
            f"Network {spec.prefix} was given a grid {inputs.shape}; pad each side to a multiple of {spec.multiple}."
        )
    return inputs


def _stop_if(cancelled: CancelFlag | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled()
