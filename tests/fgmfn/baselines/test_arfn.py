"""ARFN: the regions' cells side by side, what the target reads, and that it says what it lacks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fgmfn.baselines.arfn import ArfnConfig, AttendedBy
from fgmfn.baselines.parts.crops import whole_and_quarters
from fgmfn.errors import ConfigError
from tests.fgmfn.models import build


def test_the_same_cell_of_all_quarters_stands_side_by_side() -> None:
    model, pixels = build("arfn").eval(), torch.randn(2, 3, 64, 64)
    cells = model.region_cells(pixels)
    channels = model.image_encoder.channels[-1]
    assert cells.shape == (2, 4, 4 * channels)
    for number, part in enumerate(cells.split(channels, dim=-1), 1):
        expected = model.image_encoder.regions(whole_and_quarters(pixels)[:, number])
        assert torch.allclose(part, expected, atol=1e-5)


def test_what_the_target_read_is_its_first_token_dense_and_gelu() -> None:
    attended: Any = AttendedBy(2, 1, 0.0)
    attended.layer = FirstOfContext()
    with torch.no_grad():
        attended.dense.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    nn.init.zeros_(attended.dense.bias)
    read = attended(torch.zeros(1, 3, 2), torch.tensor([[[2.0, 1.0], [9.0, 9.0]]]), None)
    # GELU(x) = x Phi(x); Phi(3) = 0.998650, Phi(1) = 0.841345.
    assert read[0].tolist() == pytest.approx([3 * 0.998650, 0.841345], abs=1e-5)


class FirstOfContext(nn.Module):
    """A cross layer whose first token is the context's first one, and whose others are something else."""

    def forward(self, query: Tensor, context: Tensor, context_mask: Tensor | None) -> Tensor:
        """[B, m, d] and [B, k, d] -> [B, m, d]."""
        return torch.cat([context[:, :1], query[:, 1:] - 7], dim=1)


def test_sizes_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ConfigError, match="cell_size = 0"):
        ArfnConfig(cell_size=0)
    with pytest.raises(ConfigError, match="hidden_size = 3; expected an even width"):
        ArfnConfig(hidden_size=3, heads=1)
