"""The U-Net as a Keras model: for training, and the plain reference that the lean runner is tested against."""

from __future__ import annotations

from typing import Any

from SynthSegPlusLib.networks._specs import BATCH_NORM_EPSILON, Norm, UNetSpec


def build_unet(spec: UNetSpec, softmax: bool = True, shape: tuple[int, int, int] | None = None) -> Any:
    """Build a `keras.Model` with the published layer names and fresh (random) weights.

    Parameters
    ----------
    spec
        The architecture.
    softmax
        End with the softmax; otherwise with the logits of the layer ``<prefix>_likelihood``.
    shape
        Fixed grid, each side a multiple of ``spec.multiple``; None accepts any such grid.

    The model maps [batch, x, y, z, ``in_channels``] to [batch, x, y, z, ``n_labels``], float32.
    Each level is convolutions with ELU, then the norm; the skip connection leaves before the norm.
    """
    import keras

    layers = keras.layers
    name = spec.prefix

    def convolve(x: Any, layer: str, features: int) -> Any:
        return layers.Conv3D(features, spec.kernel, padding="same", activation="elu", name=layer)(x)

    def normalise(x: Any, layer: str) -> Any:
        return norm_layer(spec.norm, layer)(x)

    inputs = x = keras.Input((*(shape or (None, None, None)), spec.in_channels), name=f"{name}_input")
    kept = {}
    for level in range(spec.levels):
        for index in range(spec.convolutions):
            x = convolve(x, spec.down(level, index), spec.level_features(level))
        kept[level] = x
        x = normalise(x, f"{name}_bn_down_{level}")
        if level < spec.levels - 1:
            x = layers.MaxPooling3D(2, padding="same", name=f"{name}_maxpool_{level}")(x)
    for step in range(spec.levels - 1):
        level = spec.levels - 2 - step
        x = layers.UpSampling3D(2, name=f"{name}_up_{spec.levels + step}")(x)
        if spec.has_skip(level):
            x = layers.Concatenate(name=f"{name}_merge_{spec.levels + step}")([kept[level], x])
        for index in range(spec.convolutions):
            x = convolve(x, spec.up(step, index), spec.level_features(level))
        x = normalise(x, f"{name}_bn_up_{step}")
    x = layers.Conv3D(spec.n_labels, 1, name=f"{name}_likelihood")(x)
    if softmax:
        x = layers.Softmax(name=f"{name}_prediction")(x)
    return keras.Model(inputs, x, name=name)


def norm_layer(kind: Norm, name: str) -> Any:
    """The Keras layer of a norm: moving statistics, or each volume's own per channel."""
    import keras

    if kind == "instance":
        return keras.layers.GroupNormalization(groups=-1, epsilon=BATCH_NORM_EPSILON, name=name)
    return keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=name)
