"""The OCR engines by name; each one's libraries are imported only when it is made."""

from __future__ import annotations

from importlib import import_module

from flows.errors import OcrError
from flows.ocr.engine import OcrEngine, OcrOptions

ENGINES = {
    "rapidocr": ("flows.ocr.rapid.engine", "RapidOcrEngine"),
    "easyocr": ("flows.ocr.easy", "EasyOcrEngine"),
    "tesseract": ("flows.ocr.tesseract", "TesseractEngine"),
}
"""Module and class of each engine."""


def make_engine(name: str = "rapidocr", options: OcrOptions | None = None) -> OcrEngine:
    """Make an engine by its name.

    Raises:
        OcrError: no engine has this name, or it is not installed or lacks its models.
    """
    if name not in ENGINES:
        raise OcrError(f"OCR engine {name!r} is not known; expected one of {', '.join(ENGINES)}")
    module, engine = ENGINES[name]
    made: OcrEngine = getattr(import_module(module), engine)(options or OcrOptions())
    return made
