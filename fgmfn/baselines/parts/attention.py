"""Attention of one vector over many, additive and bilinear: a query [B, q] reads keys [B, k, d] into [B, d]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fgmfn.baselines.parts.masking import masked_softmax


class AdditiveAttention(nn.Module):
    """score = w . tanh(W query + V key), as in Bahdanau et al. (2015): regions by a target, words by a picture.

    W query + V key is a linear layer over [key; query]. Without a query it is attention by content alone.

    Args:
        key_size: d.
        query_size: q; 0 where there is no query.
        hidden_size: width inside.
    """

    def __init__(self, key_size: int, query_size: int, hidden_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(key_size, hidden_size)
        self.query = nn.Linear(query_size, hidden_size, bias=False) if query_size else None
        # A bias here would add the same to every score and never learn.
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, keys: Tensor, query: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the keys' weighted sum, [B, d]; zero where mask [B, k] leaves none."""
        inside = self.key(keys)
        if self.query is not None and query is not None:
            inside = inside + self.query(query).unsqueeze(1)
        weights = masked_softmax(self.score(torch.tanh(inside)).squeeze(-1), mask)
        return (weights.unsqueeze(1) @ keys).squeeze(1)


class BilinearAttention(nn.Module):
    """score = tanh(query W key), as in Luong et al. (2015) with a tanh around it."""

    def __init__(self, key_size: int, query_size: int) -> None:
        super().__init__()
        self.weight = nn.Linear(query_size, key_size, bias=False)

    def forward(self, keys: Tensor, query: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the keys' weighted sum, [B, d]; zero where mask [B, k] leaves none."""
        scores = torch.tanh((keys @ self.weight(query).unsqueeze(-1)).squeeze(-1))
        return (masked_softmax(scores, mask).unsqueeze(1) @ keys).squeeze(1)
