"""LXMERT-MMSA: cells with their corners as objects, one cross-attention for both ways, and which weights are idle."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fgmfn.baselines.lxmert_mmsa import LxmertMmsaConfig
from fgmfn.errors import ConfigError
from tests.fgmfn.models import TINY, build

SETTINGS = TINY["lxmert_mmsa"].settings


@pytest.fixture
def model() -> Any:
    return build("lxmert_mmsa").eval()


@pytest.fixture
def batch() -> dict[str, Tensor]:
    ids = torch.randint(5, 50, (2, 6))
    return {
        "pixel_values": torch.randn(2, 3, 64, 64),
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
    }


def test_objects_are_the_grids_cells_with_their_corners(model: Any, batch: dict[str, Tensor]) -> None:
    given: dict[str, Tensor] = {}
    model.lxmert.register_forward_pre_hook(lambda _, args, kwargs: given.update(kwargs), with_kwargs=True)
    model(**batch)
    assert given["visual_feats"].shape[:2] == (2, 4)
    assert given["visual_pos"].shape == (2, 4, 4)
    assert given["visual_pos"][1].tolist() == [
        [0.0, 0.0, 0.5, 0.5],
        [0.5, 0.0, 1.0, 0.5],
        [0.0, 0.5, 0.5, 1.0],
        [0.5, 0.5, 1.0, 1.0],
    ]


def test_both_ways_share_one_cross_attention(model: Any, batch: dict[str, Tensor]) -> None:
    calls: list[tuple[int, int]] = []
    first = model.lxmert.encoder.x_layers[0].visual_attention
    first.register_forward_hook(lambda _, args, output: calls.append((args[0].shape[1], args[1].shape[1])))
    model(**batch)
    assert calls == [(6, 4), (4, 6)]


def test_only_the_last_exchanges_effect_on_objects_is_idle_and_frozen(model: Any, batch: dict[str, Tensor]) -> None:
    frozen = {name for name, weight in model.lxmert.named_parameters(prefix="lxmert") if not weight.requires_grad}
    model.lxmert.requires_grad_(True)
    output = model(**batch)
    output.logits.square().sum().backward()
    idle = {name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None}
    assert frozen == idle
    last = {f"lxmert.encoder.x_layers.1.{name}" for name, _ in model.lxmert.encoder.x_layers[1].named_parameters()}
    assert idle == {name for name in last if ".visn_" in name}


def test_a_backbone_of_another_width_is_refused_before_anything_is_fetched() -> None:
    model = build("lxmert_mmsa")
    model.config.pretrained = True
    with pytest.raises(ConfigError, match=r"test_resnet.*2048"):
        model.load_pretrained(None)


def test_another_kind_of_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="lxmert"):
        LxmertMmsaConfig(**SETTINGS | {"text_config": {"model_type": "bert"}})
