"""The parts that baselines share do what their formulas say, with padding and with nothing but padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fgmfn.baselines.parts.crops import BOXES, grid_boxes, whole_and_quarters
from fgmfn.baselines.parts.layers import (
    AdditiveAttention,
    BilinearAttention,
    MaskedLSTM,
    positions,
)
from fgmfn.baselines.parts.words import SPREAD, WordVectors, read_vectors
from fgmfn.baselines.text_cnn import TextCnnConfig, TextCnnForSentiment
from fgmfn.configuration import WordsConfig
from fgmfn.errors import WeightsError
from fgmfn.pooling import masked_mean, masked_softmax
from fgmfn.processing import train_words

MASK = torch.tensor([[1, 1, 0], [0, 0, 0]])


def test_nothing_but_padding_weighs_nothing_and_means_nothing() -> None:
    weights = masked_softmax(torch.randn(2, 4, 3), MASK)
    assert torch.allclose(weights.sum(dim=-1), torch.tensor([[1.0] * 4, [0.0] * 4]))
    assert (weights[0, :, 2] == 0).all()
    states = torch.tensor([[[1.0], [3.0], [99.0]]] * 2)
    assert masked_mean(states, MASK).tolist() == [[2.0], [0.0]]


def test_the_positions_of_a_span_end_with_the_text() -> None:
    mask = torch.tensor([[1, 1, 1, 0]])
    start, end = torch.tensor([1]), torch.tensor([2])
    everything = torch.tensor([4])
    assert positions(mask, start, end).tolist() == [[False, True, False, False]]
    assert positions(mask, torch.zeros_like(start), start).tolist() == [[True, False, False, False]]
    assert positions(mask, end, everything).tolist() == [[False, False, True, False]]


def test_additive_attention_is_its_formula() -> None:
    attention = AdditiveAttention(5, 4, 6)
    keys, query = torch.randn(2, 3, 5), torch.randn(2, 4)
    assert attention.query is not None
    scores = attention.score((attention.key(keys) + attention.query(query)[:, None]).tanh())[..., 0]
    expected = (scores.softmax(dim=1)[..., None] * keys).sum(dim=1)
    assert torch.allclose(attention(keys, query), expected, atol=1e-6)


def test_bilinear_attention_is_its_formula() -> None:
    attention = BilinearAttention(5, 4)
    keys, query = torch.randn(2, 3, 5), torch.randn(2, 4)
    scores = torch.einsum("bq,dq,bkd->bk", query, attention.weight.weight, keys).tanh()
    expected = (scores.softmax(dim=1)[..., None] * keys).sum(dim=1)
    assert torch.allclose(attention(keys, query), expected, atol=1e-6)
    assert (attention(keys, query, MASK)[1] == 0).all()


def test_a_padded_sequence_is_read_as_the_bare_one_in_both_directions() -> None:
    lstm = MaskedLSTM(4, 3, bidirectional=True)
    states = torch.randn(2, 3, 4)
    read = lstm(states, MASK)
    bare: Tensor = lstm.lstm(states[:1, :2])[0]
    assert torch.allclose(read[0, :2], bare[0], atol=1e-6)
    assert (read[0, 2] == 0).all()
    assert (read[1] == 0).all()


def test_quarters_are_cut_from_the_picture_itself() -> None:
    picture = torch.zeros(1, 3, 8, 8)
    picture[..., :4, 4:] = 1.0  # above, on the right
    whole, *quarters = whole_and_quarters(picture)[0]
    assert torch.equal(whole, picture[0])
    assert [float(quarter.mean()) for quarter in quarters] == [0.0, 1.0, 0.0, 0.0]
    assert BOXES[2] == (0.5, 0.0, 1.0, 0.5)


def test_the_boxes_of_a_grid_run_row_by_row() -> None:
    assert grid_boxes(2).tolist() == [
        [0, 0, 0.5, 0.5, 0.25],
        [0.5, 0, 1, 0.5, 0.25],
        [0, 0.5, 0.5, 1, 0.25],
        [0.5, 0.5, 1, 1, 0.25],
    ]


@pytest.fixture
def words() -> WordVectors:
    """Vectors of width 3 for five words."""
    return WordVectors(WordsConfig(vocab_size=5, word_size=3))


def test_drawn_vectors_follow_the_seed_and_padding_is_zero(words: WordVectors) -> None:
    again, other = (WordVectors(WordsConfig(vocab_size=5, word_size=3, word_seed=seed)) for seed in (0, 1))
    assert torch.equal(words.vectors.weight, again.vectors.weight)
    assert not torch.equal(words.vectors.weight, other.vectors.weight)
    assert words.vectors.weight[0].tolist() == [0, 0, 0]
    assert words.vectors.weight.abs().max() <= SPREAD


def test_a_files_vectors_replace_the_drawn_ones_of_its_words(words: WordVectors, tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("3 3\ngood 1 2 3\n. . 4 5 6\nabsent 7 8 9\n", encoding="utf-8")
    tokenizer = train_words(["Good bad"], 1)
    drawn = words.vectors.weight.detach().clone()
    words.load_pretrained(WordsConfig(vocab_size=5, word_size=3, word_vectors=str(file)), tokenizer)
    numbers = tokenizer.get_vocab()
    assert words.vectors.weight[numbers["good"]].tolist() == [1, 2, 3]
    assert torch.equal(words.vectors.weight[numbers["bad"]], drawn[numbers["bad"]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good 1 2\n", "line 1 is not a word and 3 numbers"),
        ("good 1 2 nan\n", "line 1 is not a word and 3 numbers"),
        ("absent 1 2 3\n", "none of the 1 words"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "vectors.txt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(WeightsError, match=message):
        read_vectors(file, {"good": 3}, 3)


def test_text_cnn_keeps_its_class_vectors_short() -> None:
    model = TextCnnForSentiment(TextCnnConfig(vocab_size=9, word_size=4, filters=5, max_norm=0.5))
    nn.init.constant_(model.classifier.weight, 3.0)
    model.after_step()
    assert model.classifier.weight.norm(dim=1).tolist() == pytest.approx([0.5, 0.5])


def test_a_filter_answers_words_alone_and_not_the_padding_behind_them() -> None:
    model = TextCnnForSentiment(TextCnnConfig(vocab_size=9, word_size=4, filters=5)).eval()
    for convolve in model.filters:
        nn.init.constant_(convolve.bias, 0.01)
        nn.init.constant_(convolve.weight, -1.0)
    nn.init.constant_(model.words.vectors.weight, 1.0)
    bare, mask = torch.full((1, 5), 3), torch.ones(1, 5)
    padded = [torch.nn.functional.pad(values, (0, 6)) for values in (bare, mask)]
    assert torch.equal(model(bare, mask).logits, model(*padded).logits)
