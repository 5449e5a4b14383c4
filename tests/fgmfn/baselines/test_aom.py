"""AoM: words, heads, nouns and values of tokens; the noun attention, the graph and its layers on small numbers."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fgmfn.baselines.aom import AomConfig, GraphConvolution, NounAttention, associate
from fgmfn.baselines.parts.grammar import LONGEST, Annotation, Grammar, Word, chain
from fgmfn.baselines.parts.words import read_word_values
from fgmfn.errors import ConfigError, WeightsError
from fgmfn.inputs import Sentence
from tests.fgmfn.models import ad_split, batch_of, build, logits, tweet_split

TOKENIZER = SimpleNamespace(cls_token_id=1, sep_token_id=2, bos_token_id=None, eos_token_id=None)
TEXT = "Sad Tom"
TWO_WORDS = Sentence(
    TEXT, "Tom", "", [1, 10, 11, 12, 2, 12, 2], [(0, 0), (0, 2), (2, 3), (4, 7), *[(0, 0)] * 3], (3, 4)
)


class TwoWords(Grammar):
    """Of `Sad Tom` the first word depends on the second, which is a noun."""

    def __call__(self, text: str) -> list[Word]:
        assert text == TEXT
        return [Word(0, 3, 1, False), Word(4, 7, 1, True)]


ANNOTATION = Annotation(TwoWords(""), {"sad": -0.5})


def test_every_piece_of_a_word_is_of_that_word_and_special_tokens_are_of_none() -> None:
    assert ANNOTATION.words(TWO_WORDS, TOKENIZER).tolist() == [0, 1, 1, 2, 0, 0, 0]
    assert ANNOTATION.heads(TWO_WORDS, TOKENIZER).tolist() == [0, 2, 2, 2, 0, 0, 0]
    assert ANNOTATION.sentiment(TWO_WORDS, TOKENIZER).tolist() == [0, -0.5, -0.5, 0, 0, 0, 0]


def test_a_target_in_the_sentence_is_taken_there_and_another_behind_it() -> None:
    assert ANNOTATION.target(TWO_WORDS, TOKENIZER).tolist() == [0, 0, 0, 1, 0, 0, 0]
    category = Sentence(TEXT, "film", "", TWO_WORDS.input_ids, TWO_WORDS.offsets, (0, 0))
    assert ANNOTATION.target(category, TOKENIZER).tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert ANNOTATION.nouns(category, TOKENIZER).tolist() == [0, 0, 0, 1, 0, 1, 0]


def test_without_any_target_every_token_stands_for_it_and_none_becomes_a_noun() -> None:
    bare = Sentence(TEXT, "", "", [1, 10, 2], [(0, 0), (0, 3), (0, 0)], (0, 0))
    assert ANNOTATION.target(bare, TOKENIZER).tolist() == [1, 1, 1]
    assert ANNOTATION.nouns(bare, TOKENIZER).tolist() == [0, 0, 0]


def test_without_a_parser_each_word_depends_on_the_one_before_it() -> None:
    assert chain("So sad, Tom") == [
        Word(0, 2, 0, False),
        Word(3, 6, 0, False),
        Word(6, 7, 1, False),
        Word(8, 11, 2, False),
    ]
    assert chain(" \n") == []


@pytest.mark.parametrize("hostile", ["", "\0‮", "x" * 1_000_000, "a b " * 100_000])
def test_any_text_is_cut_into_words_within_the_limit(hostile: str) -> None:
    assert all(0 <= word.start < word.end <= LONGEST for word in Grammar("")(hostile))


def test_annotations_can_be_handed_to_the_loader_s_processes() -> None:
    copied = pickle.loads(pickle.dumps(Annotation(Grammar(""), {"sad": -1.0}).extras))  # noqa: S301  our own
    assert [extra.name for extra in copied] == ["words", "heads", "nouns", "target_tokens", "word_values"]


def test_a_parser_without_spacy_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(WeightsError, match="pip install spacy"):
        Grammar("en_core_web_sm")("So sad")


def test_a_pipeline_that_is_not_there_or_does_not_parse_is_refused(tmp_path: Path) -> None:
    spacy: Any = pytest.importorskip("spacy")
    with pytest.raises(WeightsError, match="cannot load"):
        Grammar(str(tmp_path / "none"))("So sad")
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(WeightsError, match="no parser"):
        Grammar(str(tmp_path / "blank"))("So sad")


def test_a_real_pipeline_finds_nouns_and_dependencies() -> None:
    spacy: Any = pytest.importorskip("spacy")
    installed = [name for name in spacy.util.get_installed_models() if name.startswith("en_")]
    if not installed:
        pytest.skip("no English pipeline is installed")
    words = Grammar(installed[0])("Tom bought new shoes .")
    assert [word.noun for word in words] == [True, False, False, True, False]
    assert [word.head for word in words] == [1, 1, 3, 1, 1]
    assert len(Grammar(installed[0])("x" * 1_000_001)) >= 1


def test_a_word_list_is_scaled_to_its_strongest_word(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("good\t2\nSad\t-4\t0.5\t[-4, -4]\n\n", encoding="utf-8")
    assert read_word_values(file) == {"good": 0.5, "sad": -1.0}


@pytest.mark.parametrize("content", ["good\n", "good\tvery\n", "good\tnan\n", "good\tinf\n", "good\t0\n", "", "g\xff"])
def test_a_word_list_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(WeightsError, match=r"words\.txt"):
        read_word_values(file)


def test_a_trained_model_keeps_the_values_and_needs_the_file_no_more(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("sad\t-3\ngood\t3\n", encoding="utf-8")
    model = build("aom")
    model.config.sentiment_words = str(file)
    model.load_pretrained(None)
    file.unlink()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, local_files_only=True)
    assert loaded.config.word_values == {"sad": -1.0, "good": 1.0}
    for one in (model, loaded):
        assert batch_of(one, tweet_split(), [0, 1, 2])["word_values"].unique().tolist() == [-1.0, 0.0, 1.0]


def test_nouns_are_read_by_their_scores_and_the_gate_mixes() -> None:
    attention = NounAttention(1)
    with torch.no_grad():
        for weight in attention.parameters():
            weight.zero_()
        attention.noun.weight.fill_(1.0)
        attention.noun_score.weight.fill_(1.0)
    states = torch.tensor([[[1.0], [2.0], [5.0]]])
    filtered = attention(states, torch.tensor([[1, 1, 0]]))
    weights = torch.tensor([1.0, 2.0]).tanh().softmax(dim=0)
    read = float(weights @ torch.tensor([1.0, 2.0]))
    assert torch.allclose(filtered[0, :, 0], (states[0, :, 0] + read) / 2)


def test_what_a_token_says_in_its_score_cancels() -> None:
    attention, states, nouns = NounAttention(4), torch.randn(2, 5, 4), torch.tensor([[1, 0, 1, 0, 1]] * 2)
    before = attention(states, nouns)
    torch.nn.init.normal_(attention.state.weight)
    assert torch.allclose(before, attention(states, nouns), atol=1e-6)


def test_links_are_likeness_where_grammar_or_a_noun_joins() -> None:
    states = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [3.0, 0.0], [1.0, 0.0]]])  # a region, four tokens
    words, heads = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[0, 2, 2, 2]])
    links = associate(states, words, heads, torch.tensor([[0, 0, 0, 1]]))
    expected = torch.eye(5)
    expected[2, 3] = expected[3, 2] = 0.0  # the first word depends on the second: cosine of (0, 2) and (3, 0)
    expected[3, 4] = expected[4, 3] = 1.0  # the third depends on the second, both along the first axis
    expected[0, 4] = expected[4, 0] = 1.0  # the region and the noun
    assert torch.allclose(links, expected[None])


def test_a_layer_averages_a_node_with_what_it_is_linked_to() -> None:
    layer = GraphConvolution(1)
    with torch.no_grad():
        layer.linear.weight.fill_(2.0)
        layer.linear.bias.fill_(1.0)
    links = torch.tensor([[[1.0, -0.5], [-0.5, 1.0]]])
    nodes = layer(torch.tensor([[[1.0], [4.0]]]), links)
    assert torch.allclose(nodes[0, :, 0], torch.tensor([0.0, 2 * (4 - 0.5) / 1.5 + 1]))


def test_values_links_and_nouns_each_matter() -> None:
    model = build("aom")
    batch = batch_of(model, tweet_split(), [0, 1, 2, 3])
    said = logits(model, batch)
    for name in ("word_values", "heads", "nouns", "target_tokens"):
        changed = torch.ones_like(batch[name])
        assert not torch.allclose(said, logits(model, batch | {name: changed}), atol=1e-6), name


def test_an_ad_is_judged_by_the_tokens_of_its_category() -> None:
    model, rows = build("aom"), ad_split()
    batch = batch_of(model, rows, [0, 1, 2, 3])
    assert (batch["words"] * batch["target_tokens"]).sum() == 0
    assert (batch["target_tokens"].sum(dim=1) >= 1).all()
    assert np.array_equal(batch["nouns"], batch["target_tokens"])


def test_a_bart_of_the_hub_gives_its_own_names() -> None:
    given = {"model_type": "bart", "d_model": 16, "encoder_layers": 3, "hidden_size": None}
    config = AomConfig(hidden_size=16, heads=2, text_config=given)
    assert (config.text_config["hidden_size"], config.text_config["num_hidden_layers"]) == (16, 3)
    with pytest.raises(ConfigError, match="hidden_size"):
        AomConfig(text_config=given)
    with pytest.raises(ConfigError, match="not bert"):
        AomConfig(text_config={"model_type": "bert"})
    with pytest.raises(ConfigError, match="word_values"):
        AomConfig(word_values={"sad": -2.0})


def test_a_text_that_bart_has_no_place_for_is_refused_with_the_number_that_it_has() -> None:
    assert AomConfig(num_labels=3).longest_text == 1024 - 49
    model = build("aom")  # 66 places, 4 of them for regions
    rows = tweet_split()
    batch = batch_of(model, rows, [0])
    room = 62 - batch["input_ids"].shape[1]
    logits(model, batch_of(model, rows, [0], extra=room))
    with pytest.raises(ConfigError, match=r"63 word pieces; aom reads at most 62 .*max_tokens = 62 or less"):
        logits(model, batch_of(model, rows, [0], extra=room + 1))
