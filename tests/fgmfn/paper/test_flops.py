"""Operations are counted as one would by hand, whatever kernel does them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from fgmfn.paper.meters import count_flops

N, D, H = 5, 8, 6


class OfPacked(nn.Module):
    """A recurrent layer that reads two rows of 5 and 3 real steps."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, input: Tensor) -> Tensor:
        return self.layer(pack_padded_sequence(input, torch.tensor([5, 3]), batch_first=True))[0].data


class SelfAttention(nn.Module):
    """Two heads over one sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(D, 2, batch_first=True)

    def forward(self, input: Tensor) -> Tensor:
        return self.attention(input, input, input, need_weights=False)[0]


def flops(network: nn.Module, *shape: int) -> int:
    return count_flops(network.eval(), {"input": torch.randn(*shape)})


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (nn.Linear(D, H), (1, N, D), 2 * N * D * H),
        # 6 x 6 outputs of 4 channels, each of 3 channels of 3 x 3
        (nn.Conv2d(3, 4, 3), (1, 3, 8, 8), 2 * 6 * 6 * 4 * 3 * 3 * 3),
        # projections, scores and the weighted sum
        (SelfAttention(), (1, N, D), 2 * (4 * N * D * D + 2 * N * N * D)),
        # the second layer reads the first one's states
        (nn.LSTM(D, H, num_layers=2, batch_first=True), (1, N, D), 2 * N * 4 * H * ((D + H) + (H + H))),
    ],
)
def test_a_layer_by_its_formula(network: nn.Module, shape: tuple[int, ...], expected: int) -> None:
    assert flops(network, *shape) == expected


def test_fused_transformer_layers_hide_nothing() -> None:
    layer = nn.TransformerEncoderLayer(D, 2, dim_feedforward=16, batch_first=True)
    network = nn.Sequential()
    network.add_module("encoder", nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    assert flops(network, 1, N, D) == 2 * 2 * (4 * N * D * D + 2 * N * N * D + 2 * N * D * 16)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers(kind: Any, gates: int, directions: int) -> None:
    layer = kind(D, H, batch_first=True, bidirectional=directions == 2)
    per_step = 2 * directions * gates * H * (D + H)
    assert flops(layer, 1, N, D) == N * per_step
    assert flops(OfPacked(layer), 2, 5, D) == (5 + 3) * per_step  # padding is not worked on


def test_counting_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(D, D), nn.LSTM(D, H)).eval()
    assert flops(network, N, D) == flops(network, N, D)
    assert not network[1]._forward_hooks
    assert not network[1]._forward_pre_hooks
