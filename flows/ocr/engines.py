"""Engines that read pictures: what they share, and the one list of their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flows.errors import OcrError
from flows.ocr.words import Word

if TYPE_CHECKING:  # it would load the video decoder, and commands import this package
    from flows.frames.video import Picture

__all__ = ["ENGINES", "OcrEngine", "OcrOptions", "Word", "check_picture", "make_engine"]

LEAST_SIDE = 8
"""Pixels below which nothing can be read."""


class OcrEngine(Protocol):
    """Reads the words of pictures. One engine may be used by several threads at once."""

    @property
    def name(self) -> str:
        """Name that settings and rows use."""

    @property
    def version(self) -> str:
        """Version of the engine and of the rules of counting: rows made under another are made again."""

    def read(self, images: Sequence[Picture]) -> list[list[Word]]:
        """The words of each picture in reading order, as `flows/ocr/words.py` defines them.

        What is read on a picture does not depend on the pictures that are read with it.

        Raises:
            OcrError: the engine fails on a picture.
        """


@dataclass(frozen=True)
class OcrOptions:
    """What an engine can be told; each leaves alone what it has no use for."""

    min_confidence: float = 0.5
    """Words read with less are left out."""
    sides: tuple[int, ...] = (640, 960, 1280)
    """Longer sides, in pixels, of the picture that the detector of `rapidocr` sees: the rungs of its ladder."""
    threads: int = 1
    """Threads of one call; several calls at a time fill the cores better."""
    languages: tuple[str, ...] = ()
    """Languages of `easyocr` and `tesseract` by the codes that each has for them; none is English."""
    model_dir: Path | None = None
    """Folder of the models of `easyocr`, or of the traineddata files of `tesseract`."""
    allow_download: bool = False
    """Let `easyocr` fetch models that are missing."""


def _rapidocr(options: OcrOptions) -> OcrEngine:
    from flows.ocr.rapid import RapidOcrEngine

    return RapidOcrEngine(options)


def _easyocr(options: OcrOptions) -> OcrEngine:
    from flows.ocr.easy import EasyOcrEngine

    return EasyOcrEngine(options)


def _tesseract(options: OcrOptions) -> OcrEngine:
    from flows.ocr.tesseract import TesseractEngine

    return TesseractEngine(options)


ENGINES: dict[str, Callable[[OcrOptions], OcrEngine]] = {
    "rapidocr": _rapidocr,
    "easyocr": _easyocr,
    "tesseract": _tesseract,
}
"""How each engine is made; what it needs is imported then and not before."""


def make_engine(name: str = "rapidocr", options: OcrOptions | None = None) -> OcrEngine:
    """Make an engine by its name.

    Raises:
        OcrError: no engine has this name, or it is not installed or lacks its models.
    """
    if name not in ENGINES:
        raise OcrError(f"OCR engine {name!r} is not known; expected one of {', '.join(ENGINES)}")
    return ENGINES[name](options or OcrOptions())


def check_picture(image: Picture) -> bool:
    """Tell whether a picture is large enough to say anything.

    Raises:
        OcrError: it is no picture.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise OcrError(f"picture of shape {image.shape} and type {image.dtype}; expected [height, width, 3] of uint8")
    return min(image.shape[:2]) >= LEAST_SIDE
