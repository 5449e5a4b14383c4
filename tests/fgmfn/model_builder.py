"""Small models and batches for the tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fgmfn.configuration import FgmfnConfig


def small_config(**changes: Any) -> FgmfnConfig:
    """A model of some hundred thousand weights that takes pictures of 64 pixels."""
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "pretrained": False,
        "image_size": 64,
        "hidden_size": 32,
        "heads": 4,
        "itc_projection": 16,
        "text_config": {"num_hidden_layers": 1, "vocab_size": 50, "max_position_embeddings": 32},
    }
    return FgmfnConfig(**(settings | changes))


def batch(rows: int = 3, tokens: int = 7, *, labels: bool = True, size: int = 64) -> dict[str, Tensor]:
    """Random inputs of one batch."""
    generator = torch.Generator().manual_seed(5)
    inputs = {
        "pixel_values": torch.randn(rows, 3, size, size, generator=generator),
        "input_ids": torch.randint(5, 50, (rows, tokens), generator=generator),
        "attention_mask": torch.ones(rows, tokens, dtype=torch.long),
    }
    return inputs | ({"labels": torch.arange(rows) % 2} if labels else {})
