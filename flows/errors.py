"""Errors of the pipeline: one type per part, one base for all."""

from __future__ import annotations

from datetime import datetime

from data_catalog.errors import YtbAdsError


class SettingsError(YtbAdsError):
    """A setting is unknown, malformed or out of range."""


class SourceError(YtbAdsError):
    """A source of ads cannot be read or holds none."""


class CrawlError(YtbAdsError):
    """YouTube cannot be crawled as the settings ask."""


class ApiUnreachableError(CrawlError):
    """No connection to the Data API can be made; every further call would fail too."""


class KeyRefusedError(CrawlError):
    """The Data API does not accept a key, or the key may not use it."""


class CrawlPausedError(CrawlError):
    """The crawl has to wait until `resumes_at`, without a fault; everything fetched is kept."""

    def __init__(self, reason: str, resumes_at: datetime) -> None:
        super().__init__(reason, resumes_at)  # both, so that it can be pickled
        self.reason = reason
        self.resumes_at = resumes_at

    def __str__(self) -> str:
        return self.reason


class QuotaExhaustedError(CrawlPausedError):
    """Every key has spent its searches, or its units, of this day."""


class LaneStoppedError(CrawlPausedError):
    """YouTube has asked for a pause of media requests."""


class SampleError(YtbAdsError):
    """The synthetic sample cannot be rendered where it was asked for."""


class FrameError(YtbAdsError):
    """A video gives no frames: not a video, damaged, or without a picture."""


class TooLongError(FrameError):
    """A video is longer than an ad may be."""


class DecoderLostError(FrameError):
    """The process that decoded a video ended without an answer; another attempt may succeed.

    Args:
        reason: `decoder_timeout` or `decoder_crashed`.
        detail: a sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class OcrError(YtbAdsError):
    """An OCR engine is not installed, not configured, or failed on a picture."""


class SheetError(YtbAdsError):
    """A contact sheet cannot be written where it was asked for."""


class SentimentError(YtbAdsError):
    """A lexicon cannot be read or comments cannot be scored."""


class ModelError(YtbAdsError):
    """A trained model is not there, is damaged, or cannot be compared."""


class ServeError(YtbAdsError):
    """The service cannot be started as the settings ask."""


class VerdictError(YtbAdsError):
    """Verdicts cannot be given, or written where they were asked for."""


class StageError(YtbAdsError):
    """A stage lost rows, or had work and ended with nothing."""


class MonitorError(YtbAdsError):
    """Data for the monitor cannot be read, or a period is malformed."""
