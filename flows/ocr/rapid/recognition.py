"""Text recognition: the characters of a line, each with its confidence and its place."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.ocr.rapid.detection import Quad, extent
from flows.ocr.rapid.sessions import open_session, run
from flows.ocr.words import Line

_HEIGHT = 48
"""Pixels to which every line is scaled."""
_WIDTH_STEP = 80
_MOST_WIDTH = 3200
_UPRIGHT = 1.5
"""A line so many times taller than wide runs from top to bottom and is turned before it is read."""


class Recogniser:
    """The text recogniser of PP-OCR. Threads may share one.

    Lines are read one by one: on one thread a batch gains a few per cent, and a line alone is read the same
    whatever else is on the picture or in the batch.
    """

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        """Load the network and its characters.

        Raises:
            OcrError: the file is missing, no model, or carries no characters.
        """
        self._session = open_session(model, threads)
        characters = self._session.get_modelmeta().custom_metadata_map.get("character")
        if not characters:
            raise OcrError(f"{model}: the model carries no list of characters; expected one in its metadata")
        # class 0 is the blank of CTC, the last one the space
        self._characters = ["", *characters.splitlines(), " "]

    def read(self, picture: Picture, quad: Quad) -> Line | None:
        """The line within a box; None where nothing is read."""
        line, quad = _straighten(picture, quad)
        height, width = line.shape[:2]
        used = min(_MOST_WIDTH, math.ceil(_HEIGHT * width / height))
        room = math.ceil(used / _WIDTH_STEP) * _WIDTH_STEP
        blob = np.zeros((1, 3, _HEIGHT, room), np.float32)
        scaled = cv2.resize(line, (used, _HEIGHT), interpolation=cv2.INTER_LINEAR)
        blob[..., :used] = cv2.dnn.blobFromImage(scaled, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        (answer,) = run(self._session, blob)
        return self._decode(answer[0], used / room, quad)

    def _decode(self, steps: np.ndarray, used: float, quad: Quad) -> Line | None:
        """Undo CTC: of neighbouring steps that say the same one is kept, and blanks are left out."""
        best = steps.argmax(axis=1)
        kept = best != 0
        kept[1:] &= best[1:] != best[:-1]
        (columns,) = np.nonzero(kept)
        pieces = [self._characters[index] for index in best[columns]]
        # a class may be written with two code points
        at = [column for piece, column in zip(pieces, columns, strict=True) for _ in piece]
        text = "".join(pieces)
        if not text.strip():
            return None
        centres = np.minimum((np.array(at) + 0.5) / (len(steps) * used), 1.0)
        return Line(text, tuple(map(float, steps[at, best[at]])), tuple(map(float, centres)), quad)


def _straighten(picture: Picture, quad: Quad) -> tuple[Picture, Quad]:
    """Cut a line out so that it runs from left to right, and its corners as it is read."""
    across, down = (max(1, int(length)) for length in extent(quad))
    target = np.array([(0, 0), (across, 0), (across, down), (0, down)], np.float32)
    way = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    line = cv2.warpPerspective(picture, way, (across, down), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if down >= _UPRIGHT * across:
        return np.ascontiguousarray(np.rot90(line)).astype(np.uint8), quad[[1, 2, 3, 0]]
    return line.astype(np.uint8), quad
