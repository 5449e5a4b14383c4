"""MIMN: what one hop reads, which queries it reads with, and that all hops share their weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fgmfn.baselines.mimn import Memory, MimnConfig
from fgmfn.errors import ConfigError
from fgmfn.sizes import parameter_counts
from tests.fgmfn.models import build

STATES = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
MASK = torch.tensor([[1, 1, 0]])
OWN, OTHER = torch.tensor([[0.4, -0.2]]), torch.tensor([[1.0, 1.0]])


def plain_memory() -> Memory:
    """A memory of width 2 that weighs all alike, and whose next query is half tanh of what was read, half the old."""
    memory = Memory(2)
    for weight in memory.parameters():
        nn.init.zeros_(weight)
    # A GRU's weights are those of the reset gate, of the update gate and of the new state, one below the other.
    with torch.no_grad():
        memory.cell.weight_ih[4:] = torch.eye(2)
    return memory


def test_a_hop_is_its_equation_and_leaves_padding_unread() -> None:
    read = plain_memory()(STATES, MASK, OWN, OTHER)
    half = math.tanh(0.5) / 2
    assert read[0].tolist() == pytest.approx([half + 0.2, half - 0.1])


def test_half_of_what_is_read_is_found_by_each_query() -> None:
    memory = plain_memory()
    with torch.no_grad():
        for attention, wanted in ((memory.by_own, [100.0, 0.0]), (memory.by_other, [-100.0, 100.0])):
            attention.key.weight.copy_(torch.eye(2))
            attention.score.weight.copy_(torch.tensor([wanted]))
    # By its own query the first state is found, by the other the second.
    read = memory(2 * STATES, MASK, OWN, OTHER)
    assert read[0].tolist() == pytest.approx([math.tanh(1) / 2 + 0.2, math.tanh(1) / 2 - 0.1])


def test_each_attention_listens_to_its_own_query() -> None:
    torch.manual_seed(0)
    memory = Memory(2)
    memory.by_other.score.weight.data.zero_()
    with_other, without = memory(STATES, MASK, OWN, OTHER), memory(STATES, MASK, OWN, -OTHER)
    assert torch.equal(with_other, without)
    assert not torch.allclose(memory.by_own(STATES, OWN), memory.by_own(STATES, -OWN))


def test_both_queries_start_at_the_target_and_a_hop_reads_with_those_of_the_hop_before() -> None:
    context, regions, target = torch.randn(2, 4, 20), torch.randn(2, 3, 20), torch.randn(2, 20)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    one, two = build("mimn", hops=1).eval(), build("mimn", hops=2).eval()
    text, image = one.read(context, mask, regions, target)
    assert torch.equal(text, one.text_memory(context, mask, target, target))
    assert torch.equal(image, one.image_memory(regions, None, target, target))
    text_again, image_again = two.read(context, mask, regions, target)
    assert torch.equal(text_again, one.text_memory(context, mask, text, image))
    assert torch.equal(image_again, one.image_memory(regions, None, image, text))


def test_more_hops_need_no_more_weights() -> None:
    assert parameter_counts(build("mimn", hops=1).eval()) == parameter_counts(build("mimn", hops=5).eval())
    with pytest.raises(ConfigError, match="hops = 0"):
        MimnConfig(hops=0)
