"""Late fusion: neither modality knows of the other before the head, and CLIP gets pictures as it knows them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fgmfn.baselines.late_fusion import LateFusionConfig
from fgmfn.errors import ConfigError, WeightsError
from fgmfn.processing import image_processor
from tests.fgmfn.models import TINY, build

SETTINGS = TINY["late_fusion"].settings


def test_the_head_reads_the_first_words_state_and_then_the_pictures_vector() -> None:
    model = build("late_fusion").eval()
    pixels, ids = torch.randn(2, 3, 64, 64), torch.randint(5, 50, (2, 6))
    mask = torch.ones_like(ids)
    words = model.encode_text(ids, mask, None)[:, 0]
    picture = model.picture_encoder.backbone(pixels)
    dense, _, _, last = model.head
    expected = last(torch.tanh(words @ dense.weight[:, :32].T + picture @ dense.weight[:, 32:].T + dense.bias))
    assert torch.allclose(model(pixels, ids, mask).logits, expected, atol=1e-5)


def test_clip_gets_pictures_in_its_own_normalisation() -> None:
    assert image_processor(LateFusionConfig()).image_mean == pytest.approx([0.48145466, 0.4578275, 0.40821073])


def test_a_frozen_picture_encoder_does_not_train() -> None:
    model = build("late_fusion", freeze_backbone=True).train()
    assert not any(weight.requires_grad for weight in model.picture_encoder.parameters())
    assert not any(module.training for module in model.picture_encoder.modules())
    assert model.text_encoder.training


def test_another_backbone_of_timm_may_stand_in_its_vector_normed() -> None:
    model = build("late_fusion", backbone="test_resnet", image_size=64, picture_norm=True).eval()
    vectors = model.picture_norm(model.picture_encoder(torch.randn(4, 3, 64, 64)))
    assert torch.allclose(vectors.mean(dim=1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(vectors.std(dim=1, correction=0), torch.ones(4), atol=1e-2)
    with pytest.raises(ConfigError, match="no such model"):
        build("late_fusion", backbone="no_model")


def test_a_missing_weight_file_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "clip.safetensors")
    model = build("late_fusion", backbone_weights=missing)
    model.config.pretrained = True
    with pytest.raises(WeightsError, match=r"clip\.safetensors"):
        model.picture_encoder.load_pretrained(model.config)
