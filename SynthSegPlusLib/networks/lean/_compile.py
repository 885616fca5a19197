"""What each backend compiles: the one place of the lean execution that knows backends by name."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any


class Fusion(enum.Enum):
    """How the backend turns functions of tensors into programs."""

    NONE = "run operation by operation, or compile a whole layer"
    AROUND = "compile additions and moves into single passes around the library's convolutions"


def fusion_of(backend: str, device: str) -> Fusion:
    """TensorFlow on a CPU keeps oneDNN for convolutions and has XLA for what is between them."""
    return Fusion.AROUND if backend == "tensorflow" and device == "cpu" else Fusion.NONE


def compiled(function: Callable[..., Any], fusion: Fusion) -> Callable[..., Any]:
    """Compile for speed without changing which library computes what.

    JAX compiles every operation anyway, so it gets the whole function; TensorFlow traces slowly, so it
    gets only what is large; torch would need a C++ compiler on the user's machine.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow" and fusion is not Fusion.NONE:
        import tensorflow

        return tensorflow.function(function)
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "torch":
        import torch

        return torch.no_grad()(function)
    return function


def fused(function: Callable[..., Any], fusion: Fusion) -> Callable[..., Any]:
    """Compile additions and moves into one pass over memory, where the backend can."""
    if fusion is Fusion.NONE:
        return compiled(function, fusion)
    import tensorflow

    return tensorflow.function(function, jit_compile=True)
