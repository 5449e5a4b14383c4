"""Words of a sentence, which of them are nouns and which depend on which: by a spaCy pipeline, or by their places."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from fgmfn.errors import WeightsError
from fgmfn.inputs import Extra, Sentence

LONGEST = 20_000
"""Most characters that are parsed; no text encoder reads as many."""
NOUNS = ("NOUN", "PROPN")
NEEDED = ("tagger", "morphologizer", "parser", "attribute_ruler", "tok2vec", "transformer")
"""Components of a pipeline that find nouns and dependencies; others are not run."""


@dataclass(frozen=True)
class Word:
    """A word of a text."""

    start: int
    end: int
    """Start and end of its characters."""
    head: int
    """Number of the word that it depends on; its own number if it depends on none."""
    noun: bool


class Grammar:
    """Cuts texts into words.

    Args:
        pipeline: an installed spaCy pipeline such as `en_core_web_sm`, or the folder of one. If empty, no word is a
            noun and each word depends on the one before it, so that neighbours are linked.
    """

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        self._loaded: Any = None
        self._last: tuple[str, list[Word]] = ("", [])

    def __call__(self, text: str) -> list[Word]:
        """Return a text's words in their order.

        Raises:
            WeightsError: spaCy or the pipeline is missing, or the pipeline has no parser.
        """
        if self._last[0] != text:
            seen = text[:LONGEST]
            self._last = text, self._parsed(seen) if self.pipeline else chain(seen)
        return self._last[1]

    def _parsed(self, text: str) -> list[Word]:
        if self._loaded is None:
            self._loaded = _load(self.pipeline)
        return [
            Word(token.idx, token.idx + len(token.text), token.head.i, token.pos_ in NOUNS)
            for token in self._loaded(text)
        ]


def chain(text: str) -> list[Word]:
    """Return runs of letters and digits and single other characters, each depending on the one before it."""
    found = list(re.finditer(r"\w+|[^\w\s]", text))
    return [Word(*word.span(), max(0, number - 1), False) for number, word in enumerate(found)]


def _load(pipeline: str) -> Any:
    try:
        spacy: Any = import_module("spacy")
    except ImportError as error:
        raise WeightsError(
            f"model setting parser = {pipeline!r}: install spaCy (pip install spacy), or do without (parser = '')"
        ) from error
    try:
        loaded = spacy.load(pipeline)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"model setting parser = {pipeline!r}: spaCy cannot load it: {str(error).splitlines()[0]} "
            f"Install it (python -m spacy download en_core_web_sm), name a folder, or do without (parser = '')"
        ) from error
    if "parser" not in loaded.pipe_names:
        raise WeightsError(
            f"model setting parser = {pipeline!r}: the pipeline has no parser; it has {', '.join(loaded.pipe_names)}"
        )
    loaded.select_pipes(enable=[name for name in loaded.pipe_names if name in NEEDED])
    return loaded


@dataclass(frozen=True)
class Annotation:
    """Extra fields of a model, all as long as its sentences.

    Args:
        grammar: cuts a sentence into words.
        values: sentiment of lower-cased words.
    """

    grammar: Grammar
    values: Mapping[str, float]

    @property
    def extras(self) -> tuple[Extra, ...]:
        """The fields `words`, `heads`, `nouns`, `target_tokens` and `word_values`, each [B, n]."""
        named = {
            "words": self.words,
            "heads": self.heads,
            "nouns": self.nouns,
            "target_tokens": self.target,
            "word_values": self.sentiment,
        }
        return tuple(Extra(name, ("n",), value) for name, value in named.items())

    def words(self, sentence: Sentence, tokenizer: Any) -> np.ndarray:
        """Number of each token's word, from 1 on; 0 for special tokens and those of a second segment."""
        return np.array([number + 1 for number, _ in self._found(sentence)], dtype=np.int64)

    def heads(self, sentence: Sentence, tokenizer: Any) -> np.ndarray:
        """Number of the word that each token's word depends on, from 1 on; 0 where it has no word."""
        return np.array([word.head + 1 if word else 0 for _, word in self._found(sentence)], dtype=np.int64)

    def nouns(self, sentence: Sentence, tokenizer: Any) -> np.ndarray:
        """1 for tokens of nouns and of the target, which always counts as a noun."""
        found = np.array([bool(word and word.noun) for _, word in self._found(sentence)])
        return (found | _target(sentence, tokenizer)).astype(np.int64)

    def target(self, sentence: Sentence, tokenizer: Any) -> np.ndarray:
        """1 for tokens of the target: in the sentence if it is there, else after it; all tokens if it is in neither."""
        found = _target(sentence, tokenizer)
        return (found if found.any() else np.ones_like(found)).astype(np.int64)

    def sentiment(self, sentence: Sentence, tokenizer: Any) -> np.ndarray:
        """Value of each token's word, from -1 to 1; 0 for words that have none."""
        known = [self._value(sentence, word) if word else 0.0 for _, word in self._found(sentence)]
        return np.array(known, dtype=np.float32)

    def _value(self, sentence: Sentence, word: Word) -> float:
        return float(self.values.get(sentence.text[word.start : word.end].lower(), 0.0))

    def _found(self, sentence: Sentence) -> list[tuple[int, Word | None]]:
        """The word in which each token begins, with its number."""
        words = self.grammar(sentence.text)
        starts = [word.start for word in words]
        found: list[tuple[int, Word | None]] = []
        for left, right in sentence.offsets:
            number = bisect_right(starts, left) - 1
            inside = right > left and number >= 0 and left < words[number].end
            found.append((number, words[number]) if inside else (-1, None))
        return found


def _target(sentence: Sentence, tokenizer: Any) -> np.ndarray:
    start, end = sentence.target_span
    if end > start:
        numbers = np.arange(len(sentence.input_ids))
        return (numbers >= start) & (numbers < end)
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    outside = [left == right for left, right in sentence.offsets]
    tokens = zip(sentence.input_ids, outside, strict=True)
    return np.array([behind and number not in special for number, behind in tokens])
