"""Optimisers by name: AdamW, and Muon for the kernels of convolutions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from SynthSegPlusLib.training.config import TrainingConfig

HEADS = ("likelihood", "final_conv_1")
"""Layers whose kernel AdamW keeps, of U-Nets and of R: one column per label, which Muon would make equally strong."""


class ConvolutionMuon(keras.optimizers.Muon):
    """Muon (Jordan 2024; scaled as in Liu et al. 2025) with kernels taken as matrices [x y z in, out].

    Keras' own takes matrices alone and leaves all else to AdamW, in a U-Net everything. Norms, biases and the
    last layer stay with AdamW.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 5 or any(head in variable.path for head in HEADS)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The nearest (semi-)orthogonal matrix of a kernel [x, y, z, in, out], with its shape."""
        return ops.reshape(super().zeropower_via_newtonschulz5(as_matrix(x), steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scale an update to the root mean square that AdamW's has."""
        return ops.reshape(super().lr_adjust(as_matrix(x)), x.shape)


def as_matrix(kernel: Any) -> Any:
    """A convolution's kernel [x, y, z, in, out] as a matrix [x y z in, out]."""
    return ops.reshape(kernel, (-1, kernel.shape[-1]))


def make_optimizer(config: TrainingConfig) -> Any:
    """The optimiser that a configuration names, not yet built."""
    common: dict[str, Any] = {
        "learning_rate": config.schedule.rate, "weight_decay": config.weight_decay, "global_clipnorm": config.clip_norm,
        "use_ema": config.ema > 0, "ema_momentum": config.ema or 0.99,
    }  # fmt: skip
    if config.optimizer == "muon":
        return ConvolutionMuon(adam_beta_2=config.beta_2, adam_weight_decay=config.weight_decay, **common)
    return keras.optimizers.AdamW(beta_2=config.beta_2, **common)
