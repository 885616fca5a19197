"""The segmentation losses for the torch backend, with their gradients written out.

Over 33 or 69 labels the loss is made of arrays as large as everything else in a small network together. Autograd
keeps several of them in float32 and goes through memory once for each operation; here blocks of voxels that fit into
the cache go through all operations at once, and one array, of the logits' own type, is kept for the gradient.
"""

from __future__ import annotations

from typing import Any

import torch

from SynthSegPlusLib.training.losses import EPSILON

_BLOCK = 8192
"""Voxels at a time on a CPU: a block of 33 labels is one megabyte."""
_SHARES = 2048
"""Numbers that a label's voxels are added to on a GPU."""


class SegmentationLoss(torch.autograd.Function):
    """1 - mean soft Dice + ``weight`` x cross-entropy, as `losses.combined` and `losses.segmentation_loss` state it.

    With p the softmax, g the true labels and, per label c, I = sum(g p), D = sum(g) + sum(p^2) + e, the Dice is
    (2 I + e) / D, so that dDice/dp = 2 g / D - 2 p (2 I + e) / D^2.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, labels: torch.Tensor, weight: float, epsilon: float, present_only: bool,
        labelled_only: bool,
    ) -> torch.Tensor:  # fmt: skip
        """Loss (float32 scalar) of logits [voxels, labels] and integer labels [voxels].

        ``present_only``: the mean Dice is over the labels that occur. ``labelled_only``: the cross-entropy is over the
        voxels that are not background.
        """
        voxels, count = logits.shape
        probability = torch.empty_like(logits)
        hit = torch.empty(voxels, device=logits.device)
        squares = torch.zeros(count, device=logits.device)
        for part in _blocks(logits):
            p = logits[part].float()
            p = p.sub_(p.amax(-1, keepdim=True)).exp_()
            p /= p.sum(-1, keepdim=True)
            hit[part] = p.gather(-1, labels[part, None])[:, 0]
            probability[part] = p
            squares += p.square_().sum(0)
        shares = 1 if logits.device.type == "cpu" else _SHARES
        both = sums_of_labels(labels, hit, count, shares)
        size = torch.bincount(labels, minlength=count).to(squares.dtype)
        share = (size > 0).float() if present_only else torch.ones_like(size)
        share /= share.sum()
        bottom = size + squares + epsilon
        dice = (2.0 * both + epsilon) / bottom
        counted = (labels > 0).float() if labelled_only else torch.ones_like(hit)
        counted *= weight / counted.sum().clamp(min=1.0)
        entropy = -(hit.clamp(min=EPSILON).log() * counted).sum()
        ctx.save_for_backward(probability, labels, hit, counted, 2.0 * share / bottom, 2.0 * share * dice / bottom)
        return 1.0 - (dice * share).sum() + entropy

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        """Gradient of the logits, in their type."""
        probability, labels, hit, counted, pull, push = ctx.saved_tensors
        gradient = torch.empty_like(probability)
        for part in _blocks(probability):
            p = probability[part].float()
            slope = p * push  # dL/dp of the squares; `pull` is minus that of the true label
            of_truth = -pull[labels[part]] * hit[part]
            mean = (slope * p).sum(-1) + of_truth
            chance = counted[part] * (hit[part] > EPSILON)  # the cross-entropy is cut off at EPSILON
            p *= slope.sub_((mean - chance)[:, None])
            p.scatter_add_(-1, labels[part, None], (of_truth - chance)[:, None])
            gradient[part] = p * upstream
        return gradient, None, None, None, None, None


def segmentation_loss(labels: Any, logits: Any, name: str, weight: float) -> torch.Tensor:
    """`SegmentationLoss` by name ("combined", "labelled" or "dice") of labels [...] and logits [..., n]."""
    combined = name != "dice"
    return SegmentationLoss.apply(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1).long(), weight if combined else 0.0,
        1e-3 if combined else EPSILON, combined, name == "labelled",
    )  # type: ignore[no-untyped-call, no-any-return]  # fmt: skip


def sums_of_labels(labels: torch.Tensor, values: torch.Tensor, count: int, shares: int) -> torch.Tensor:
    """Sums, float32 [count], of ``values``, float32 [voxels], by ``labels``, int64 [voxels]; in ``shares`` first.

    On a GPU most voxels would otherwise wait for each other to be added to the background's one number.
    """
    if shares > 1:
        labels = labels + count * (torch.arange(len(labels), device=labels.device) % shares)
    return values.new_zeros(shares * count).index_add_(0, labels, values).view(shares, count).sum(0)


def _blocks(values: torch.Tensor) -> list[slice]:
    """Blocks of voxels; all of them at once where the device is no CPU."""
    step = _BLOCK if values.device.type == "cpu" else max(1, len(values))
    return [slice(start, start + step) for start in range(0, len(values), step)]
