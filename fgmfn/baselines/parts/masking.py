"""Softmax and mean over the real positions of a padded axis; over none of them both are zero and not NaN."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis.

    Args:
        scores: [B, ..., k].
        mask: where a position is real, [B, k]; None: everywhere.

    Returns:
        Weights that sum to 1 over the real positions, or to 0 where there is none.
    """
    if mask is None:
        return scores.softmax(dim=-1)
    real = mask.bool().view(mask.shape[0], *[1] * (scores.dim() - 2), mask.shape[-1])
    return scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(dim=-1) * real


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of [B, n, d] over the positions where mask [B, n] is real: [B, d]."""
    weights = mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def positions(mask: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return where start <= position < end and mask [B, n] is real, [B, n]; the ends are [B].

    With a batch's `target_span` it is the target; from 0 to its start the left context; from its end to n the right.
    """
    numbers = torch.arange(mask.shape[1], device=mask.device)
    return mask.bool() & (numbers >= start[:, None]) & (numbers < end[:, None])
