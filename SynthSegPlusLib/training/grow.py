"""From a coarse network to a fine one: its levels become the deeper levels of a network with half the voxel size.

A network of k levels at 2 mm is, but for its first and last layers, one of k + 1 levels at 1 mm without its finest
level. The finer network therefore begins roughly as the coarse one does on a scan of which every two by two by two
voxels became one (their brightest), and only what happens at the new level has to be learnt. Sizes of networks are
those of `UNetSpec`; with ``plateau`` the widths of the old levels stay what they were.
"""

from __future__ import annotations

import re

import numpy as np

Layers = dict[str, dict[str, np.ndarray]]
"""Weights by layer, named without the prefix, and by weight."""

_SMALL = 0.3
"""Features pass the new level's activations this much smaller: near zero an ELU changes nothing. The norm undoes it."""
_INPUT_MEAN, _INPUT_STD = 0.25, 0.3
"""What a scan in [0, 1], or a mask, is like on average; the norm of the new level gives its channels these again."""


def levels(layers: Layers) -> int:
    """Levels of a U-Net or regressor by the names of its layers."""
    return sum(name.startswith("_bn_down_") for name in layers)


def is_unet(layers: Layers) -> bool:
    """Whether the layers have a way up."""
    return any(name.startswith("_conv_uparm_") for name in layers)


def grow(coarse: Layers, fresh: Layers) -> Layers:
    """Weights for the layers of ``fresh`` (a U-Net with more levels, weights just made) that go on from ``coarse``.

    The levels of ``coarse`` become the deepest ones. At each new level the first features pass on what they are given,
    down (the input's channels) and up (the features of the level below); all others stay fresh. Made for instance
    norms: a batch norm's statistics of the training are those of ``fresh``. What does not fit ``fresh`` is for the
    caller to leave out, such as the head of a network whose finest level has another width.
    """
    old, new = levels(coarse), levels(fresh)
    added = new - old
    moved = {_deeper(name, added, new): values for name, values in coarse.items()}
    inputs = coarse["_conv_downarm_0_0"]["kernel"].shape[3]
    for level in range(added):
        for name in _convolutions(fresh, f"_conv_downarm_{level}_"):
            moved[name] = _passing(fresh[name], 0, inputs, 1.0)
        moved[f"_bn_down_{level}"] = _norm(fresh[f"_bn_down_{level}"], np.full(inputs, _INPUT_STD), _INPUT_MEAN)
    last = coarse[f"_bn_up_{old - 2}"] if old > 1 else coarse["_bn_down_0"]
    for step in range(old - 1, new - 1):
        for index, name in enumerate(_convolutions(fresh, f"_conv_uparm_{new + step}_")):
            skipped = fresh[name]["kernel"].shape[3] - _below(fresh, new, step) if index == 0 else 0
            moved[name] = _passing(fresh[name], skipped, len(last["gamma"]), _SMALL if index == 0 else 1.0)
        norm = fresh[f"_bn_up_{step}"]
        count = min(len(last["gamma"]), len(norm["gamma"]))
        moved[f"_bn_up_{step}"] = _norm(norm, np.abs(last["gamma"][:count]), last["beta"][:count])
    return _widened(moved, fresh, f"_conv_downarm_{added}_0")


def _deeper(name: str, added: int, new: int) -> str:
    """The name that a coarse network's layer has in one with ``added`` more levels, ``new`` in all."""
    if found := re.fullmatch(r"_conv_downarm_(\d+)_(\d+)", name):
        return f"_conv_downarm_{int(found[1]) + added}_{found[2]}"
    if found := re.fullmatch(r"_bn_down_(\d+)", name):
        return f"_bn_down_{int(found[1]) + added}"
    if found := re.fullmatch(r"_conv_uparm_(\d+)_(\d+)", name):
        return f"_conv_uparm_{int(found[1]) + added}_{found[2]}"  # numbered on from the number of levels
    return name


def _convolutions(layers: Layers, start: str) -> list[str]:
    """Names of a level's convolutions, in order."""
    return sorted(name for name in layers if name.startswith(start))


def _below(fresh: Layers, new: int, step: int) -> int:
    """Features that come up to a step of the way up."""
    if step == 0:
        return len(fresh[f"_bn_down_{new - 1}"]["gamma"])
    return len(fresh[f"_bn_up_{step - 1}"]["gamma"])


def _passing(fresh: dict[str, np.ndarray], start: int, count: int, scale: float) -> dict[str, np.ndarray]:
    """A convolution whose first ``count`` features are ``scale`` times its inputs from ``start`` on."""
    kernel, bias = fresh["kernel"].copy(), fresh["bias"].copy()
    count = min(count, kernel.shape[4], kernel.shape[3] - start)
    middle = tuple(side // 2 for side in kernel.shape[:3])
    kernel[..., :count] = 0.0
    for feature in range(count):
        kernel[(*middle, start + feature, feature)] = scale
    bias[:count] = 0.0
    return {"kernel": kernel, "bias": bias}


def _norm(fresh: dict[str, np.ndarray], gamma: np.ndarray, beta: np.ndarray | float) -> dict[str, np.ndarray]:
    """A norm whose first features get ``gamma`` and ``beta``."""
    values = {name: value.copy() for name, value in fresh.items()}
    count = min(len(gamma), len(values["gamma"]))
    values["gamma"][:count] = gamma[:count]
    values["beta"][:count] = np.broadcast_to(beta, gamma.shape)[:count]
    return values


def _widened(moved: Layers, fresh: Layers, entrance: str) -> Layers:
    """``moved`` with room, at the old network's entrance, for the new level's other features; they start at zero."""
    kernel = moved[entrance]["kernel"]
    missing = fresh[entrance]["kernel"].shape[3] - kernel.shape[3]
    if missing > 0:
        kernel = np.concatenate([kernel, np.zeros((*kernel.shape[:3], missing, kernel.shape[4]), np.float32)], 3)
        moved[entrance] = {**moved[entrance], "kernel": kernel}
    return moved
