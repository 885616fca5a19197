"""Trained networks that only look, while another is trained or mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from SynthSegPlusLib.networks import UNetSpec, load_network, read_weights


def load_frozen(spec: UNetSpec, path: str | Path, precision: str = "float32") -> Any:
    """A network with ``argmax`` and ``softmax`` of `Inputs`, in the way that is fastest at training's sizes.

    Its ``spec`` says how many channels it takes. The project's errors where the file does not fit.
    """
    import keras

    read_weights(path, spec.layers())  # says what is wrong with a file before anything is made
    if keras.backend.backend() == "torch":
        from SynthSegPlusLib.training._torch_frozen import FrozenNetwork

        return FrozenNetwork(spec, path, precision)
    return load_network(spec, path, precision)  # type: ignore[arg-type]
