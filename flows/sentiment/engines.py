"""Engines that score a text, with a positive strength 1..5 and a negative strength -1..-5, behind one protocol."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from flows.errors import SentimentError
from flows.sentiment.java import Unscored
from flows.sentiment.language import language_identifier
from flows.sentiment.selection import SELECTION_VERSION
from flows.sentiment.sentistrength import Lexicon, Scorer, Strength
from flows.settings import SentimentSettings, Settings
from flows.settings.section import version_of

__all__ = [
    "ENGINES",
    "OPEN_LEXICON",
    "NativeEngine",
    "SentimentEngine",
    "Strength",
    "Unscored",
    "make_engine",
    "scorer",
    "scores_fingerprint",
    "sentiment_engine",
]

log = logging.getLogger("ytb_ads")

ENGINES = ("native", "java")

NOTICES_TOLD = 3

OPEN_LEXICON = Path(__file__).parent / "open_lexicon"
"""The word lists shipped with the project."""


class SentimentEngine(Protocol):
    """Anything that scores texts; `version` changes whenever an answer might."""

    name: str
    version: str

    def score(self, texts: Sequence[str]) -> Sequence[Strength | Unscored]:
        """One answer per text, in the order of the texts; a line break in a text is a space."""
        ...


class NativeEngine:
    """SentiStrength's scoring with the original's answers, over any folder of its word lists.

    Args:
        folder: the word lists; the project's own if None.
        emoji: as for `scorer`.
    """

    name = "native"

    def __init__(self, folder: Path | None = None, *, emoji: bool | None = None) -> None:
        self.scorer = scorer(folder, emoji=emoji)
        self.version = f"3-{self.scorer.lexicon.digest}{'-emoji' if self.scorer.emoji else ''}"

    def score(self, texts: Sequence[str]) -> list[Strength]:
        """One strength per text, in the order of the texts."""
        return list(self.scorer.score_all(texts))


def scorer(folder: Path | None = None, *, emoji: bool | None = None) -> Scorer:
    """The native scorer over a folder of word lists, by default the project's own.

    Args:
        folder: the word lists.
        emoji: count emoji, by the folder's list of them or else by the project's. None: with the project's word
            lists only, for with the original's the answers would no longer be the original's.

    Raises:
        LexiconError: the folder cannot be used.
    """
    lexicon = Lexicon.read(folder or OPEN_LEXICON)
    _tell_notices(lexicon)
    if emoji is None:
        emoji = folder is None or folder.resolve() == OPEN_LEXICON
    if emoji and not lexicon.emoji:
        ours = Lexicon.read(OPEN_LEXICON)
        lexicon = replace(lexicon, emoji=ours.emoji, digest=f"{lexicon.digest}+{ours.digest}")
    return Scorer(lexicon, emoji=emoji)


def _tell_notices(lexicon: Lexicon) -> None:
    for notice in lexicon.notices[:NOTICES_TOLD]:
        log.warning("%s", notice)
    if more := len(lexicon.notices[NOTICES_TOLD:]):
        log.warning("and %d more lines like these; they are read all the same", more)


def make_engine(
    name: str, *, lexicon: Path | None = None, emoji: bool | None = None, jar: Path | None = None, java: str = "java"
) -> SentimentEngine:
    """The engine of that name.

    Args:
        name: `native` or `java`.
        lexicon: folder of word lists; the project's own if None.
        emoji: as for `scorer`; the original knows none.
        jar: the original's archive, for `java`.
        java: command that starts Java.

    Raises:
        SentimentError: no engine has that name, its lexicon cannot be read, or it cannot be started.
    """
    if name == "native":
        return NativeEngine(lexicon, emoji=emoji)
    if name != "java":
        raise SentimentError(f"sentiment engine {name!r} is not known; expected one of {', '.join(ENGINES)}")
    if jar is None:
        raise SentimentError(
            "sentiment.engine = 'java' needs the original program: `sentiment.jar` names its SentiStrength.jar "
            "(from its authors), `sentiment.lexicon` the folder of its word lists"
        )
    if emoji:
        raise SentimentError("sentiment.emoji is true, but the engine 'java' counts no emoji; 'native' does")
    from flows.sentiment.java import JavaEngine

    return JavaEngine(lexicon or OPEN_LEXICON, jar=jar, java=java)


# thresholds and the like decide what becomes of the scores; the word lists are in the engine's version
_IN_THE_ROWS = frozenset({"engine"})


def scores_fingerprint(settings: Settings) -> str:
    """Fingerprint of what rows of `comment_scores` depend on besides the comment."""
    versions = version_of(sentiment_engine(settings.sentiment)), version_of(language_identifier()), SELECTION_VERSION
    return settings.sentiment.fingerprint(*versions, only=_IN_THE_ROWS)


def sentiment_engine(settings: SentimentSettings) -> SentimentEngine:
    """The engine that the settings name, made once a process.

    Raises:
        SentimentError: the word lists cannot be read.
    """
    return _made_once(
        settings.engine, lexicon=settings.lexicon, emoji=settings.emoji, jar=settings.jar, java=settings.java
    )


_made_once = lru_cache(maxsize=4)(make_engine)
