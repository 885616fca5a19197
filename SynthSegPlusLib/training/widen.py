"""From a narrow network to a wide one: more features at every level, the same answers to begin with.

Net2Net (Chen et al., ICLR 2016) copies features to make room. Here the old ones stay as they are and the new ones begin
with fresh weights: they see everything, but the old features and the head do not listen to them yet. The wide network
thus computes exactly what the narrow one did (features are normalised one by one), and its training decides what the
new features are for.
"""

from __future__ import annotations

import re

import numpy as np

from SynthSegPlusLib.training.grow import Layers, levels

_FIRST_UP = re.compile(r"_conv_uparm_(\d+)_0")


def is_narrower(old: Layers, fresh: Layers) -> bool:
    """Whether two U-Nets of as many levels differ in that ``old`` has fewer features."""
    same = levels(old) == levels(fresh)
    return same and len(old["_bn_down_0"]["gamma"]) < len(fresh["_bn_down_0"]["gamma"])


def widen(old: Layers, fresh: Layers) -> Layers:
    """Weights for the layers of ``fresh`` (a wider U-Net, weights just made) that compute what ``old`` does.

    Old features come first. What does not fit ``fresh``, such as a head with another number of labels, stays as it is,
    for the caller to leave out.
    """
    found = dict(old)
    for name, values in old.items():
        target = fresh.get(name)
        if target is None:
            continue
        if "kernel" not in values:
            found[name] = {key: _first(target[key], one) for key, one in values.items() if key in target}
            continue
        inputs = _inputs(name, old, fresh)
        if _fits(name, values, target, inputs):
            found[name] = _convolution(values, target, inputs)
    return found


def _fits(name: str, values: dict[str, np.ndarray], target: dict[str, np.ndarray], inputs: np.ndarray) -> bool:
    old, new = values["kernel"].shape, target["kernel"].shape
    if name.startswith("_likelihood") and old[-1] != new[-1]:
        return False
    return old[:3] == new[:3] and int(inputs.max()) < new[3] and old[4] <= new[4]


def _inputs(name: str, old: Layers, fresh: Layers) -> np.ndarray:
    """Where the inputs of an old convolution are among those of the new one, int [old inputs]."""
    count = old[name]["kernel"].shape[3]
    place = np.arange(count)
    if up := _FIRST_UP.fullmatch(name):  # what an encoder level hands over comes first, then what comes up from below
        step = int(up[1]) - levels(old)
        below = [_coming_up(layers, step) for layers in (old, fresh)]
        skipped = [layers[name]["kernel"].shape[3] - own for layers, own in zip((old, fresh), below, strict=True)]
        place[skipped[0] :] += skipped[1] - skipped[0]
    return place


def _coming_up(layers: Layers, step: int) -> int:
    """Features that a step of the way up gets from below."""
    name = f"_bn_down_{levels(layers) - 1}" if step == 0 else f"_bn_up_{step - 1}"
    return len(layers[name]["gamma"])


def _convolution(
    old: dict[str, np.ndarray], fresh: dict[str, np.ndarray], inputs: np.ndarray
) -> dict[str, np.ndarray]:
    kernel, outputs = fresh["kernel"].copy(), old["kernel"].shape[4]
    kernel[..., :outputs] = 0.0
    kernel[:, :, :, inputs, :outputs] = old["kernel"]
    return {"kernel": kernel, "bias": _first(fresh["bias"], old["bias"])}


def _first(fresh: np.ndarray, old: np.ndarray) -> np.ndarray:
    """A vector that begins with the old one."""
    return np.concatenate([old, fresh[len(old) :]])
