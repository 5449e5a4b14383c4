"""TomBERT: the target's encoder starts as a copy, and the picture stands in front of the sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from fgmfn.baselines.tombert import TomBertConfig, TomBertForSentiment
from tests.fgmfn.models import TINY, build


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules of one architecture say the same."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(mine, yours) for mine, yours in pairs)


def test_the_targets_encoder_starts_as_a_copy_and_shares_no_weight() -> None:
    model = build("tombert").eval()
    assert same_weights(model.text_encoder, model.target_encoder)
    shared = {id(weight) for weight in model.text_encoder.parameters()} & {
        id(weight) for weight in model.target_encoder.parameters()
    }
    assert not shared
    with torch.no_grad():
        next(model.text_encoder.parameters()).add_(1.0)
    assert not same_weights(model.text_encoder, model.target_encoder)


def test_both_encoders_start_from_the_pretrained_weights(tmp_path: Path) -> None:
    config = TomBertConfig(**TINY["tombert"].settings)
    torch.manual_seed(1)
    pretrained = AutoModel.from_config(AutoConfig.for_model(**config.text_config))
    pretrained.save_pretrained(tmp_path / "bert")
    backbone = tmp_path / "backbone.pth"
    torch.save(timm.create_model(config.backbone).state_dict(), backbone)
    config.pretrained, config.text_encoder, config.backbone_weights = True, str(tmp_path / "bert"), str(backbone)
    torch.manual_seed(2)
    model: Any = TomBertForSentiment(config)
    assert not same_weights(model.text_encoder.encoder, pretrained.encoder)
    model.load_pretrained(None)
    assert same_weights(model.text_encoder.encoder, pretrained.encoder)
    assert same_weights(model.target_encoder.encoder, pretrained.encoder)


def test_the_picture_that_the_target_saw_stands_in_front_of_the_sentence() -> None:
    model = build("tombert").eval()
    seen: dict[str, tuple[Tensor, ...]] = {}
    model.image_pooler.register_forward_hook(lambda _, __, output: seen.update(image=(output,)))
    model.joined.register_forward_hook(lambda _, inputs, __: seen.update(joined=inputs))
    ids = torch.tensor([[2, 5, 6, 3], [2, 5, 3, 0]])
    mask, types = (ids > 0).long(), torch.zeros_like(ids)
    with torch.no_grad():
        model(torch.randn(2, 3, 64, 64), ids, mask, types, ids, mask)
        sentence = model.encode_text(ids, mask, types)
    query, context, open_positions = seen["joined"]
    assert torch.equal(query, context)
    assert torch.equal(query[:, 0], seen["image"][0])
    assert torch.equal(query[:, 1:], sentence)
    assert open_positions.tolist() == [[True] * 5, [True] * 4 + [False]]


def test_another_target_sees_another_picture() -> None:
    model = build("tombert").eval()
    pixels = torch.randn(1, 3, 64, 64).expand(2, -1, -1, -1)
    ids = torch.tensor([[2, 5, 6, 3]]).expand(2, -1)
    targets = torch.tensor([[2, 7, 3], [2, 8, 3]])
    with torch.no_grad():
        one, other = model(
            pixels, ids, torch.ones_like(ids), torch.zeros_like(ids), targets, torch.ones_like(targets)
        ).logits
    assert not torch.allclose(one, other)
