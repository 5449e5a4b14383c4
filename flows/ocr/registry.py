"""The OCR engines by name; each one's libraries are imported only when it is made."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from flows.errors import OcrError
from flows.ocr.engine import OcrEngine, OcrOptions
from flows.settings import OcrSettings, Settings
from flows.settings.section import version_of

ENGINES = {
    "rapidocr": ("flows.ocr.rapid.engine", "RapidOcrEngine"),
    "easyocr": ("flows.ocr.easy", "EasyOcrEngine"),
    "tesseract": ("flows.ocr.tesseract", "TesseractEngine"),
}
"""Module and class of each engine."""

# how many words it takes is decided on the rows of `texts`, not in them; where that ends the reading of a frame, the
# engine's version says so; where the models lie changes nothing
_IN_THE_ROWS = frozenset(OcrSettings.model_fields) - {"more_than_words", "detail", "model_dir"}


def texts_fingerprint(settings: Settings) -> str:
    """Fingerprint of what rows of `texts` depend on besides the picture."""
    return settings.ocr.fingerprint(version_of(ocr_engine(settings.ocr)), only=_IN_THE_ROWS)


def ocr_engine(settings: OcrSettings) -> OcrEngine:
    """The OCR engine that the settings name, made once a process.

    Raises:
        OcrError: the engine is not installed or has no models.
    """
    options = OcrOptions(
        min_confidence=settings.min_confidence,
        sides=settings.sides,
        enough=settings.more_than_words if settings.detail == "decision" else None,
        languages=settings.languages,
        model_dir=settings.model_dir,
    )
    return _made_once(settings.engine, options)


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


@lru_cache(maxsize=4)
def _made_once(name: str, options: OcrOptions) -> OcrEngine:
    return make_engine(name, options)
