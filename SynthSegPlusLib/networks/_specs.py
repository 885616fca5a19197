"""What a network is made of, as numbers: the one description that builders, weight files and the lean runner share."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from SynthSegPlusLib.contract.errors import ModelError

BATCH_NORM_EPSILON = 1e-3
"""Keras' default, with which all published weights were trained."""

NORM_WEIGHTS = {"batch": ("gamma", "beta", "moving_mean", "moving_variance"), "instance": ("gamma", "beta")}
"""Weights of a norm by its kind: statistics of the training, or of each volume itself."""

Norm = Literal["batch", "instance"]


@dataclass(frozen=True)
class WeightedLayer:
    """A layer that has weights: its name, and the shape of each weight in the order of the file."""

    name: str
    shapes: dict[str, tuple[int, ...]]


def _convolution(name: str, kernel: int, in_channels: int, features: int) -> WeightedLayer:
    return WeightedLayer(name, {"kernel": (kernel,) * 3 + (in_channels, features), "bias": (features,)})


def _norm(name: str, features: int, kind: Norm) -> WeightedLayer:
    return WeightedLayer(name, {weight: (features,) for weight in NORM_WEIGHTS[kind]})


@dataclass(frozen=True)
class _Spec(ABC):
    """What U-Net and regressor descriptions have in common."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Any:
        """Inverse of `to_dict`; an unknown, missing or unusable number is a `ModelError`."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        missing = sorted(
            name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in values
        )
        if unknown or missing:
            raise ModelError(
                f"A network's description has unknown entries {unknown} and lacks {missing}; correct the model set."
            )
        return cls(**values)

    @abstractmethod
    def layers(self) -> Iterator[WeightedLayer]:
        """Every layer with weights, from input to output."""

    def parameters(self) -> int:
        """Number of weights, moving statistics included."""
        total = 0
        for layer in self.layers():
            for shape in layer.shapes.values():
                size = 1
                for length in shape:
                    size *= length
                total += size
        return total


