"""What is recorded of a model's parts while it trains: right by another computation, and without a trace in it."""

from __future__ import annotations

import copy
import json
from math import log2
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from accelerate.utils.operations import convert_outputs_to_fp32
from safetensors.torch import load_file
from torch import Tensor
from transformers import TrainerControl, TrainerState, TrainingArguments

from fgmfn import recording
from fgmfn.data import SplitDataset
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.recording import PartsRecorder, attention_entropy, gate_entropy, look_inside
from fgmfn.training import train_models
from tests.fgmfn.baselines.test_every_model import STEPPED
from tests.fgmfn.conftest import Finished
from tests.fgmfn.models import ad_split, batch, batch_of, build, processor_for, small_config, tweet_split


def padded(rows: int = 4) -> dict[str, Tensor]:
    """A batch of texts of several lengths, the shortest of one token."""
    given = batch(rows)
    for row, length in enumerate((7, 4, 1, 2)[:rows]):
        given["attention_mask"][row, length:] = 0
    return given


def norms_by_backward(model: Any, given: dict[str, Tensor], loss: Any) -> dict[str, float]:
    """Norms of the gradients that `backward` leaves in a copy of the model."""
    other = copy.deepcopy(model).eval()
    loss(other(**given)).backward()
    squares: dict[str, float] = {}
    for name, weight in other.named_parameters():
        if weight.requires_grad:
            part = name.split(".")[0]
            squares[part] = squares.get(part, 0.0) + (0.0 if weight.grad is None else weight.grad.square().sum().item())
    return {part: square**0.5 for part, square in squares.items()}


# --- gradients ---


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head_unfused": True, "pooling": "attention", "cross_attention_tie_directions": True},
        {"cross_attention_enabled": False, "msvf_enabled": False, "mi_lambda": 0.5},
        {"itc_schedule": "falling", "itc_alpha": 0.4, "freeze_backbone": True, "freeze_text_encoder": True},
    ],
)
def test_norms_are_those_of_a_backward_pass_by_part_and_by_loss(changes: dict[str, Any]) -> None:
    model: Any = FgmfnForSentiment(
        small_config(**{"num_labels": 3, "itc_alpha": 0.8, "mi_beta": 0.05} | changes)
    ).train()
    model.progress = 0.25
    itc = changes.get("itc_alpha", 0.8) * (0.75 if "itc_schedule" in changes else 1)
    found = look_inside(model, padded())["gradients"]
    losses = {
        "loss": lambda output: output.loss,
        "task_loss": lambda output: output.task_loss,
        "itc_loss": lambda output: itc * output.itc_loss,
        "mi_loss": lambda output: 0.05 * output.mi_loss,
    }
    for name, loss in losses.items():
        expected = norms_by_backward(model, padded(), loss)
        assert {part: norms[name] for part, norms in found.items()} == pytest.approx(expected, rel=1e-4, abs=1e-7), name
    assert ("image_encoder" in found, "text_encoder" in found) == (("freeze_backbone" not in changes),) * 2


def test_looking_leaves_every_model_as_it_was_and_knows_its_whole_gradient() -> None:
    for name in STEPPED:
        model = build(name).train()
        given = batch_of(model, tweet_split(), [0, 1, 2, 3])
        next(model.parameters()).grad = torch.ones_like(next(model.parameters()))  # of another's making
        state = {each: values.clone() for each, values in model.state_dict().items()}
        modes, drawn = [part.training for part in model.modules()], torch.get_rng_state()
        seen = look_inside(model, given)
        assert torch.equal(torch.get_rng_state(), drawn), name
        assert [part.training for part in model.modules()] == modes, name
        assert all(torch.equal(values, state[each]) for each, values in model.state_dict().items()), name
        assert [weight.grad is None for weight in model.parameters()].count(False) == 1, name
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules()), name
        expected = norms_by_backward(build(name).train(), given, lambda output: output.loss)
        found = {part: norms["loss"] for part, norms in seen["gradients"].items()}
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6), name


