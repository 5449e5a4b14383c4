"""Words of a sentence, which of them are nouns and which depend on which: by a spaCy pipeline, or by their places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fgmfn.errors import WeightsError

LONGEST = 20_000
"""Characters that are looked at; no text encoder reads as many."""
NOUNS = ("NOUN", "PROPN")
NEEDED = ("tagger", "morphologizer", "parser", "attribute_ruler", "tok2vec", "transformer")
"""Parts of a pipeline that tell nouns and dependencies; others are left out."""


@dataclass(frozen=True)
class Word:
    """A word of a text."""

    start: int
    end: int
    """Its characters."""
    head: int
    """Number of the word that it depends on; its own where it depends on none."""
    noun: bool


class Grammar:
    """Cuts texts into words.

    Args:
        pipeline: an installed spaCy pipeline such as `en_core_web_sm`, or the folder of one. If it is empty, no word
            is known as a noun and each depends on the word before it, so that neighbours are linked.
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
    """Runs of letters and digits, and single other signs, each depending on the one before it."""
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
