"""ESAFN: the two sides of the target, the low-rank interaction and the gate of the picture."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fgmfn.baselines.esafn import EsafnForSentiment, GatedPicture, LowRankInteraction
from fgmfn.baselines.parts.layers import left_and_right
from tests.fgmfn.models import build

IDS = torch.tensor([[5, 6, 7, 8, 9, 0], [5, 6, 7, 0, 0, 0], [5, 6, 0, 0, 0, 0]])
MASK = (IDS > 0).long()
SPAN = torch.tensor([[1, 3], [0, 0], [0, 2]])


def test_both_sides_begin_at_the_front_and_leave_the_target_out() -> None:
    sides = left_and_right(IDS, MASK, SPAN)
    bare = [[row[real].tolist() for row, real in zip(ids, mask.bool(), strict=True)] for ids, mask in sides]
    assert bare == [[[5], [], []], [[8, 9], [5, 6, 7], []]]
    assert all((mask.int().diff(dim=1) <= 0).all() for _, mask in sides), "a hole in front of a real token"


def test_a_low_rank_interaction_is_its_equation() -> None:
    interaction = LowRankInteraction(1, 1, 2)
    with torch.no_grad():
        interaction.first.weight.copy_(torch.tensor([[1.0], [2.0]]))
        interaction.second.weight.copy_(torch.tensor([[3.0], [-1.0]]))
    nn.init.zeros_(interaction.first.bias)
    nn.init.zeros_(interaction.second.bias)
    said = interaction(torch.tensor([[0.5]]), torch.tensor([[0.1]]))
    assert said[0].tolist() == pytest.approx([math.tanh(0.5) * math.tanh(0.3), math.tanh(1.0) * math.tanh(-0.1)])


def test_words_and_regions_together_close_the_gate_of_the_picture() -> None:
    picture = GatedPicture(1, 1, 1)
    with torch.no_grad():
        for weight in picture.parameters():
            weight.zero_()
        picture.picture.weight.fill_(2.0)
        picture.gate.weight.copy_(torch.tensor([[-3.0, 0.5]]))
    # Attention weighs both regions alike: what is seen is 2.
    regions, target = torch.tensor([[[1.0], [3.0]]]), torch.zeros(1, 1)
    expected = [2 * math.tanh(2.0) / (1 + math.exp(3 * text - 0.5 * 2)) for text in (0.0, 1.0)]
    assert [picture(regions, target, torch.tensor([[text]])).item() for text in (0.0, 1.0)] == pytest.approx(expected)


def said(model: EsafnForSentiment, ids: Tensor) -> Tensor:
    """Logits for one picture with each of the sentences."""
    pictures = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64).expand(len(ids), -1, -1, -1)
    targets = torch.full((len(ids), 1), 4)
    with torch.no_grad():
        return model(pictures, ids, MASK, targets, torch.ones_like(targets), SPAN).logits


def test_the_contexts_do_not_hold_the_target() -> None:
    model, other = build("esafn").eval(), IDS.clone()
    other[0, 1:3] = 11
    assert torch.equal(said(model, other), said(model, IDS))
    other[0, 0] = 11
    assert not torch.allclose(said(model, other)[0], said(model, IDS)[0])


def test_without_a_target_in_the_sentence_nothing_stands_left_of_it() -> None:
    model = build("esafn").eval()
    before = said(model, IDS)
    for weight in model.left.lstm.parameters():
        nn.init.constant_(weight, 0.3)
    after = said(model, IDS)
    assert not torch.allclose(before[0], after[0])
    assert torch.equal(before[1:], after[1:])
