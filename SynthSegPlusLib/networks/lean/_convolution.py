"""The plain convolution of a chunk, where backends differ in the layout and padding that make it fast."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

_TORCH = keras.backend.backend() == "torch"


def kernel_tensor(kernel: np.ndarray, precision: str) -> Any:
    """A kernel [k, k, k, c, f] as `convolve` wants it."""
    tensor = ops.cast(ops.convert_to_tensor(kernel), precision)
    if _TORCH:  # oneDNN copies kernels of any other layout, and with them the chunk
        import torch

        return tensor.permute(4, 3, 0, 1, 2).contiguous(memory_format=torch.channels_last_3d)
    return tensor


def convolve(x: Any, kernel: Any) -> Any:
    """Convolution of [planes, Y, Z, c], 'valid' along x and 'same' (zeros) along y and z."""
    if _TORCH:
        import torch

        half = kernel.shape[-1] // 2
        result = torch.nn.functional.conv3d(x[None].permute(0, 4, 1, 2, 3), kernel, padding=(0, half, half))
        return result[0].permute(1, 2, 3, 0)
    half = kernel.shape[0] // 2
    if half:
        x = ops.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    return ops.conv(x[None], kernel, padding="valid")[0]


def convolve_and_activate(x: Any, kernel: Any, bias: Any, activation: str) -> Any:
    """`convolve`, bias and activation ("elu", "relu" or "none") in the order in which oneDNN does all in one pass.

    For TensorFlow alone, inside a compiled function: it joins the three where nothing stands between them, and rounds
    once to the type of ``x``.
    """
    import tensorflow

    half = kernel.shape[0] // 2
    padded = ops.pad(x, ((0, 0), (half, half), (half, half), (0, 0))) if half else x
    total = tensorflow.nn.bias_add(ops.conv(padded[None], kernel, padding="valid"), bias)
    return {"elu": tensorflow.nn.elu, "relu": tensorflow.nn.relu, "none": lambda y: y}[activation](total)[0]
