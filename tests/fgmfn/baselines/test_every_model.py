"""Promises that every model of the registry keeps; a new model is tested by its line in models.py."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForSequenceClassification

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.building import build_model
from fgmfn.configuration import WordsConfig, model_settings
from fgmfn.data import SplitDataset
from fgmfn.errors import ConfigError, InputError
from fgmfn.modeling import SentimentModel
from fgmfn.processing import FgmfnProcessor, read_by
from fgmfn.settings import DataSettings, ModelSettings, TrainingSettings
from fgmfn.sizes import full_size, on_meta_device, parameter_counts
from tests.fgmfn.models import TINY, TWEETS, ad_split, batch_of, build, logits, processor_for, tweet_split

STEPPED = [name for name in MODELS if not issubclass(model_class(name), FittedModel)]
KINDS = {"ads": ad_split, "tweets": tweet_split}


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


@pytest.mark.parametrize("name", STEPPED)
def test_a_model_says_which_of_its_papers_parts_are_replaced_or_start_at_random(name: str) -> None:
    kind = model_class(name)
    known = model_settings(kind.config_class)

    def said(**settings: Any) -> list[str]:
        return kind.config_class(**settings).departures(kind.modalities)

    whole = said()
    words = ["its word vectors started at random"] if issubclass(kind.config_class, WordsConfig) else []
    sentiment = ["no sentiment of words (setting sentiment_words): every word's value is 0"] if name == "aom" else []
    assert whole == words + sentiment
    others: dict[str, Any] = {"text_encoder": "package:small"} if "text" in kind.modalities else {}
    others |= {"image_size": 160} if "image" in kind.modalities else {}
    others |= {"backbone": "vgg11" if name == "vgg16" else "resnet10t"} if "image" in kind.modalities else {}
    replaced = {setting: value for setting, value in others.items() if setting in known}
    found = said(**replaced)
    assert len(found) == len(whole) + len(replaced)
    for value in replaced.values():
        assert sum(f" {str(value).removeprefix('package:')} " in line for line in found) == 1
    if "pretrained" in known:
        assert said(**TINY[name].settings).count("its encoders started at random") == 1
    if "word_size" in known:
        narrow = said(word_vectors="glove.txt", word_size=50)
        assert narrow == [f"word_size 50 in place of {kind.config_class.word_size}"]


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
def test_a_model_says_the_same_twice_and_when_it_is_loaded(name: str, tmp_path: Path) -> None:
    model = build(name)
    batch = batch_of(model, tweet_split(), [0, 1, 2])
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, local_files_only=True)
    assert type(loaded) is model_class(name)
    said = logits(model, batch)
    assert torch.equal(said, logits(model, batch))
    assert torch.equal(said, logits(loaded, batch))
    assert settings_of(loaded) == settings_of(model)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", STEPPED)
def test_a_model_of_half_precision_takes_the_batches_of_a_whole_one(name: str, precision: torch.dtype) -> None:
    model = build(name).eval()
    batch = batch_of(model, tweet_split(), [0, 1, 2, 3])
    with torch.no_grad():
        whole, half = model(**batch), model.to(precision)(**batch)
    assert half.logits.dtype == precision
    assert torch.allclose(half.logits.float(), whole.logits, atol=0.05)
    # A loss is a mean over rows and classes: half of the digits would be lost in it.
    losses = [half[part] for part in half if part.endswith("loss")]
    assert {loss.dtype for loss in losses} == {torch.float32}
    assert torch.allclose(half.loss, whole.loss, atol=0.05)


@pytest.mark.parametrize("name", STEPPED)
def test_an_output_is_a_tuple_where_that_is_wanted(name: str) -> None:
    model = build(name).eval()
    batch = batch_of(model, tweet_split(), [0, 1])
    with torch.no_grad():
        named, bare = model(**batch), model(**batch, return_dict=False)
        model.config.return_dict = False
        by_default = model(**batch)
    assert type(bare) is type(by_default) is tuple
    assert len(bare) == len(named)
    for value, first, second in zip(named.values(), bare, by_default, strict=True):
        assert torch.equal(value, first)
        assert torch.equal(value, second)


@pytest.mark.parametrize("name", STEPPED)
def test_layers_that_are_computed_again_give_the_same_gradients_or_are_refused(name: str) -> None:
    model = build(name).train()
    batch = batch_of(model, tweet_split(), [0, 1, 2, 3])

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        torch.manual_seed(1)  # of dropout
        model(**batch).loss.backward()
        return {part: weight.grad.clone() for part, weight in model.named_parameters() if weight.grad is not None}

    kept = gradients()
    if name == "mtvaf" or not hasattr(model, "text_encoder"):
        with pytest.raises(ConfigError, match="gradient_checkpointing"):
            model.activation_checkpointing_enable()
        return
    model.activation_checkpointing_enable()
    assert model.is_activation_checkpointing
    again = gradients()
    assert again.keys() == kept.keys()
    assert all(torch.equal(again[part], kept[part]) for part in kept)
    model.activation_checkpointing_disable()
    assert not model.is_activation_checkpointing


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


BERT_LAYER = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
BERT_BASE = (30_522 + 512 + 2) * 768 + 2 * 768 + 12 * BERT_LAYER
"""Without its pooler."""
RESNETS = {"resnet50": 23_508_032, "resnet152": 58_143_808}
"""Frozen, without their classifiers."""
POOLER = SQUARE = 768 * 768 + 768
CLASSIFIER = 768 * 3 + 3
LSTM = 4 * 100 * (100 + 100) + 8 * 100
SIDE = LSTM + 100 * 100 + 2 * (100 * 100 + 100)
BILSTM = 2 * (4 * 100 * (300 + 100) + 8 * 100)
MEMORY = 2 * (2 * 200 * 200 + 200 + 200) + 3 * 200 * (200 + 200) + 6 * 200
PARTS: dict[str, dict[str, int]] = {
    "arfn": {
        "text_encoder": BERT_BASE,
        "target_encoder": BERT_BASE,
        "cells": 4 * 2048 * 4096 + 4096 + 4096 * 768 + 768,
        "sentence_lstm": 2 * (4 * 384 * (768 + 384) + 8 * 384),
        "from_image": BERT_LAYER + SQUARE,
        "from_sentence": BERT_LAYER + SQUARE,
        "pooler": POOLER,
        "fusion": 2304 * 1152 + 1152 + 1152 * 768 + 768,
        "classifier": CLASSIFIER,
    },
    "esafn": {
        "words": 10_000 * 100,
        "target_lstm": LSTM,
        "left": SIDE,
        "right": SIDE,
        "gated_picture.attention": 2048 * 100 + 100 + 100 * 100 + 100,
        "gated_picture.picture": 2048 * 100 + 100,
        "gated_picture.gate": (400 + 2048) * 100 + 100,
        "fusion": 400 * 100 + 100 + 100 * 100 + 100,
        "classifier": 600 * 3 + 3,
    },
    "mimn": {
        "words": 10_000 * 300,
        "context_lstm": BILSTM,
        "target_lstm": BILSTM,
        "region_lstm": 2 * (4 * 100 * (2048 + 100) + 8 * 100),
        "text_memory": MEMORY,
        "image_memory": MEMORY,
        "classifier": 400 * 3 + 3,
    },
    "tombert": {
        "text_encoder": BERT_BASE,
        "target_encoder": BERT_BASE,
        "regions": 2048 * 768 + 768,
        "target_to_image": BERT_LAYER,
        "image_pooler": POOLER,
        "joined": BERT_LAYER,
        "pooler": POOLER,
        "classifier": CLASSIFIER,
    },
    "aom": {
        "text_encoder": 50265 * 768 + 1026 * 768 + 2 * 768 + 6 * BERT_LAYER,
        "region": 2048 * 768 + 768,
        "attention": 2 * SQUARE + 2 * 768 + 2 * 768 + 1,
        "word_value": 2 * 768,
        "graph": 2 * SQUARE,
        "classifier": CLASSIFIER,
    },
    "mtvaf": {
        "text_encoder": BERT_BASE,
        "prefix": 3840 * 800 + 800 + 800 * 6144 + 6144 + 12 * (1536 * 4 + 4),
        "classifier": CLASSIFIER,
    },
}
"""Trained parameters of models of several parts, worked out by hand from their papers."""


@pytest.mark.parametrize("name", PARTS)
def test_the_parts_have_the_papers_size(name: str) -> None:
    config = model_class(name).config_class(num_labels=3)
    model = on_meta_device(model_class(name), config)
    parts = PARTS[name]
    assert {part: parameter_counts(model.get_submodule(part))[1] for part in parts} == parts
    trained = sum(parts.values())
    assert TINY[name].full_size == (trained + RESNETS[config.backbone], trained)


@pytest.mark.parametrize("name", ["arfn", "lxmert_mmsa", "vilbert", "mtvaf"])
def test_the_card_of_a_model_that_needs_a_detector_says_that_there_is_none(name: str) -> None:
    assert any("no detector" in note for note in model_class(name).notes)


@pytest.mark.parametrize("name", MODELS)
def test_the_registry_says_what_the_class_looks_at(name: str) -> None:
    kind: Any = model_class(name)
    assert MODELS[name].modalities == kind.modalities
    assert MODELS[name].source
    if name in STEPPED:
        assert ("pixel_values" in kind.inputs.fields) == ("image" in kind.modalities)


def test_every_model_has_its_line_of_tiny_settings() -> None:
    assert list(TINY) == list(MODELS)


@pytest.mark.parametrize("name", STEPPED)
@pytest.mark.parametrize("has_targets", [True, False])
def test_a_model_takes_what_the_processor_beside_it_makes(name: str, has_targets: bool, tmp_path: Path) -> None:
    model, rows = build(name).eval(), tweet_split() if has_targets else ad_split()
    made = processor_for(model)
    made.reads = read_by(model.inputs, has_targets=has_targets)
    made.save_pretrained(tmp_path)
    processor = FgmfnProcessor.from_pretrained(tmp_path)
    images = [Image.open(BytesIO(rows.pictures.read(row))) for row in range(4)]
    given: dict[str, Any] = {"images": images, "text": rows.text, "targets": rows.target}
    if model.inputs.extras:
        with pytest.raises(InputError, match=f"{model.inputs.extras[0].name}.*which no processor makes: use predict"):
            processor(**given)
        return
    with torch.no_grad():
        said = model(**processor(**given)).logits
    if not model.inputs.shuffled:  # rows of data have other rows' pictures there, by design
        assert torch.allclose(said, logits(model, batch_of(model, rows, [0, 1, 2, 3])), atol=1e-5)
    if has_targets and model.inputs.reads_target(real=True):
        with pytest.raises(InputError, match="give what each text is about"):
            processor(images=images, text=rows.text)
    elif not has_targets:
        with torch.no_grad():
            assert model(**processor(images=images, text=rows.text)).logits.shape == (4, 3)


@pytest.mark.parametrize("name", [name for name in STEPPED if model_class(name).inputs.marked])
def test_a_learned_tokenizer_knows_the_mark_of_a_target(name: str) -> None:
    kind, rows = model_class(name), tweet_split()
    assert not set("$T") & set("".join([*rows.text, *rows.target]).replace("Tom", ""))
    settings = ModelSettings(TINY[name].settings, DataSettings(), TrainingSettings())
    _, processor = build_model(kind, settings, rows, ["negative", "neutral", "positive"])
    read, dataset = processor.tokenizer, SplitDataset(rows, processor, kind.inputs)
    for number, tweet in enumerate(TWEETS):
        words = read.convert_ids_to_tokens(dataset[number]["input_ids"])
        assert read.unk_token not in words, tweet
        assert any(words[at : at + 3] == ["$", "t", "$"] for at in range(len(words))), tweet


def test_batches_that_do_not_fit_are_refused_by_their_fields() -> None:
    model = build("fgmfn")
    given = batch_of(model, ad_split(), [0, 1, 2])
    with pytest.raises(InputError, match=r"2 input_ids.*3 attention_mask"):
        model(**(given | {"input_ids": given["input_ids"][:2]}))
    long = torch.ones(3, 67, dtype=torch.long)
    for name in ("fgmfn", "text_only", "roberta", "tombert", "vilbert", "late_fusion", "own_late_fusion", "mtvaf"):
        with pytest.raises(InputError, match=r"a text of 67 word pieces; .* reads at most 6\d"):
            build(name)(input_ids=long, attention_mask=long)


@pytest.mark.parametrize("name", ["fgmfn", "roberta", "tombert", "lxmert_mmsa", "late_fusion"])
def test_there_may_be_more_word_pieces(name: str, tmp_path: Path) -> None:
    model = build(name)
    before = model.get_input_embeddings().num_embeddings
    model.resize_token_embeddings(before + 5)
    given = batch_of(model, tweet_split(), [0, 1])
    given["input_ids"][0, 0] = before + 4
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.get_input_embeddings().num_embeddings == before + 5
    assert torch.equal(logits(loaded, given), logits(model, given))
    with pytest.raises(NotImplementedError, match="Vgg16ForSentiment"):
        build("vgg16").get_input_embeddings()


def test_a_model_is_pickled_after_gradient_checkpointing_was_on() -> None:
    for name in ("fgmfn", "roberta", "tombert", "late_fusion"):
        model = build(name)
        model.activation_checkpointing_enable()
        model.activation_checkpointing_disable()
        again = pickle.loads(pickle.dumps(model))  # noqa: S301  our own
        given = batch_of(model, tweet_split(), [0, 1])
        assert torch.equal(logits(again, given), logits(model, given))
