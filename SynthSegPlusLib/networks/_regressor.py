"""The quality regressor as a Keras model."""

from __future__ import annotations

from typing import Any

from SynthSegPlusLib.networks._specs import RegressorSpec
from SynthSegPlusLib.networks._unet import norm_layer


def build_regressor(spec: RegressorSpec, shape: tuple[int, int, int] | None = None) -> Any:
    """Build a `keras.Model` with the published layer names and fresh (random) weights.

    The model maps a one-hot label map [batch, x, y, z, ``in_channels``] to [batch, ``n_outputs``] raw
    scores (predicted Dice, not yet clipped to [0, 1]). ``shape`` fixes the grid; each side must be a
    multiple of ``spec.multiple``. In the paper's variant the last convolution is linear, so that a
    score is never stuck at the flat side of a ReLU during training.
    """
    import keras

    published = spec.variant == "published"
    inputs = keras.Input((*(shape or (None, None, None)), spec.in_channels), name=f"{spec.prefix}_input")
    x = _encoder(spec, inputs, published)
    for index in range(2):
        activation = "relu" if published else ("elu" if index == 0 else None)
        layer = f"{spec.prefix}_final_conv_{index}"
        x = keras.layers.Conv3D(spec.n_outputs, spec.kernel, padding="same", activation=activation, name=layer)(x)
    pooling = keras.layers.GlobalAveragePooling3D if published else keras.layers.GlobalMaxPooling3D
    return keras.Model(inputs, pooling(name=f"{spec.prefix}_final_pred")(x), name=spec.prefix)


def _encoder(spec: RegressorSpec, x: Any, published: bool) -> Any:
    from keras import layers

    name = spec.prefix
    for level in range(spec.levels):
        features, entered = spec.level_features(level), x
        for index in range(spec.convolutions):
            last = index == spec.convolutions - 1
            activation = (None if last else "relu") if published else "elu"
            layer = spec.down(level, index)
            x = layers.Conv3D(features, spec.kernel, padding="same", activation=activation, name=layer)(x)
        if published:
            widen = layers.Conv3D(features, spec.kernel, padding="same", activation="relu", name=spec.shortcut(level))
            x = layers.Add(name=f"{name}_res_down_merge_{level}")([widen(entered), x])
            x = layers.Activation("relu", name=f"{name}_res_down_merge_act_{level}")(x)
        x = norm_layer(spec.norm, f"{name}_bn_down_{level}")(x)
        if published or level < spec.levels - 1:
            x = layers.MaxPooling3D(2, padding="same", name=f"{name}_maxpool_{level}")(x)
    return x
