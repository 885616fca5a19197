"""Asks one deep-learning backend, in a process of its own, for its version and devices.

Run as ``python _probe.py tensorflow|torch|jax``; prints one JSON line. It imports nothing of this
project, so that a broken installation of one backend can neither crash nor configure the caller.
"""

from __future__ import annotations

import json
import os
import sys

APPLE_GPU = "mps"
"""Torch's name of it."""


def _tensorflow() -> dict[str, object]:
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    names = [tensorflow.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    return {"version": tensorflow.__version__, "gpus": names, "kind": "cuda"}


def _torch() -> dict[str, object]:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return {"version": torch.__version__, "gpus": names, "kind": "cuda"}
    if torch.backends.mps.is_available() and _runs_on_apple_gpu():
        return {"version": torch.__version__, "gpus": ["Apple GPU"], "kind": "mps"}
    return {"version": torch.__version__, "gpus": [], "kind": "cuda"}


def _runs_on_apple_gpu() -> bool:
    """Whether torch has the networks' operators for it: many versions lack those on volumes."""
    import torch

    try:
        volume = torch.zeros((1, 1, 4, 4, 4), device=APPLE_GPU)
        kernel = torch.zeros((1, 1, 3, 3, 3), device=APPLE_GPU)
        convolved = torch.nn.functional.conv3d(volume, kernel, padding=1)
        torch.nn.functional.max_pool3d(convolved, 2).cpu()
    except RuntimeError:  # so is the error of an operator that it lacks
        return False
    return True


def _jax() -> dict[str, object]:
    import jax

    gpus = [device for device in jax.devices() if device.platform != "cpu"]
    return {"version": jax.__version__, "gpus": [device.device_kind for device in gpus], "kind": "cuda"}


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    answer = {"tensorflow": _tensorflow, "torch": _torch, "jax": _jax}[sys.argv[1]]()
    print("\n" + json.dumps(answer), flush=True)
