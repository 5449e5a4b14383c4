"""Batches hold what a model asks for: targets, where they stand, pairs, marks and fields of a model's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgmfn.baselines import model_class
from fgmfn.configuration import FgmfnConfig
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.data.rows import shuffled
from fgmfn.errors import DataError
from fgmfn.inputs import PAIR, SENTENCE, TARGET, Extra, Inputs, Sentence
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer, train_words
from tests.fgmfn.models import ADS, TARGETS, TWEETS, ad_split, tweet_split


def processor(inputs: Inputs, **settings: Any) -> FgmfnProcessor:
    """A processor with the tokens that the model wants."""
    texts = [*ADS, *TWEETS, *TARGETS]
    tokenizer = train_words(texts, 1) if inputs.tokens == "words" else train_tokenizer(texts, 60)
    return FgmfnProcessor(image_processor(FgmfnConfig(image_size=64)), tokenizer, **settings)


def batch(rows: Rows, inputs: Inputs, **settings: Any) -> tuple[dict[str, Any], Any]:
    """All rows as one batch, and the tokenizer that made it."""
    made = processor(inputs, **settings)
    dataset = SplitDataset(rows, made, inputs)
    return Collator(made, inputs)([dataset[row] for row in range(len(rows))]), made.tokenizer


@pytest.mark.parametrize("tokens", ["words", "pieces"])
def test_the_span_is_where_the_target_stands(tokens: Any) -> None:
    made, tokenizer = batch(tweet_split(), Inputs((*SENTENCE, "target_span"), tokens=tokens))
    for ids, (start, end), target in zip(made["input_ids"], made["target_span"], TARGETS, strict=True):
        assert tokenizer.decode(ids[start:end]) == target.lower()


def test_the_span_of_a_marked_sentence_is_its_mark() -> None:
    made, tokenizer = batch(tweet_split(), Inputs((*SENTENCE, "target_span"), tokens="words", marked=True))
    for ids, (start, end) in zip(made["input_ids"], made["target_span"], strict=True):
        assert tokenizer.convert_ids_to_tokens(ids[start:end]) == ["$", "t", "$"]


def test_an_ads_category_has_no_place_in_its_text() -> None:
    made, _ = batch(ad_split(), Inputs((*SENTENCE, "target_span"), tokens="words"))
    assert made["target_span"].tolist() == [[0, 0]] * 4


def test_a_target_that_was_cut_off_has_no_place() -> None:
    inputs = Inputs((*SENTENCE, "target_span"), tokens="words")
    made, _ = batch(tweet_split(), inputs, max_tokens=4)
    assert made["target_span"].tolist()[3] == [0, 0]


@pytest.mark.parametrize(
    ("pair", "rows", "paired"),
    [
        ("always", ad_split, True),
        ("real_target", ad_split, False),
        ("real_target", tweet_split, True),
        ("never", tweet_split, False),
    ],
)
def test_a_pair_is_made_where_the_model_and_the_data_have_one(pair: Any, rows: Any, paired: bool) -> None:
    made, _ = batch(rows(), Inputs(PAIR, pair=pair))
    assert bool(made["token_type_ids"].any()) == paired


def test_a_batch_holds_what_was_asked_for_and_nothing_else() -> None:
    made, _ = batch(tweet_split(), Inputs(("pixel_values", *TARGET), tokens="words"))
    assert set(made) == {"pixel_values", "target_ids", "target_mask", "labels"}
    assert made["target_mask"].sum(dim=1).tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize(("limit", "length"), [(32, 16), (13, 13)])
def test_sentences_are_padded_to_a_multiple_but_not_beyond_the_limit(limit: int, length: int) -> None:
    rows = tweet_split(["good " * 9 + "$T$", "$T$", "$T$", "$T$"])
    assert batch(rows, Inputs(SENTENCE, tokens="words"), max_tokens=limit)[0]["input_ids"].shape == (4, length)


def test_a_field_of_a_models_own_is_padded_along_its_axes() -> None:
    def distances(sentence: Sentence, tokenizer: Any) -> np.ndarray:
        places = np.arange(len(sentence.input_ids))
        return abs(places[:, None] - places).astype(np.float32)

    def vowels(sentence: Sentence, tokenizer: Any) -> np.ndarray:
        return np.array([ord(sign) for sign in sentence.target if sign in "aeiou"])

    inputs = Inputs(
        SENTENCE, tokens="words", extras=(Extra("far", ("n", "n"), distances), Extra("vowels", ("v",), vowels))
    )
    made, _ = batch(tweet_split(), inputs)
    assert made["far"].shape == (4, 16, 16)
    assert made["far"][1].sum() == sum(abs(a - b) for a in range(3) for b in range(3))
    assert made["vowels"].tolist() == [[111, 0], [101, 111], [117, 0], [101, 101]]


def test_a_field_that_no_batch_has_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fields noun_mask"):
        Inputs(("noun_mask",))


def test_pictures_that_are_not_there_are_asked_for() -> None:
    rows = Rows(["a"], ["a"], ["x"], [""], [(0, 0)], [0], ["a"], None, False)
    inputs = Inputs(("pixel_values",))
    with pytest.raises(DataError, match="--images DIR"):
        SplitDataset(rows, processor(inputs), inputs)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_every_row_is_shown_the_picture_of_another_group_and_each_picture_once(numbers: list[int]) -> None:
    groups = [f"ad{number}" for number in numbers]
    if 2 * max(map(numbers.count, numbers)) > len(numbers):
        with pytest.raises(DataError, match="not every one can have the picture of another"):
            shuffled(groups)
        return
    shown = shuffled(groups)
    assert sorted(shown) == list(range(len(groups)))
    assert all(groups[row] != groups[other] for row, other in enumerate(shown))
    assert shown == shuffled(groups)
    assert shuffled(groups[:1]) == [0]


def test_a_control_with_shuffled_pictures_keeps_its_words_and_labels() -> None:
    rows = tweet_split()
    own, control = (model_class(name).inputs for name in ("fgmfn", "shuffled_pictures"))
    made = processor(own)
    before, after = (SplitDataset(rows, made, inputs) for inputs in (own, control))
    shown = shuffled(rows.group)
    for row in range(len(rows)):
        assert after[row]["input_ids"] == before[row]["input_ids"]
        assert after[row]["labels"] == before[row]["labels"]
        assert torch.equal(after[row]["pixel_values"], before[shown[row]]["pixel_values"])
        assert not torch.equal(after[row]["pixel_values"], before[row]["pixel_values"])
        assert after[row]["groups"][:2] == before[row]["groups"][:2]
        assert after[row]["groups"][2] == before[shown[row]]["groups"][2]
