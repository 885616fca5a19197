"""What each backend compiles: the one place of the lean execution that knows backends by name."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any


class Fusion(enum.Enum):
    """How layers become programs."""

    NONE = "operation by operation"
    WHOLE = "one program per layer"
    AROUND = "additions and moves compiled into single passes around the library's convolutions"


def fusion_of(backend: str, device: str) -> Fusion:
    """What suits a backend.

    JAX compiles everything. TensorFlow on a CPU keeps oneDNN for convolutions and has XLA for what is
    between them. Torch would need a C++ compiler on the user's machine.
    """
    if backend == "tensorflow" and device == "cpu":
        return Fusion.AROUND
    return Fusion.NONE if backend == "torch" else Fusion.WHOLE


def largest_tile(backend: str, device: str, precision: str) -> int:
    """Largest tile of minimal filtering that pays: none where the backend does not fuse its additions.

    On a GPU its libraries filter by themselves. Longer tiles save more products but round more: in 16
    bits only the shortest are worth it.
    """
    if device != "cpu" or fusion_of(backend, device) is Fusion.NONE:
        return 1
    return 4 if precision == "float32" else 2


def compiled(function: Callable[..., Any], fusion: Fusion) -> Callable[..., Any]:
    """Compile for speed without changing which library computes what."""
    import keras

    backend = keras.backend.backend()
    if fusion is Fusion.NONE:
        return _without_gradients(function) if backend == "torch" else function
    if backend == "jax":
        import jax

        return jax.jit(function)
    import tensorflow

    return tensorflow.function(function)


def _without_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    return torch.no_grad()(function)


def fused(function: Callable[..., Any], fusion: Fusion) -> Callable[..., Any]:
    """Compile additions and moves into one pass over memory, where the backend can."""
    if fusion is not Fusion.AROUND:
        return compiled(function, fusion)
    import tensorflow

    return tensorflow.function(function, jit_compile=True)


def forbid_rounded_products(backend: str) -> None:
    """Keep float32 exact on GPUs, whose libraries round its factors to 10 bits unless told not to."""
    if backend == "torch":
        import torch

        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "float32")
    else:
        import tensorflow

        tensorflow.config.experimental.enable_tensor_float_32_execution(False)
