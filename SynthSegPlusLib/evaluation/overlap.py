"""Dice overlap of label volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Dice of two masks: 2 |A and B| / (|A| + |B|), exact counts; NaN when both are empty.

    An absent structure that is predicted absent has no overlap to measure, so it must not count as 0 or 1 in a mean.
    """
    _same_shape(one, two)
    a, b = np.asarray(one, bool), np.asarray(two, bool)
    size = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / size if size else float("nan")


def dice_of_labels(predicted: np.ndarray, truth: np.ndarray, labels: Sequence[int]) -> dict[int, float]:
    """Dice of each label of two integer volumes of one shape; NaN for a label that is in neither."""
    _same_shape(predicted, truth)
    labels = [int(label) for label in labels]
    order = {label: position for position, label in enumerate(labels, 1)}
    highest = max(int(predicted.max(initial=0)), int(truth.max(initial=0)), max(labels, default=0))
    position = np.zeros(highest + 1, np.intp)
    for label, index in order.items():
        position[label] = index
    count = len(labels) + 1
    pairs = np.bincount(position[predicted].ravel() * count + position[truth].ravel(), minlength=count**2)
    table = pairs.reshape(count, count)
    sizes = table.sum(0) + table.sum(1)
    values = np.divide(2.0 * np.diag(table), sizes, out=np.full(count, np.nan), where=sizes > 0)
    return {label: float(values[index]) for label, index in order.items()}


def grouped(labels: np.ndarray, group_of: Mapping[int, int]) -> np.ndarray:
    """Volume of groups (int32) from a volume of labels; a label without a group becomes 0."""
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    for label, group in group_of.items():
        if 0 <= label < len(table):
            table[label] = group
    return table[labels]


def _same_shape(one: np.ndarray, two: np.ndarray) -> None:
    if one.shape != two.shape:
        raise ValueError(f"volumes to compare must have one shape, not {one.shape} and {two.shape}")
