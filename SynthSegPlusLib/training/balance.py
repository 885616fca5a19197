"""Balance volumes: after a training, shift the last biases so that every label's posteriors come near its true volume.

Soft Dice rewards finding a small structure too large rather than too small where its border is uncertain, so networks
trained with it overestimate small volumes. One number a label undoes that on average, and costs no training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import Inputs, UNetSpec, read_weights, write_weights
from SynthSegPlusLib.training.frozen import load_frozen
from SynthSegPlusLib.training.tasks import Task

VOXELS_PER_SCAN = 60_000
_BALANCE = 11  # separates the seeds of these scans from those of the training
_ROUNDS = 2
_LARGEST = 2.0
_SMALLEST = 1e-12


def balance_volumes(path: Path, task: Task, scans: int, seed: int) -> np.ndarray:
    """Change the last biases of the weight file ``path``; returns the shifts, float64 [labels].

    Scan k, counted from 1, is made from the seed [seed, 11, k]. The file is replaced when the new one is complete.
    """
    spec = task.spec
    assert isinstance(spec, UNetSpec)  # R has no voxels to count
    network = load_frozen(spec, path)
    posteriors, labels = [], []
    for number in range(1, scans + 1):
        p, label = _voxels(network, task, [seed, _BALANCE, number])
        posteriors.append(p)
        labels.append(label)
    shifts = balancing_shifts(np.concatenate(posteriors), np.concatenate(labels), _partners(spec.n_labels), _ROUNDS)
    weights = read_weights(path, spec.layers())
    head = list(spec.layers())[-1].name
    weights[head]["bias"] = (weights[head]["bias"] + shifts).astype(np.float32)
    write_weights(weights, path, "float32")
    return shifts


def _voxels(network: Any, task: Task, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(posteriors float32 [n, labels], labels int [n]) of randomly chosen voxels of one scan."""
    from keras import ops

    inputs, targets = task.batch(seed)
    found = network.softmax(Inputs(image=ops.convert_to_numpy(inputs)[0].astype(np.float32)))
    found, truth = found.reshape(-1, found.shape[-1]), ops.convert_to_numpy(targets).reshape(-1)
    chosen = np.random.default_rng(seed).permutation(len(truth))[:VOXELS_PER_SCAN]
    return found[chosen], truth[chosen]


def _partners(n_labels: int) -> np.ndarray:
    table = structures("2.0")
    return table.partners if n_labels == len(table) else np.arange(n_labels)  # tissues have no sides


def balancing_shifts(posteriors: np.ndarray, labels: np.ndarray, partners: np.ndarray, rounds: int) -> np.ndarray:
    """What to add to each logit to bring volumes nearer to the true ones, float64 [labels]; 0 for absent labels.

    ``posteriors``: float [n, labels], each row adding up to 1; ``labels``: int [n]; ``partners``: the same label on the
    other side, which gets the same shift. Each of the ``rounds`` adds the logarithm of what is missing. They are few on
    purpose: the more certain of their mistakes networks are, the larger the shifts that would make up for all of them,
    and the doubtful voxels would pay for it. Shifts are kept within 2.
    """

    def both(counts: np.ndarray) -> np.ndarray:
        sides: np.ndarray = counts + counts[partners]
        return sides

    true = both(np.bincount(labels, minlength=posteriors.shape[1]).astype(np.float64))
    present, shifts = true > 0, np.zeros(len(true))
    for _ in range(rounds):
        weighted = posteriors * np.exp(shifts).astype(posteriors.dtype)
        weighted /= np.maximum(weighted.sum(axis=1, keepdims=True), _SMALLEST)
        found = both(weighted.sum(axis=0, dtype=np.float64))
        change = np.where(present, np.log(np.maximum(true, 1) / np.maximum(found, _SMALLEST)), 0.0)
        # Only differences count, and the background's stay what they were.
        shifts = np.clip(shifts + change - change[0], -_LARGEST, _LARGEST)
        shifts[~present] = 0.0
    return shifts
