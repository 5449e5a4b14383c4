"""What a frame says: engines that read pictures, and the one place that defines a word."""

from __future__ import annotations

from flows.ocr.engines import OcrEngine, make_engine
from flows.ocr.words import Word

__all__ = ["OcrEngine", "Word", "make_engine"]
