"""One vector of many token states: the first one, or a mean over the real ones; masks are True, or 1, there."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextPooling(nn.Module):
    """Token states to what stands for the sentence.

    Args:
        kind: `first`: the first token, as BERT and the paper have it; `mean`: the mean over the real tokens;
            `attention`: their mean by learned weights, a softmax over one score per token.
        d: width of the states.
    """

    def __init__(self, kind: str, d: int) -> None:
        super().__init__()
        self.kind = kind
        self.tokens = 1 if kind == "first" else None
        """Number of first tokens that are read; None: all."""
        # A bias here would add the same to every score and never learn.
        self.score = nn.Linear(d, 1, bias=False) if kind == "attention" else None

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """[B, n, d] and which tokens are real, [B, n] -> [B, d]."""
        if self.score is not None:
            weights = masked_softmax(self.score(states).squeeze(-1), mask)
            return (weights.unsqueeze(1) @ states).squeeze(1)
        return masked_mean(states, mask) if self.kind == "mean" else states[:, 0]


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
