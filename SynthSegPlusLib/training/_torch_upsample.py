"""Upsampling and concatenation in one step on the torch backend: the upsampled array is never built by itself."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch


class UpsampleConcatenate(torch.autograd.Function):
    """Nearest upsampling by two of ``low`` [1, c, x, y, z], concatenated with ``skip`` [1, d, 2x, 2y, 2z].

    Channels last in memory, in and out; ``low_first`` tells the order of the channels.
    """

    @staticmethod
    def forward(ctx: Any, low: torch.Tensor, skip: torch.Tensor, low_first: bool) -> torch.Tensor:
        """The concatenation, [1, c + d, 2x, 2y, 2z]."""
        ctx.count, ctx.low_first = low.shape[1], low_first
        both = low.shape[1] + skip.shape[1]
        out = torch.empty(
            (1, both, *skip.shape[2:]), dtype=low.dtype, device=low.device, memory_format=torch.channels_last_3d
        )
        of_low, of_skip = _parts(out, low.shape[1], low_first)
        of_low.copy_(low.permute(0, 2, 3, 4, 1)[0, :, None, :, None, :, None])
        of_skip.copy_(skip.permute(0, 2, 3, 4, 1)[0])
        return out

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        """Sums of eight for ``low``, a copy for ``skip``."""
        upstream = upstream.contiguous(memory_format=torch.channels_last_3d)
        of_low, of_skip = _parts(upstream, ctx.count, ctx.low_first)
        total = None
        for i, j, k in product((0, 1), repeat=3):
            one = of_low[:, i, :, j, :, k].float()
            total = one if total is None else total.add_(one)
        assert total is not None
        low = total.to(upstream.dtype)[None].permute(0, 4, 1, 2, 3)
        return low, of_skip.contiguous()[None].permute(0, 4, 1, 2, 3), None


def _parts(volume: torch.Tensor, count: int, low_first: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Views: the low-resolution channels as [x, 2, y, 2, z, 2, c], the others as [2x, 2y, 2z, d]."""
    values = volume.permute(0, 2, 3, 4, 1)[0]
    x, y, z, both = values.shape
    blocks = values.view(x // 2, 2, y // 2, 2, z // 2, 2, both)
    if low_first:
        return blocks[..., :count], values[..., count:]
    return blocks[..., both - count :], values[..., : both - count]
