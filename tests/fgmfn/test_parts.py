"""What may be added to FGMFN's parts: each setting does what it says, and off it is the paper's model."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from fgmfn.configuration import ADDED, FgmfnConfig
from fgmfn.errors import ConfigError
from fgmfn.fusion import Hiding
from fgmfn.losses import contrastive_loss, evenly
from fgmfn.modeling import FgmfnForSentiment
from tests.fgmfn.models import batch, small_config

SETTINGS: dict[str, Any] = {
    "cross_attention_starts_closed": True,
    "msvf_fine_grid": True,
    "hide_text": 0.3,
    "hide_image": 0.3,
    "image_pooling": "mean",
    "head_unfused": True,
    "itc_same_class": 0.5,
    "itc_schedule": "falling",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_trains_every_weight_and_comes_back_from_its_folder(name: str, tmp_path: Path) -> None:
    model = FgmfnForSentiment(small_config(**{name: SETTINGS[name]}))
    model(**batch(4)).loss.backward()
    silent = [each for each, weight in model.named_parameters() if weight.grad is None]
    assert silent == []
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model.eval()(**batch(labels=False)).logits
        again = FgmfnForSentiment.from_pretrained(tmp_path).eval()(**batch(labels=False)).logits
    assert torch.equal(again, expected)


@pytest.mark.parametrize("name", ["hide_text", "hide_image", "itc_same_class", "itc_schedule"])
def test_what_is_of_training_alone_changes_no_prediction(name: str) -> None:
    said = []
    for changes in ({}, {name: SETTINGS[name]}):
        torch.manual_seed(1)
        with torch.no_grad():
            said.append(FgmfnForSentiment(small_config(**changes)).eval()(**batch(labels=False)).logits)
    assert torch.equal(*said)


@pytest.mark.parametrize("feed_forward", [False, True])
def test_a_closed_fusion_adds_nothing_and_learns_to(feed_forward: bool) -> None:
    config = small_config(cross_attention_starts_closed=True, cross_attention_feed_forward=feed_forward)
    model: Any = FgmfnForSentiment(config).eval()
    text, image = torch.randn(2, 5, 32), torch.randn(2, 5, 32)
    fused = model.fusion(text, image, torch.ones(2, 5, dtype=torch.bool))
    for before, after in zip((text, image), fused, strict=True):
        assert torch.allclose(after, F.layer_norm(before, (32,)), atol=1e-4)
    fused[0].square().sum().backward()
    last = model.fusion.layers[-1].text_from_image
    branch = last.feed_forward.layers[2] if feed_forward else last.attention.out_proj
    assert branch.weight.grad.abs().sum() > 0


def test_a_fine_grid_has_a_token_for_each_cell_of_the_joint_map() -> None:
    pictures = batch(labels=False)["pixel_values"]
    models: dict[bool, Any] = {fine: FgmfnForSentiment(small_config(msvf_fine_grid=fine)) for fine in (False, True)}
    weights = models[False].state_dict()
    models[True].load_state_dict({name: weights[name] for name in weights if "position" not in name}, strict=False)
    tokens = {}
    for fine, model in models.items():
        model.eval().visual_tokens.position.cells.weight.data.zero_()
        model.visual_tokens.norm = torch.nn.Identity()
        with torch.no_grad():
            tokens[fine] = model.visual_tokens(model.image_encoder(pictures))
    assert tokens[True].shape[1] == 1 + 4 * (tokens[False].shape[1] - 1)
    fine_cells, coarse = tokens[True][:, 1:].view(3, 4, 4, 32), tokens[False][:, 1:].view(3, 2, 2, 32)
    for row in range(2):
        for column in range(2):
            four = fine_cells[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean(dim=(1, 2))
            assert torch.allclose(four, coarse[:, row, column], atol=1e-5)


def test_rows_lose_one_modality_as_often_as_is_said_and_never_both() -> None:
    torch.manual_seed(0)
    hiding = Hiding(0.3, 0.2).train()
    text, image = hiding(torch.ones(20_000, 3, 2), torch.ones(20_000, 4, 2))
    hidden_text, hidden_image = (states.flatten(1).sum(dim=1) == 0 for states in (text, image))
    assert not (hidden_text & hidden_image).any()
    assert hidden_text.float().mean().item() == pytest.approx(0.3, abs=0.015)
    assert hidden_image.float().mean().item() == pytest.approx(0.2, abs=0.015)
    assert set(torch.cat([text, image], dim=1).unique().tolist()) == {0.0, 1.0}
    given = torch.ones(2, 3, 2)
    assert all(states is given for states in hiding.eval()(given, given))


def test_an_unfused_head_sees_both_modalities_where_the_fusion_is_blind() -> None:
    first, second = batch(labels=False), batch(labels=False)
    second["input_ids"] = second["input_ids"].flip(0)
    changed = {}
    for unfused in (False, True):
        model: Any = FgmfnForSentiment(small_config(head_unfused=unfused)).eval()
        model.fusion.forward = lambda text, image, _, **wanted: (torch.zeros_like(text), torch.zeros_like(image))
        with torch.no_grad():
            changed[unfused] = not torch.equal(model(**first).logits, model(**second).logits)
    assert changed == {False: False, True: True}


def test_rows_of_one_class_share_a_part_of_the_contrastive_target() -> None:
    labels, share = torch.tensor([0, 0, 1]), 0.4
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]])  # symmetric: both directions are alike
    targets = evenly(torch.eye(3)).lerp(evenly(labels[:, None] == labels), share)
    assert targets[0].tolist() == pytest.approx([0.8, 0.2, 0.0])  # 0.6 for itself, 0.4 shared by two
    lost = [
        log(sum(map(pow, [2.718281828459045] * 3, row))) - sum(t * x for t, x in zip(target, row, strict=True))
        for row, target in zip(logits.tolist(), [[0.8, 0.2, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]], strict=True)
    ]
    assert contrastive_loss(logits, targets).item() == pytest.approx(sum(lost) / 3)
    model: Any = FgmfnForSentiment(small_config(itc_same_class=share)).eval()
    seen = {}
    for name, classes in (("alike", [1, 1, 1]), ("apart", [0, 1, 2])):
        model.config.num_labels = 3
        vectors = torch.eye(3, 32)
        seen[name] = model.contrast(vectors, vectors, None, torch.tensor(classes)).item()
    own: Any = FgmfnForSentiment(small_config()).eval()
    own.contrast.load_state_dict(model.contrast.state_dict())
    assert seen["apart"] == pytest.approx(own.contrast(vectors, vectors, None, torch.zeros(3)).item(), rel=1e-5)
    assert seen["alike"] != pytest.approx(seen["apart"], rel=1e-3)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.floats(0, 1))
def test_every_contrastive_target_is_a_distribution_and_the_pair_itself_is_in_it(labels: list[int], s: float) -> None:
    own = torch.tensor(labels)
    targets = evenly(torch.eye(len(labels))).lerp(evenly(own[:, None] == own), s)
    assert torch.allclose(targets.sum(dim=1), torch.ones(len(labels)))
    assert torch.equal(targets, targets.T)
    assert (targets.diagonal() > 0).all()


@pytest.mark.parametrize("done", [0.0, 0.25, 1.0])
def test_a_falling_contrast_counts_by_what_remains_of_the_training(done: float) -> None:
    model: Any = FgmfnForSentiment(small_config(itc_schedule="falling", itc_alpha=0.8)).eval()
    model.progress = done
    said = model(**batch(4))
    expected = said.task_loss + 0.8 * (1 - done) * said.itc_loss + 0.05 * said.mi_loss
    assert said.loss.item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hide_text": 0.6, "hide_image": 0.4}, "less than 1"),
        ({"itc_same_class": 1.2}, r"in \[0, 1\]"),
        ({"itc_schedule": "rising"}, "one of constant, falling"),
        ({"image_pooling": "last"}, "one of first, mean, attention"),
        ({"itc_schedule": "falling", "itc_alpha": 0}, "itc_schedule = 'falling'.* while itc_alpha is off"),
        ({"msvf_fine_grid": True, "msvf_enabled": False}, "while msvf_enabled is off"),
    ],
)
def test_what_cannot_be_or_would_do_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_config(**changes)


OTHER = {bool: True, float: 0.25, int: 1}
NAMED = {"pooling": "mean", "image_pooling": "attention", "itc_schedule": "falling", "mi_direction": "reverse"}


@pytest.mark.parametrize("name", sorted(ADDED))
def test_what_the_papers_model_has_not_is_said_of_whoever_has_it(name: str) -> None:
    default = vars(FgmfnConfig)[name]
    value = NAMED.get(name) or OTHER[type(default)]
    config = FgmfnConfig(**{name: value})
    line = f"{name} {value} in place of {default}"
    assert line in config.departures(("text", "image"))
    assert (line in config.departures(("text",))) == (name == "pooling")
    assert (line in config.departures(("image",))) == (name == "msvf_fine_grid")
    assert not FgmfnConfig().departures(("text", "image"))
