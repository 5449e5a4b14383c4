"""Contract of an OCR engine: its protocol, its options, and the check of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flows.errors import OcrError
from flows.ocr.words import Reading

if TYPE_CHECKING:  # it would load the video decoder, and commands import this package
    from flows.frames.picture import Picture

LEAST_SIDE = 8
"""Pixels below which nothing can be read."""
DECISION_MARK = "+decision"
"""In an engine's version: reading ends where enough words are certain, and the number that are enough follows."""


class OcrEngine(Protocol):
    """Reads the words of pictures. One engine may be used by several threads at once."""

    @property
    def name(self) -> str:
        """Name that settings and rows use."""

    @property
    def version(self) -> str:
        """Version of the engine and of the rules of counting: rows made under another are made again."""

    def read(self, images: Sequence[Picture]) -> list[Reading]:
        """The words of each picture in reading order, as `flows/ocr/words.py` defines them.

        What is read on a picture does not depend on the pictures that are read with it.

        Raises:
            OcrError: the engine fails on a picture.
        """


@dataclass(frozen=True)
class OcrOptions:
    """Options of an engine; each ignores those that it has no use for."""

    min_confidence: float = 0.5
    """Words read with less are left out."""
    sides: tuple[int, ...] = (640, 960, 1280)
    """Longer sides, in pixels, of the picture that the detector of `rapidocr` sees: the rungs of its ladder."""
    enough: int | None = None
    """With more certain words than this `rapidocr` leaves a picture's small print unread; None reads all of it."""
    threads: int = 1
    """Threads of one call; several calls at a time fill the cores better."""
    languages: tuple[str, ...] = ()
    """Languages of `easyocr` and `tesseract` by the codes that each has for them; none is English."""
    model_dir: Path | None = None
    """Folder of the models of `easyocr`, or of the traineddata files of `tesseract`."""
    allow_download: bool = False
    """Let `easyocr` fetch models that are missing."""


def check_picture(image: Picture) -> bool:
    """Tell whether a picture is large enough to say anything.

    Raises:
        OcrError: it is no picture.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise OcrError(f"picture of shape {image.shape} and type {image.dtype}; expected [height, width, 3] of uint8")
    return min(image.shape[:2]) >= LEAST_SIDE
