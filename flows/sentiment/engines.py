"""Engines that score a text, with a positive strength 1..5 and a negative strength -1..-5, behind one protocol."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from flows.errors import SentimentError
from flows.sentiment.java import JavaEngine, Unscored, installed
from flows.sentiment.language import language_identifier
from flows.sentiment.selection import SELECTION_VERSION
from flows.sentiment.sentistrength import Lexicon, Reading, Scorer, Strength
from flows.settings import SentimentSettings, Settings
from flows.settings.section import version_of

__all__ = [
    "OPEN_LEXICON",
    "NativeEngine",
    "SentimentEngine",
    "Strength",
    "Unscored",
    "make_engine",
    "reading_of",
    "scorer",
    "scores_fingerprint",
    "sentiment_engine",
    "with_installed",
]

log = logging.getLogger("ytb_ads")

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
        settings: `lexicon`, and the departures from the original's reading.
    """

    name = "native"

    def __init__(self, settings: SentimentSettings | None = None) -> None:
        self.scorer = scorer(settings)
        self.version = f"4-{self.scorer.lexicon.digest}{self.scorer.reading.version}"

    def score(self, texts: Sequence[str]) -> list[Strength]:
        """One strength per text, in the order of the texts."""
        return list(self.scorer.score_all(texts))


def scorer(settings: SentimentSettings | None = None) -> Scorer:
    """The native scorer over the settings' folder of word lists, by default the project's own.

    Emoji count by the folder's list of them or else by the project's.

    Raises:
        LexiconError: the folder cannot be used.
    """
    settings = settings or SentimentSettings()
    lexicon = Lexicon.read(settings.lexicon or OPEN_LEXICON)
    _tell_notices(lexicon)
    reading = reading_of(settings)
    if reading.emoji and not lexicon.emoji:
        ours = Lexicon.read(OPEN_LEXICON)
        lexicon = replace(lexicon, emoji=ours.emoji, digest=f"{lexicon.digest}+{ours.digest}")
    return Scorer(lexicon, reading)


def reading_of(settings: SentimentSettings) -> Reading:
    """Departures from the original that are on.

    A setting that is None is on with the project's word lists only: with the original's lists the answers would no
    longer be the original's.
    """
    ours = settings.lexicon is None or settings.lexicon.resolve() == OPEN_LEXICON
    departures = ("emoji", "straighten_apostrophes", "ignore_addresses")
    return Reading(*(ours if (given := getattr(settings, name)) is None else given for name in departures))


def _tell_notices(lexicon: Lexicon) -> None:
    for notice in lexicon.notices[:NOTICES_TOLD]:
        log.warning("%s", notice)
    if more := len(lexicon.notices[NOTICES_TOLD:]):
        log.warning("and %d more lines like these; they are read all the same", more)


def make_engine(settings: SentimentSettings) -> SentimentEngine:
    """The engine that the settings name.

    Raises:
        SentimentError: its lexicon cannot be read, or it cannot be started.
    """
    if settings.engine == "native":
        return NativeEngine(settings)
    settings = with_installed(settings)
    if settings.jar is None:
        raise SentimentError(
            "sentiment.engine = 'java' needs the original program: `sentiment.jar` names its SentiStrength.jar "
            "(from its authors), `sentiment.lexicon` the folder of its word lists; beside the package of "
            "`pip install 'ytb-ads[sentistrength]'` both are found"
        )
    if settings.emoji:
        raise SentimentError("sentiment.emoji is true, but the engine 'java' counts no emoji; 'native' does")
    reading = replace(reading_of(settings), emoji=False)
    return JavaEngine(settings.lexicon or OPEN_LEXICON, jar=settings.jar, java=settings.java, reading=reading)


def with_installed(settings: SentimentSettings) -> SentimentSettings:
    """Settings for the engine `java` with the archive and the lists of the package `sentistrength`, if it has them."""
    jar, lexicon = installed(settings.jar, settings.lexicon)
    return settings.model_copy(update={"jar": jar, "lexicon": lexicon})


# thresholds and the like decide what becomes of the scores; the word lists are in the engine's version
_IN_THE_ROWS = frozenset({"engine"})


def scores_fingerprint(settings: Settings) -> str:
    """Fingerprint of what rows of `comment_scores` depend on besides the comment."""
    versions = version_of(sentiment_engine(settings.sentiment)), version_of(language_identifier()), SELECTION_VERSION
    return settings.sentiment.fingerprint(*versions, only=_IN_THE_ROWS)


@lru_cache(maxsize=4)
def sentiment_engine(settings: SentimentSettings) -> SentimentEngine:
    """The engine that the settings name, made once a process."""
    return make_engine(settings)