def test_what_mixed_precision_shows_is_what_full_precision_shows_but_for_rounding() -> None:
    model: Any = FgmfnForSentiment(small_config()).train()
    exact = look_inside(model, padded())
    # as accelerate prepares a model for bf16
    mixed = torch.autocast("cpu", torch.bfloat16)(type(model).forward)
    model.forward = MethodType(convert_outputs_to_fp32(mixed), model)
    rounded = look_inside(model, padded())
    assert rounded["attention"] == pytest.approx(exact["attention"], abs=5e-3)
    assert rounded["gate"] == pytest.approx(exact["gate"], abs=5e-3)
    for part, norms in exact["gradients"].items():
        assert rounded["gradients"][part] == pytest.approx(norms, rel=0.1, abs=1e-3), part


# --- attention and gate ---


def entropy_by_hand(attention: Any, query: Tensor, context: Tensor, keys: Tensor, queries: Tensor) -> float:
    """Of a layer's attention, by its weights, for each row, head and real query on its own; masks [B, n]."""
    d, heads = attention.embed_dim, attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    asked, offered = query @ weight[:d].T + bias[:d], context @ weight[d : 2 * d].T + bias[d : 2 * d]
    found = []
    for row in range(len(query)):
        open_keys = keys[row].nonzero().flatten()
        if len(open_keys) == 1:
            continue
        for head in range(heads):
            own = slice(head * d // heads, (head + 1) * d // heads)
            for place in queries[row].nonzero().flatten():
                scores = offered[row, open_keys, own] @ asked[row, place, own] / (d // heads) ** 0.5
                shares = scores.exp() / scores.exp().sum()
                found.append(-sum(share * log2(share) for share in shares.tolist()) / log2(len(open_keys)))
    return sum(found) / len(found)


@pytest.mark.parametrize("tied", [False, True])
def test_the_entropy_of_a_layers_attention_is_that_of_its_weights(tied: bool) -> None:
    config = small_config(cross_attention_layers=2, cross_attention_tie_directions=tied)
    model: Any = FgmfnForSentiment(config)
    for weight in model.fusion.parameters():
        weight.data *= 4  # of an attention that chooses
    given, layer = padded(), model.fusion.layers[0]
    found = look_inside(model, given)["attention"]
    assert list(found) == ["1 text_from_image", "1 image_from_text", "2 text_from_image", "2 image_from_text"]
    with torch.no_grad():
        text = model.eval().encode_text(given["input_ids"], given["attention_mask"], None)
        image = model.visual_tokens(model.image_encoder(given["pixel_values"]))
        words, everywhere = given["attention_mask"].bool(), torch.ones(image.shape[:2], dtype=torch.bool)
        by_hand = {
            "1 text_from_image": entropy_by_hand(layer.text_from_image.attention, text, image, everywhere, words),
            "1 image_from_text": entropy_by_hand(layer.image_from_text.attention, image, text, words, everywhere),
        }
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand, abs=1e-5)
    assert max(by_hand.values()) < 0.97


@pytest.mark.parametrize("enabled", [False, True])
def test_an_attention_that_reads_all_alike_has_entropy_1(enabled: bool) -> None:
    model: Any = FgmfnForSentiment(small_config(cross_attention_enabled=enabled))
    for name, weight in model.fusion.named_parameters():
        if "in_proj" in name:
            weight.data[: 2 * 32] = 0  # nothing is asked for, nothing offered
    found = look_inside(model, padded())["attention"]
    assert len(found) == (4 if enabled else 6)
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=1e-6)


def test_an_attention_on_one_key_has_entropy_0_and_no_choice_has_none() -> None:
    ignored = torch.tensor([[False, False, True], [False, True, True]])
    weights = torch.zeros(2, 1, 2, 3)
    weights[..., 0] = 1
    assert attention_entropy(weights) == 0
    assert attention_entropy(weights, ignored) == 0
    assert attention_entropy(weights[1:], ignored[1:]) is None
    weights[0, 0, :, :2] = 0.5
    assert attention_entropy(weights, ignored) == pytest.approx(1)  # the second row has no choice
    weights[0, 0, 1] = torch.tensor([1.0, 0.0, 0.0])
    assert attention_entropy(weights, ignored) == pytest.approx(0.5)
    assert attention_entropy(weights, ignored, torch.tensor([[True, False], [True, True]])) == pytest.approx(1)


