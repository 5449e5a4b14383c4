"""Operations are counted as one would by hand, whatever kernel does them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from fgmfn.flops import count_flops, peak_flops, training_flops

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


def test_a_training_step_is_three_forward_passes_but_for_parts_that_never_train() -> None:
    norm, recurrent_layer = nn.BatchNorm1d(D), nn.LSTM(H, H)
    network = nn.Sequential(norm, nn.Linear(D, H), nn.Dropout(), recurrent_layer).train()
    input, statistics = torch.randn(N, D), norm.state_dict()["running_mean"].clone()
    linear, recurrent = 2 * N * D * H, 2 * N * 4 * H * (H + H)
    seed = torch.get_rng_state()
    assert training_flops(network, {"input": input}) == 3 * (linear + recurrent)
    recurrent_layer.requires_grad_(False)
    assert training_flops(network, {"input": input}) == 3 * linear + recurrent
    assert torch.equal(seed, torch.get_rng_state())
    assert torch.equal(statistics, norm.state_dict()["running_mean"])
    assert norm.training


@pytest.mark.parametrize(
    ("device", "precision", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA H200", "fp32", 67e12),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156e12),
        ("NVIDIA A10G", "bf16", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16", None),
        ("Tesla T4", "bf16", None),
        ("another one", "fp32", None),
    ],
)
def test_peaks_are_known_by_the_whole_name_of_a_gpu(device: str, precision: str, peak: float | None) -> None:
    assert peak_flops(device, precision) == peak
