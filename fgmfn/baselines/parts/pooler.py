"""BERT's pooler: the first token through a linear layer and tanh."""

from __future__ import annotations

from torch import Tensor, nn


class Pooler(nn.Module):
    """[B, n, d] -> [B, d]."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.dense = nn.Linear(d, d)

    def forward(self, states: Tensor) -> Tensor:
        """Return what stands for the whole sequence."""
        return self.dense(states[:, 0]).tanh()
