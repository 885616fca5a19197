"""Trained networks that only look, on the torch backend: small volumes, many times, so whole and in half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from SynthSegPlusLib.networks import Inputs, UNetSpec, build_unet, load_weights
from SynthSegPlusLib.training._torch import forward


class FrozenNetwork:
    """A U-Net with its weights; a third of the work that the engine's own way (slab by slab) takes on a CPU."""

    def __init__(self, spec: UNetSpec, path: str | Path, precision: str) -> None:
        self.spec, self.precision, self.model = spec, precision, None
        self.path = path

    def argmax(self, inputs: Inputs) -> np.ndarray:
        """Label of the largest logit, uint8 [x, y, z]."""
        found: np.ndarray = self._logits(inputs).argmax(-1).to(torch.uint8).cpu().numpy()
        return found

    def softmax(self, inputs: Inputs) -> np.ndarray:
        """Posteriors, float32 [x, y, z, labels]."""
        found: np.ndarray = self._logits(inputs).float().softmax(-1).cpu().numpy()
        return found

    def _logits(self, inputs: Inputs) -> torch.Tensor:
        if self.model is None:
            self.model = build_unet(self.spec, False, inputs.shape)
            load_weights(self.model, self.path)
        half = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.precision)
        seen = channels(inputs)[None]
        with torch.no_grad(), torch.autocast(seen.device.type, half or torch.bfloat16, enabled=half is not None):
            return forward(self.model, seen)[0]


def channels(inputs: Inputs) -> torch.Tensor:
    """All channels of a network's input, float32 [x, y, z, channels], one-hot encoded where the network computes."""
    from keras import ops

    parts = []
    if inputs.image is not None:
        parts.append(ops.convert_to_tensor(np.ascontiguousarray(inputs.image, np.float32)))
    if inputs.groups is not None:
        groups = ops.convert_to_tensor(np.ascontiguousarray(inputs.groups).astype(np.int32))
        parts.append(ops.one_hot(groups, inputs.n_groups, dtype="float32"))
    return torch.cat(parts, -1)