def _positive(spec: _Spec, *names: str) -> None:
    for name in names:
        value = getattr(spec, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelError(f"A network's {name} is {value!r}; it must be a positive whole number.")


def _known_norm(spec: Any) -> None:
    if spec.norm not in NORM_WEIGHTS:
        raise ModelError(f"A network's norm is {spec.norm!r}; write {' or '.join(NORM_WEIGHTS)}.")


@dataclass(frozen=True)
class UNetSpec(_Spec):
    """A 3-D U-Net: the segmenters and the denoisers.

    Attributes
    ----------
    prefix
        First part of every layer name, e.g. ``unet`` or ``l2l``.
    in_channels, n_labels
        Channels of the input and of the softmax.
    features
        Features of the finest level; doubled at each coarser one (after the ``plateau``) unless ``constant_features``.
    plateau
        So many levels below the finest have its number of features too, before the doubling begins: the finest levels
        are where a network's work and memory lie.
    levels
        Number of resolutions; the grid must be divisible by ``2 ** (levels - 1)``.
    kernel
        Side of the cubic convolution kernels, odd.
    convolutions
        Convolutions per level, on the way down and on the way up.
    skips
        "all", "none", or "deepest:n": only the n coarsest of the ``levels - 1`` skip connections.
    norm
        "batch": by the statistics of the training, as published. "instance": by those of the volume itself, which is
        what batch norm does while it is trained with one volume at a time.
    """

    prefix: str
    in_channels: int
    n_labels: int
    features: int = 24
    levels: int = 5
    kernel: int = 3
    convolutions: int = 2
    constant_features: bool = False
    skips: str = "all"
    norm: Norm = "batch"
    plateau: int = 0

    def __post_init__(self) -> None:
        _known_norm(self)
        _positive(self, "in_channels", "n_labels", "features", "levels", "kernel", "convolutions")
        if self.kernel % 2 == 0:
            raise ModelError(f"A network's kernel is {self.kernel}; it must be odd.")
        if not isinstance(self.plateau, int) or isinstance(self.plateau, bool) or not 0 <= self.plateau < self.levels:
            raise ModelError(
                f"A network's plateau is {self.plateau!r}; it must be a whole number from 0 to {self.levels - 1}."
            )
        if self.plateau and self.constant_features:
            raise ModelError("A network has both a plateau and constant_features; give one of them.")
        self.has_skip(0)

    @property
    def multiple(self) -> int:
        """The grid's sides must be multiples of this."""
        return 2 ** (self.levels - 1)

    def level_features(self, level: int) -> int:
        """Features of a level, 0 being the finest."""
        return self.features if self.constant_features else self.features * 2 ** max(0, level - self.plateau)

    def has_skip(self, level: int) -> bool:
        """Whether the decoder at this level also sees the encoder's features."""
        if self.skips in ("all", "none"):
            return self.skips == "all"
        kind, _, count = self.skips.partition(":")
        if kind != "deepest" or not count.isdigit():
            raise ModelError(f"A network's skips are {self.skips!r}; write all, none or deepest:n.")
        return level >= self.levels - 1 - int(count)

    def down(self, level: int, index: int) -> str:
        """Name of an encoder convolution."""
        return f"{self.prefix}_conv_downarm_{level}_{index}"

    def up(self, step: int, index: int) -> str:
        """Name of a decoder convolution; step 0 is the coarsest."""
        return f"{self.prefix}_conv_uparm_{self.levels + step}_{index}"

    def layers(self) -> Iterator[WeightedLayer]:
        channels = self.in_channels
        for level in range(self.levels):
            features = self.level_features(level)
            for index in range(self.convolutions):
                yield _convolution(self.down(level, index), self.kernel, channels, features)
                channels = features
            yield _norm(f"{self.prefix}_bn_down_{level}", features, self.norm)
        for step in range(self.levels - 1):
            level = self.levels - 2 - step
            features = self.level_features(level)
            channels += features if self.has_skip(level) else 0
            for index in range(self.convolutions):
                yield _convolution(self.up(step, index), self.kernel, channels, features)
                channels = features
            yield _norm(f"{self.prefix}_bn_up_{step}", features, self.norm)
        yield _convolution(f"{self.prefix}_likelihood", 1, channels, self.n_labels)


@dataclass(frozen=True)
class RegressorSpec(_Spec):
    """A network from a label map to one score per region: R.

    ``variant`` is "published" (residual blocks, ReLU, pooling after every level, spatial mean) or
    "paper" (the segmenters' encoder, ELU, global maximum; Billot et al., PNAS 2023, Materials and
    Methods). In both, two convolutions with ``n_outputs`` features stand before the global pooling.
    ``norm`` as in `UNetSpec`.
    """

    prefix: str
    in_channels: int
    n_outputs: int
    features: int = 24
    levels: int = 4
    kernel: int = 5
    convolutions: int = 2
    variant: Literal["published", "paper"] = "published"
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        _known_norm(self)
        _positive(self, "in_channels", "n_outputs", "features", "levels", "kernel", "convolutions")
        if self.kernel % 2 == 0:
            raise ModelError(f"A network's kernel is {self.kernel}; it must be odd.")
        if self.variant not in ("published", "paper"):
            raise ModelError(f"A regressor's variant is {self.variant!r}; write published or paper.")

    @property
    def multiple(self) -> int:
        """The grid's sides must be multiples of this."""
        return 2 ** (self.levels if self.variant == "published" else self.levels - 1)

    def level_features(self, level: int) -> int:
        """Features of a level, 0 being the finest."""
        return self.features * 2**level

    def down(self, level: int, index: int) -> str:
        """Name of an encoder convolution."""
        return f"{self.prefix}_conv_downarm_{level}_{index}"

    def shortcut(self, level: int) -> str:
        """Name of the convolution that widens a level's input for the residual sum."""
        return f"{self.prefix}_expand_down_merge_{level}"

    def layers(self) -> Iterator[WeightedLayer]:
        channels = self.in_channels
        for level in range(self.levels):
            features, entered = self.level_features(level), channels
            for index in range(self.convolutions):
                yield _convolution(self.down(level, index), self.kernel, channels, features)
                channels = features
            if self.variant == "published":
                yield _convolution(self.shortcut(level), self.kernel, entered, features)
            yield _norm(f"{self.prefix}_bn_down_{level}", features, self.norm)
        for index in range(2):
            yield _convolution(f"{self.prefix}_final_conv_{index}", self.kernel, channels, self.n_outputs)
            channels = self.n_outputs


PUBLISHED: dict[str, UNetSpec | RegressorSpec] = {
    "S 2.0": UNetSpec("unet", 1, 33),
    "S 1.0": UNetSpec("unet", 1, 32),
    "S1": UNetSpec("unet", 1, 5),
    "D": UNetSpec("l2l", 5, 5, features=16, kernel=5, skips="deepest:2"),
    "S2": UNetSpec("unet2", 6, 33),
    "S3": UNetSpec("unet_parc", 3, 69),
    "R": RegressorSpec("qc", 9, 9),
}
"""The networks of the published weight files."""

PAPER: dict[str, UNetSpec | RegressorSpec] = {
    "D": UNetSpec("l2l", 5, 5, features=16, convolutions=1, constant_features=True, skips="deepest:2"),
    "R": RegressorSpec("qc", 11, 10, levels=5, variant="paper"),
}
"""The denoiser and the regressor as the paper describes them (10 regions and background)."""
