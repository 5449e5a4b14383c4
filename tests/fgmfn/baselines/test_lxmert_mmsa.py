"""LXMERT-MMSA: cells with their corners as objects, one cross-attention for both ways, and which weights are idle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from fgmfn.baselines.lxmert_mmsa import LxmertMmsaConfig, LxmertMmsaForSentiment
from fgmfn.encoders import pretrained_text_config
from fgmfn.errors import ConfigError
from tests.fgmfn.models import TINY, build

SETTINGS = TINY["lxmert_mmsa"].settings
SIZES = {"vocab_size": 60, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 40}


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
    with pytest.raises(ConfigError, match="expected lxmert or bert"):
        LxmertMmsaConfig(**SETTINGS | {"text_config": {"model_type": "roberta"}})


# --- a BERT in place of LXMERT's layers for words ---


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A folder of a small BERT, every number of which is another one than it is drawn with."""
    model = BertModel(BertConfig(**SIZES, num_hidden_layers=3), add_pooling_layer=False)
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    model.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@pytest.fixture
def beside_bert(bert: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """LXMERT-MMSA around it, with its backbone as drawn."""
    config = LxmertMmsaConfig(
        **SETTINGS
        | {"text_encoder": str(bert), "text_config": pretrained_text_config(str(bert)), "num_labels": 3}
        | {"object_layers": 2, "exchange_layers": 1, "freeze_text_layers": 1}
    )
    model = LxmertMmsaForSentiment(config)
    monkeypatch.setattr(model.image_encoder, "load_pretrained", lambda *_: None)
    config.pretrained = True
    model.load_pretrained(None)
    return model


def test_a_bert_reads_the_words_as_it_does_alone(beside_bert: Any, bert: Path, batch: dict[str, Tensor]) -> None:
    alone = BertModel.from_pretrained(bert, add_pooling_layer=False).eval()
    beside_bert.eval()
    seen: list[Tensor] = []
    beside_bert.lxmert.encoder.layer[-1].register_forward_hook(lambda _, args, output: seen.append(output[0]))
    batch["attention_mask"][1, 4:] = 0
    batch["token_type_ids"][:, 3:] = 1
    beside_bert(**batch)
    words = {name: value for name, value in batch.items() if name != "pixel_values"}
    expected = alone(**words).last_hidden_state
    assert torch.allclose(seen[0][batch["attention_mask"] == 1], expected[batch["attention_mask"] == 1], atol=1e-5)
    encoder = beside_bert.lxmert.encoder
    assert [len(encoder.layer), len(encoder.r_layers), len(encoder.x_layers)] == [3, 2, 1]
    (loaded,) = beside_bert.loaded
    assert (loaded.source, loaded.tensors, loaded.of) == (str(bert), len(alone.state_dict()), len(alone.state_dict()))


def test_what_a_bert_leaves_at_random_trains_and_is_said(beside_bert: Any, tmp_path: Path) -> None:
    still = {name for name, weight in beside_bert.lxmert.named_parameters() if not weight.requires_grad}
    below = ("embeddings.", "encoder.layer.0.", "encoder.x_layers.0.visn_")
    assert still == {name for name, _ in beside_bert.lxmert.named_parameters() if name.startswith(below)}
    (said,) = [line for line in beside_bert.departures() if "without LXMERT's own pretraining" in line]
    assert "2 and 1 in place of 5 and 5" in said
    assert not any("without LXMERT" in line for line in build("lxmert_mmsa").departures())
    beside_bert.save_pretrained(tmp_path / "saved")
    again = LxmertMmsaForSentiment.from_pretrained(tmp_path / "saved")
    state = again.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in beside_bert.state_dict().items())
    with pytest.raises(ConfigError, match="freeze_text_encoder = True; expected False beside a BERT"):
        LxmertMmsaConfig(**SETTINGS | {"text_config": {"model_type": "bert"}, "freeze_text_encoder": True})
