"""A model set with every role, small enough to run in a second: random weights, two levels, a few features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.labels import parcels, structures
from SynthSegPlusLib.networks import RegressorSpec, UNetSpec, write_weights
from SynthSegPlusLib.volume import Volume

NETWORKS: dict[str, UNetSpec | RegressorSpec] = {
    "segmenter": UNetSpec("unet", 1, 33, features=8, levels=2),
    "tissue": UNetSpec("unet1", 1, 5, features=8, levels=2),
    "denoiser": UNetSpec("l2l", 5, 5, features=4, levels=2),
    "structure": UNetSpec("unet2", 6, 33, features=8, levels=2),
    "parcellation": UNetSpec("unet_parc", 3, 69, features=4, levels=2),
    "quality": RegressorSpec("qc", 11, 10, features=2, levels=2, kernel=3, variant="paper"),
}

# Seeds with which both cortices, background and a dozen other labels appear in `scan`; the background's share is
# set by its last bias.
SEEDS = {"segmenter": (6, 0.0), "tissue": (0, 0.0), "denoiser": (3, 0.0), "structure": (7, 2.5),
         "parcellation": (4, 0.0), "quality": (5, 0.0)}  # fmt: skip


def write_tiny_set(folder: Path, roles: tuple[str, ...] = tuple(NETWORKS), **changes: Any) -> Path:
    """Write a model set with these roles into ``folder``; ``changes`` replace entries of its description.

    The weights are random but symmetric: a mirrored scan gives the mirrored result with left and right exchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description: dict[str, Any] = {
        "schema": 1, "name": folder.name, "licence": "none", "citation": "none", "description": "random weights",
        "working_resolution_mm": 1.0, "scheme": "centred", "padding": {"multiple": 8, "minimum": 0},
        "qc_regions": "paper", "postprocessing": {"foreground_threshold": 0.25},
        "quality": {"grid": [32, 32, 32], "ignored_labels": [24]},
        "roles": {
            role: {"file": f"{role}.h5", "network": NETWORKS[role].to_dict()} for role in roles
        },
        **changes,
    }  # fmt: skip
    for role in roles:
        _write_network(folder / f"{role}.h5", NETWORKS[role], *SEEDS[role])
    (folder / "model_set.json").write_text(json.dumps(description))
    return folder


def scan(shape: tuple[int, int, int] = (24, 26, 20), seed: int = 1, spacing: float = 1.0) -> Volume:
    """A blurred random head-like blob with a bright rim, RAS, isotropic."""
    from scipy import ndimage

    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5)
    data = np.clip(1.2 - radius, 0, None) * (60 + 200 * noise)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return Volume(data.astype(np.float32), affine, "blob")


def _write_network(path: Path, spec: UNetSpec | RegressorSpec, seed: int, background: float) -> None:
    random = np.random.default_rng(seed)
    layers = list(spec.layers())
    weights: dict[str, dict[str, np.ndarray]] = {}
    for layer in layers:
        scale = 8.0 if layer.name.endswith(("likelihood", "final_conv_1")) else 1.0
        weights[layer.name] = {name: _draw(random, name, shape, scale) for name, shape in layer.shapes.items()}
    if isinstance(spec, UNetSpec):
        for layer in layers:
            _make_symmetric(spec, layer.name, weights[layer.name])
        weights[layers[-1].name]["bias"][0] += background
    write_weights(weights, path)


def _make_symmetric(spec: UNetSpec, layer: str, weights: dict[str, np.ndarray]) -> None:
    """Features come in pairs that see mirror images, and partners of the label table are such a pair."""
    is_last = layer.endswith("likelihood")
    out = _partners(spec) if is_last else _pairs(next(iter(weights.values())).shape[-1])
    for name, value in weights.items():
        if name == "kernel":
            mirrored = value[::-1][..., _entering(spec, layer, value.shape[-2]), :][..., out]
            weights[name] = ((value + mirrored) / np.sqrt(2)).astype(np.float32)
        else:
            weights[name] = (value + value[out]) / 2


def _partners(spec: UNetSpec) -> np.ndarray:
    for table in (structures(), parcels()):
        if len(table) == spec.n_labels:
            return table.partners
    return np.arange(spec.n_labels)  # tissues have no sides


def _entering(spec: UNetSpec, layer: str, channels: int) -> np.ndarray:
    if channels == spec.in_channels and layer == spec.down(0, 0):
        return np.arange(channels)
    fine = spec.level_features(0)
    if layer == spec.up(0, 0):  # the encoder's features, then those from below
        return np.concatenate([_pairs(fine), fine + _pairs(channels - fine)])
    return _pairs(channels)


def _pairs(channels: int) -> np.ndarray:
    return (np.arange(channels) + channels // 2) % channels


def _draw(random: np.random.Generator, name: str, shape: tuple[int, ...], scale: float) -> np.ndarray:
    value = random.standard_normal(shape)
    if name == "kernel":
        return (value * scale / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
    if name in ("gamma", "moving_variance"):
        return (1 + 0.1 * np.abs(value)).astype(np.float32)
    return (0.1 * value).astype(np.float32)
