"""ARFN: the regions' cells side by side, what the target reads, and that it says what it lacks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fgmfn.baselines.arfn import ArfnConfig, ArfnForSentiment, AttendedBy
from fgmfn.baselines.parts.crops import whole_and_quarters
from fgmfn.errors import ConfigError
from fgmfn.sizes import on_meta_device, parameter_counts
from tests.fgmfn.baselines.tiny import TINY


def tiny() -> ArfnForSentiment:
    """A small model with the same weights every time."""
    torch.manual_seed(0)
    return ArfnForSentiment(ArfnConfig(**TINY["arfn"].settings)).eval()


def test_the_same_cell_of_all_quarters_stands_side_by_side() -> None:
    model, pixels = tiny(), torch.randn(2, 3, 64, 64)
    cells = model.region_cells(pixels)
    channels = model.image_encoder.channels[-1]
    assert cells.shape == (2, 4, 4 * channels)
    for number, part in enumerate(cells.split(channels, dim=-1), 1):
        expected = model.image_encoder.regions(whole_and_quarters(pixels)[:, number])
        assert torch.allclose(part, expected, atol=1e-5)


def test_what_the_target_read_is_its_first_token_dense_and_gelu() -> None:
    attended = AttendedBy(2, 1, 0.0)
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


def test_the_targets_encoder_starts_as_a_copy_of_the_pairs() -> None:
    model = tiny()
    pairs = zip(model.text_encoder.parameters(), model.target_encoder.parameters(), strict=True)
    assert all(torch.equal(mine, yours) and mine is not yours for mine, yours in pairs)


def test_its_card_says_that_there_is_no_detector() -> None:
    assert any("no detector" in note for note in ArfnForSentiment.notes)


def test_sizes_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ConfigError, match="cell_size = 0"):
        ArfnConfig(cell_size=0)
    with pytest.raises(ConfigError, match="hidden_size = 3; expected an even width"):
        ArfnConfig(hidden_size=3, heads=1)


def test_the_parts_have_the_papers_size() -> None:
    model = on_meta_device(ArfnForSentiment, ArfnConfig(num_labels=3))
    expected = {
        "text_encoder": BERT_BASE,
        "target_encoder": BERT_BASE,
        "cells": 4 * 2048 * 4096 + 4096 + 4096 * 768 + 768,
        "sentence_lstm": 2 * (4 * 384 * (768 + 384) + 8 * 384),
        "from_image": BERT_LAYER + 768 * 768 + 768,
        "from_sentence": BERT_LAYER + 768 * 768 + 768,
        "pooler": 768 * 768 + 768,
        "fusion": 2304 * 1152 + 1152 + 1152 * 768 + 768,
        "classifier": 768 * 3 + 3,
    }
    assert {name: parameter_counts(model.get_submodule(name))[1] for name in expected} == expected
    assert TINY["arfn"].full_size == (sum(expected.values()) + RESNET_152, sum(expected.values()))


BERT_LAYER = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
BERT_BASE = (30_522 + 512 + 2) * 768 + 2 * 768 + 12 * BERT_LAYER
"""Without its pooler."""
RESNET_152 = 58_143_808
"""Frozen, without its classifier."""
