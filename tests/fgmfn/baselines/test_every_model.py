"""What holds for every model of the registry, whatever it is built of; a new model is tested by its line in tiny.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.configuration import model_settings
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.modeling import SentimentModel
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer, train_words
from fgmfn.sizes import full_size
from tests.fgmfn.baselines.data import ADS, TARGETS, TWEETS, ad_split, tweet_split
from tests.fgmfn.baselines.tiny import TINY

STEPPED = [name for name in MODELS if not issubclass(model_class(name), FittedModel)]
FITTED = [name for name in MODELS if name not in STEPPED]
KINDS = {"ads": ad_split, "tweets": tweet_split}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def build(name: str, *, classes: int = 3) -> SentimentModel:
    """A small model with the same weights every time."""
    torch.manual_seed(0)
    kind = model_class(name)
    return kind(kind.config_class(**TINY[name].settings, num_labels=classes))


def batch_of(model: SentimentModel, rows: Rows, numbers: list[int], extra: int = 0) -> dict[str, Tensor]:
    """A batch of some rows, as the trainer makes it; `extra` more padding behind every sentence and target."""
    texts = [*ADS, *TWEETS, *TARGETS]
    tokenizer = train_words(texts, 1) if model.inputs.tokens == "words" else train_tokenizer(texts, 60)
    assert len(tokenizer) <= 60, "the test data's words outgrow the tiny models' vocabulary"
    processor = FgmfnProcessor(image_processor(model.config), tokenizer, max_tokens=32, max_target_tokens=8)
    dataset = SplitDataset(rows, processor, model.inputs)
    batch = Collator(processor, model.inputs)([dataset[number] for number in numbers])
    own = {field.name: field.axes for field in model.inputs.extras}
    axes = {"input_ids": "n", "attention_mask": "n", "token_type_ids": "n", "target_ids": "m", "target_mask": "m"}
    for field, values in batch.items():
        for axis, letter in enumerate(own.get(field, axes.get(field, ())), 1):
            fill = tokenizer.pad_token_id if field in ("input_ids", "target_ids") else 0
            shape = [extra if at == axis and letter in "nm" else size for at, size in enumerate(values.shape)]
            values = torch.cat([values, values.new_full(shape, fill)], dim=axis)
        batch[field] = values
    return batch


def settings_of(model: SentimentModel) -> dict[str, Any]:
    """A model's own settings."""
    return {name: getattr(model.config, name) for name in model_settings(type(model.config))}


def awake(model: SentimentModel) -> SentimentModel:
    """Move weights away from zero, where some layers start: a gradient passes none of those at the first step."""
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():
                weight.normal_(std=0.1)
    return model


def logits(model: SentimentModel, batch: dict[str, Tensor]) -> Tensor:
    """What a model says in evaluation."""
    with torch.no_grad():
        return model.eval()(
            **{name: values for name, values in batch.items() if name not in ("labels", "groups")}
        ).logits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STEPPED)
def test_a_step_gives_every_parameter_a_gradient_or_it_is_declared_frozen(name: str, kind: str) -> None:
    model, rows = awake(build(name)), KINDS[kind]()
    output = model.train()(**batch_of(model, rows, [0, 1, 2, 3]))
    assert output.logits.shape == (4, 3)
    assert torch.isfinite(output.loss)
    output.loss.backward()
    # What only a target within the sentence reaches gets zeros from ads, but it gets them.
    silent = [
        part
        for part, weight in model.named_parameters()
        if weight.requires_grad and (weight.grad is None or (kind == "tweets" and not weight.grad.any()))
    ]
    assert [part for part in silent if not part.startswith(TINY[name].silent)] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STEPPED)
def test_padding_does_not_change_the_output(name: str, kind: str) -> None:
    model, rows = build(name), KINDS[kind]()
    bare, padded = (logits(model, batch_of(model, rows, [0, 1, 2, 3], extra)) for extra in (0, 5))
    assert torch.allclose(bare, padded, atol=1e-5)


@pytest.mark.parametrize("name", STEPPED)
def test_the_order_and_company_of_rows_do_not_change_their_output(name: str) -> None:
    model, rows = build(name), tweet_split()
    forward, backward = (logits(model, batch_of(model, rows, numbers)) for numbers in ([0, 1, 2, 3], [3, 2, 1, 0]))
    assert torch.allclose(forward, backward.flip(0), atol=1e-5)
    assert torch.allclose(forward[:1], logits(model, batch_of(model, rows, [0])), atol=1e-5)


@pytest.mark.parametrize("name", STEPPED)
def test_an_evaluated_model_says_the_same_twice(name: str) -> None:
    model, rows = build(name), tweet_split()
    batch = batch_of(model, rows, [0, 1, 2, 3])
    assert torch.equal(logits(model, batch), logits(model, batch))


@pytest.mark.parametrize("name", STEPPED)
def test_frozen_parts_stay_in_evaluation_and_keep_their_statistics(name: str) -> None:
    model = build(name).train()
    frozen = {part for part, weight in model.named_parameters() if not weight.requires_grad}
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(**batch_of(model, tweet_split(), [0, 1, 2, 3]))
    owners = {part.rsplit(".", 1)[0] for part in frozen}
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert [key for key in changed if key.rsplit(".", 1)[0] in owners] == []
    assert not any(model.get_submodule(owner).training for owner in owners)


@pytest.mark.parametrize("name", STEPPED)
def test_a_saved_model_says_the_same_when_it_is_loaded(name: str, tmp_path: Path) -> None:
    model, rows = build(name), tweet_split()
    batch = batch_of(model, rows, [0, 1, 2])
    model.save_pretrained(tmp_path)
    loaded = model_class(name).from_pretrained(tmp_path, local_files_only=True)
    assert torch.equal(logits(model, batch), logits(loaded, batch))
    assert settings_of(loaded) == settings_of(model)


@pytest.mark.parametrize("name", STEPPED)
def test_empty_and_hostile_texts_give_finite_outputs(name: str) -> None:
    model = build(name)
    rows = tweet_split(
        texts=["", " \0\ud800 \u202e", "good " * 5000, "x" * 100_000], targets=["", "\0", "y" * 9999, ""]
    )
    assert torch.isfinite(logits(model, batch_of(model, rows, [0, 1, 2, 3]))).all()
    assert torch.isfinite(logits(model, batch_of(model, rows, [0]))).all()


@pytest.mark.parametrize("name", MODELS)
def test_the_full_size_is_the_one_written_down(name: str) -> None:
    assert full_size(name) == TINY[name].full_size


@pytest.mark.parametrize("name", MODELS)
def test_the_registry_says_what_the_class_looks_at(name: str) -> None:
    kind: Any = model_class(name)
    assert MODELS[name].modalities == kind.modalities
    assert MODELS[name].source
    if name in STEPPED:
        assert ("pixel_values" in kind.inputs.fields) == ("image" in kind.modalities)


def test_every_model_has_its_line_of_tiny_settings() -> None:
    assert list(TINY) == list(MODELS)


@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_model_says_the_same_when_it_is_loaded(name: str, tmp_path: Path) -> None:
    rows = tweet_split()
    model = model_class(name)(model_class(name).config_class(**TINY[name].settings, num_labels=3))
    model.fit(rows, rows, seed=0)
    model.save_pretrained(tmp_path)
    said = model.probabilities(rows)
    assert said.sum(axis=1) == pytest.approx(1.0)
    assert np.array_equal(model_class(name).from_pretrained(tmp_path).probabilities(rows), said)
