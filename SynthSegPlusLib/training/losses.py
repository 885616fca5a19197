"""Losses and training metrics, on any backend.

In training, predictions are logits [batch, x, y, z, n] and targets integers [batch, x, y, z]. The sums of the Dice are
then gathered by label, so that no one-hot array of n channels is ever built; `soft_dice`, `weighted_l2` and
`cross_entropy` state the published formulas on one-hot targets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

EPSILON = 1e-7
WL2_TARGET = 5.0
"""Logit that the weighted-L2 warm-up asks of the true class (minus it of the others)."""
_SPACE = (1, 2, 3)


def soft_dice(truth: Any, probability: Any, epsilon: float = EPSILON) -> Any:
    """Soft Dice [batch, n] as in the reference's code: (2 sum(g p) + e) / (sum(g^2 + p^2 + e per label)).

    ``truth`` and ``probability`` [batch, x, y, z, n] are renormalised over the labels first.
    """
    from keras import ops

    truth = ops.clip(truth / (ops.sum(truth, -1, keepdims=True) + EPSILON), 0.0, 1.0)
    probability = ops.clip(probability / (ops.sum(probability, -1, keepdims=True) + EPSILON), 0.0, 1.0)
    top = 2.0 * ops.sum(truth * probability, _SPACE) + epsilon
    return top / (ops.sum(truth * truth + probability * probability, _SPACE) + epsilon)


def dice_loss(truth: Any, probability: Any) -> Any:
    """Mean over batch and labels of 1 - soft Dice (paper, equation 1; reference implementation)."""
    from keras import ops

    return ops.mean(1.0 - soft_dice(truth, probability))


def weighted_l2(truth: Any, logits: Any, target: float = WL2_TARGET) -> Any:
    """Warm-up on logits: squared distance to +-``target``, weighted by 1 - background (reference implementation)."""
    from keras import ops

    weight = 1.0 - truth[..., :1] + 1e-8
    goal = target * (2.0 * truth - 1.0)
    return ops.sum(weight * ops.square(logits - goal)) / (ops.sum(weight) * truth.shape[-1])


def cross_entropy(truth: Any, probability: Any) -> Any:
    """Mean over voxels of -log of the true class's probability."""
    from keras import ops

    return -ops.mean(ops.log(ops.clip(ops.sum(truth * probability, -1), EPSILON, 1.0)))


def one_hot(labels: Any, count: int) -> Any:
    """float32 one-hot [..., count] of integer labels."""
    from keras import ops

    return ops.one_hot(ops.cast(labels, "int32"), count, dtype="float32")


def label_dice(labels: Any, probability: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Soft Dice [n] of integer labels, the number of voxels of each label [n], and the true class's probability.

    The whole batch counts as one volume; training uses batches of one.
    """
    from keras import ops

    count = probability.shape[-1]
    flat = ops.cast(ops.reshape(labels, (-1,)), "int32")  # Keras hands targets over as floats
    probability = ops.reshape(probability, (-1, count))
    hit = ops.take_along_axis(probability, flat[:, None], -1)[:, 0]
    both = ops.segment_sum(hit, flat, num_segments=count)
    size = ops.segment_sum(ops.ones_like(hit), flat, num_segments=count)
    dice = (2.0 * both + epsilon) / (size + ops.sum(ops.square(probability), 0) + epsilon)
    return dice, size, hit


def combined(labels: Any, logits: Any, weight: float, labelled_only: bool = False) -> Any:
    """The fast recipe: 1 - mean Dice of the labels that occur (background included) + ``weight`` x cross-entropy.

    Labels that the crop does not contain give no gradient, so a short field of view does not teach to predict less.
    ``labelled_only``: the cross-entropy is the mean over the voxels that are not background. Parcels fill a twentieth
    of the volume, and what is said of the rest is not used.
    """
    from keras import ops

    dice, size, hit = label_dice(labels, ops.softmax(logits, -1), 1e-3)
    present = ops.cast(size > 0, "float32")
    missed = -ops.log(ops.maximum(hit, EPSILON))
    if labelled_only:
        counts = ops.cast(ops.reshape(labels, (-1,)) > 0, "float32")
        entropy = ops.sum(missed * counts) / ops.maximum(ops.sum(counts), 1.0)
    else:
        entropy = ops.mean(missed)
    return 1.0 - ops.sum(dice * present) / ops.sum(present) + weight * entropy


def mean_dice(labels: Any, logits: Any) -> Any:
    """The training metric: mean soft Dice over the labels that occur, background left out."""
    from keras import ops

    dice, size, _ = label_dice(labels, ops.softmax(ops.cast(logits, "float32"), -1), EPSILON)
    present = ops.cast(size > 0, "float32")[1:]
    return ops.sum(dice[1:] * present) / ops.maximum(ops.sum(present), 1.0)


def segmentation_loss(name: str, weight: float = 0.0) -> Callable[[Any, Any], Any]:
    """Loss of (integer targets, logits) by name: "dice" (all labels count), "wl2", "combined" or "labelled"."""
    import keras
    from keras import ops

    if keras.backend.backend() == "torch" and name != "wl2":
        from SynthSegPlusLib.training import _torch_loss  # the same numbers, in a fraction of the time and memory

        return lambda labels, logits: _torch_loss.segmentation_loss(labels, logits, name, weight)

    def loss(labels: Any, logits: Any) -> Any:
        logits = ops.cast(logits, "float32")
        if name in ("combined", "labelled"):
            return combined(labels, logits, weight, name == "labelled")
        if name == "wl2":
            return weighted_l2(one_hot(labels, logits.shape[-1]), logits)
        return ops.mean(1.0 - label_dice(labels, ops.softmax(logits, -1), EPSILON)[0])

    return loss


def score_loss(truth: Any, predicted: Any) -> Any:
    """R's loss: squared error summed over regions, mean over the batch (reference implementation)."""
    from keras import ops

    return ops.mean(ops.sum(ops.square(ops.cast(predicted, "float32") - truth), -1))


def score_error(truth: Any, predicted: Any) -> Any:
    """Mean absolute error of the predicted Dice scores."""
    from keras import ops

    return ops.mean(ops.abs(ops.cast(predicted, "float32") - truth))