@pytest.mark.parametrize(("bias", "mean", "entropy"), [(1e4, 1.0, 0.0), (-1e4, 0.0, 0.0), (0.0, 0.5, 1.0)])
def test_a_gate_forced_open_or_closed_has_entropy_0(bias: float, mean: float, entropy: float) -> None:
    model: Any = FgmfnForSentiment(small_config())
    model.visual_tokens.salience.weight.data.zero_()
    model.visual_tokens.salience.bias.data.fill_(bias)
    assert look_inside(model, padded())["gate"] == pytest.approx({"mean": mean, "deviation": 0.0, "entropy": entropy})
    assert gate_entropy(torch.tensor([0.25])) == pytest.approx(-0.25 * log2(0.25) - 0.75 * log2(0.75))


# --- trainings ---


def parts_of(folder: Path) -> list[dict[str, Any]]:
    return [epoch["parts"] for epoch in json.loads((folder / "metrics.json").read_text())["epochs"]]


def test_a_training_is_bit_for_bit_the_same_where_nobody_looks(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, (looked_at, *_) = finished
    monkeypatch.setattr(PartsRecorder, "on_epoch_end", lambda *_, **__: None)
    (alone,) = train_models(
        folder / "releases/2026.11.24", folder / "config.toml", tmp_path, ("fgmfn",), progress=False
    )
    record = json.loads((alone.checkpoint / "metrics.json").read_text())
    assert not any("parts" in epoch for epoch in record["epochs"])
    one, other = (load_file(run.checkpoint / "model.safetensors") for run in (looked_at, alone))
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert record["history"][:-1] == json.loads((looked_at.checkpoint / "metrics.json").read_text())["history"][:-1]


def test_every_epoch_is_recorded_on_the_same_rows_as_far_as_a_model_has_such_parts(finished: Finished) -> None:
    fgmfn, text_only, image_only = (parts_of(trained.checkpoint) for trained in finished[1])
    assert [len(parts) for parts in (fgmfn, text_only, image_only)] == [2, 2, 2]
    for parts in fgmfn:
        assert parts["rows"] == 8  # as many as go through the model at once
        assert set(parts["gradients"]["visual_tokens"]) == {"loss", "task_loss", "itc_loss", "mi_loss"}
        assert 0 < parts["gate"]["entropy"] <= 1
        assert list(parts["attention"]) == ["1 text_from_image", "1 image_from_text"]
    assert text_only[0]["gradients"].keys() == {"text_encoder", "head"}
    assert text_only[0]["gradients"]["head"].keys() == {"loss", "task_loss"}
    for parts in (*text_only, *image_only):
        assert (parts["gate"], parts["attention"]) == (None, {})


def test_the_sample_is_drawn_by_its_seed_and_by_no_other_generator() -> None:
    model = build("fgmfn")
    processor = processor_for(model)
    rows = SplitDataset(ad_split(), processor, model.inputs)

    def sample(seed: int, at_once: int = 3) -> list[list[int]]:
        given = PartsRecorder(model, processor, rows, at_once=at_once, seed=seed)._batch
        ids: list[list[int]] = given["input_ids"].tolist()
        return ids

    drawn = torch.get_rng_state()
    samples = [[sample(seed) for _ in range(2)] for seed in range(4)]
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(one == other for one, other in samples)
    assert len({str(one) for one, _ in samples}) > 1
    assert (len(sample(0)), len(sample(0, at_once=100))) == (3, 4)


def test_other_processes_do_not_look_and_a_lack_of_memory_ends_no_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    model = build("fgmfn")
    processor = processor_for(model)
    rows = SplitDataset(ad_split(), processor, model.inputs)
    one = PartsRecorder(model, processor, rows, at_once=3, seed=0)
    control, args = TrainerControl(), TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    one.on_epoch_end(args, TrainerState(is_world_process_zero=False), control)
    assert one.newest is None
    one.on_epoch_end(args, TrainerState(), control)
    assert one.newest is not None and one.newest["rows"] == 3  # noqa: PT018  mypy

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(recording, "look_inside", full)
    one.on_epoch_end(args, TrainerState(), control)
    assert one.newest is None
    assert "no memory to look" in caplog.text
