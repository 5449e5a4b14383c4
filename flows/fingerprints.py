"""The engines that the settings name, and the fingerprints under which each stage's rows are current."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from flows.frames.sampling import SAMPLER_VERSION
from flows.ocr.engine import OcrEngine, OcrOptions
from flows.ocr.registry import make_engine as make_ocr_engine
from flows.sentiment.engines import SentimentEngine
from flows.sentiment.engines import make_engine as make_sentiment_engine
from flows.sentiment.language import LanguageIdentifier
from flows.sentiment.selection import SELECTION_VERSION
from flows.settings import FrameSettings, OcrSettings, SentimentSettings, Settings

# How many words it takes is decided on the rows of `texts`, not in them; where the models lie changes nothing.
_READING = frozenset(OcrSettings.model_fields) - {"more_than_words", "model_dir"}
# How long decoding may take decides whether there are rows, not what they hold.
_SAMPLING = frozenset(FrameSettings.model_fields) - {"timeout_s"}
# Thresholds and the like decide what becomes of the scores; the word lists are in the engine's version.
_SCORING = frozenset({"engine"})


def frames_fingerprint(settings: Settings) -> str:
    """Fingerprint of what rows of `frames` depend on besides the video."""
    return settings.frames.fingerprint(SAMPLER_VERSION, only=_SAMPLING)


def texts_fingerprint(settings: Settings) -> str:
    """Fingerprint of what rows of `texts` depend on besides the picture."""
    return settings.ocr.fingerprint(version_of(ocr_engine(settings.ocr)), only=_READING)


def scores_fingerprint(settings: Settings) -> str:
    """Fingerprint of what rows of `comment_scores` depend on besides the comment."""
    versions = version_of(sentiment_engine(settings.sentiment)), version_of(language_identifier()), SELECTION_VERSION
    return settings.sentiment.fingerprint(*versions, only=_SCORING)


def version_of(engine: OcrEngine | SentimentEngine | LanguageIdentifier) -> str:
    """Name and version of an engine, as fingerprints and releases record them."""
    return f"{engine.name} {engine.version}"


def ocr_engine(settings: OcrSettings) -> OcrEngine:
    """The OCR engine, made once a process.

    Raises:
        OcrError: the engine is not installed or has no models.
    """
    options = OcrOptions(
        min_confidence=settings.min_confidence,
        sides=settings.sides,
        languages=settings.languages,
        model_dir=settings.model_dir,
    )
    return _ocr_engine(settings.engine, options)


def sentiment_engine(settings: SentimentSettings) -> SentimentEngine:
    """The sentiment engine, made once a process.

    Raises:
        SentimentError: the word lists cannot be read.
    """
    return _sentiment_engine(settings.engine, settings.lexicon, settings.emoji, settings.jar, settings.java)


@lru_cache(maxsize=1)
def language_identifier() -> LanguageIdentifier:
    """The language identifier, made once a process."""
    return LanguageIdentifier()


@lru_cache(maxsize=4)
def _ocr_engine(name: str, options: OcrOptions) -> OcrEngine:
    return make_ocr_engine(name, options)


@lru_cache(maxsize=4)
def _sentiment_engine(
    name: str, lexicon: Path | None, emoji: bool | None, jar: Path | None, java: str
) -> SentimentEngine:
    return make_sentiment_engine(name, lexicon=lexicon, emoji=emoji, jar=jar, java=java)
