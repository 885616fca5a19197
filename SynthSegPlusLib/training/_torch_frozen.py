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
        from keras import ops

        if self.model is None:
            self.model = build_unet(self.spec, False, inputs.shape)
            load_weights(self.model, self.path)
        half = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.precision)
        seen = ops.convert_to_tensor(inputs.slab(0, inputs.shape[0])[None])
        with torch.no_grad(), torch.autocast(seen.device.type, half or torch.bfloat16, enabled=half is not None):
            logits = forward(self.model, seen)
        found: np.ndarray = logits[0].argmax(-1).to(torch.uint8).cpu().numpy()
        return found
