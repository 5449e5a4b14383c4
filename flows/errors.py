"""What can go wrong on the way from YouTube to a release: one type per place, one base for all."""

from __future__ import annotations

from data_catalog.errors import YtbAdsError


class SettingsError(YtbAdsError):
    """A setting is unknown, malformed or out of range."""


class SourceError(YtbAdsError):
    """A source of ads cannot be read or holds none."""


class SampleError(YtbAdsError):
    """The synthetic sample cannot be rendered where it was asked for."""


class FrameError(YtbAdsError):
    """A video gives no frames: not a video, damaged, or without a picture."""


class OcrError(YtbAdsError):
    """An OCR engine is not installed, not configured, or failed on a picture."""


class SentimentError(YtbAdsError):
    """A lexicon cannot be read or comments cannot be scored."""


class StageError(YtbAdsError):
    """A stage lost rows, or had work and ended with nothing."""
