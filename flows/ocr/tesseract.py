"""Tesseract, where it is installed: its own program reads one picture after another."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import cv2
import numpy as np

from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.ocr.engine import OcrOptions, check_picture
from flows.ocr.words import RULES_VERSION, Line, Reading, read_words

_SPARSE = "11"
"""Tesseract's page segmentation for text that stands anywhere, in no order."""
_TIMEOUT_S = 120
_WORD_LEVEL = "5"
_HEIGHT_READ_BEST = 720
"""Its models were trained on letters about 30 pixels high; smaller pictures are doubled."""


class TesseractEngine:
    """One process for each picture, on one thread, so that as many run side by side as there are callers."""

    name = "tesseract"

    def __init__(self, options: OcrOptions) -> None:
        """Ask the program for its version and its languages.

        Raises:
            OcrError: it is not installed, or has no data for a language.
        """
        self._min_confidence = options.min_confidence
        self._folder = ("--tessdata-dir", str(options.model_dir)) if options.model_dir else ()
        languages = options.languages or ("eng",)
        self._languages = "+".join(languages)
        self._threads = str(options.threads)
        program = re.search(r"tesseract v?(\S+)", self._ask("--version").decode())
        known = self._ask("--list-langs", *self._folder).decode().splitlines()[1:]
        missing = [language for language in languages if language not in known]
        if missing:
            raise OcrError(
                f"tesseract has no data for {', '.join(missing)}, only for {', '.join(known) or 'nothing'}; "
                f"install them (Debian: tesseract-ocr-{missing[0]}) or set ocr.model_dir to a folder that holds them"
            )
        self.version = f"{program[1] if program else 'unknown'}+words{RULES_VERSION}"

    def read(self, images: Sequence[Picture]) -> list[Reading]:
        """See `OcrEngine.read`."""
        return [
            read_words(self._lines(image), self._min_confidence) if check_picture(image) else Reading()
            for image in images
        ]

    def _lines(self, image: Picture) -> list[Line]:
        scale = 2 if image.shape[0] < _HEIGHT_READ_BEST else 1
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if scale > 1:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        picture = cv2.imencode(".pgm", grey)[1].tobytes()
        table = self._ask(
            "stdin",
            "stdout",
            "-l",
            self._languages,
            "--psm",
            _SPARSE,
            *self._folder,
            "-c",
            "tessedit_create_tsv=1",
            given=picture,
        )
        return list(_lines_of(table.decode("utf-8", "replace"), scale))

    def _ask(self, *arguments: str, given: bytes = b"") -> bytes:
        try:
            done = subprocess.run(
                ["tesseract", *arguments],
                input=given,
                capture_output=True,
                check=True,
                timeout=_TIMEOUT_S,
                env={**os.environ, "OMP_THREAD_LIMIT": self._threads},
            )
        except FileNotFoundError as error:
            raise OcrError(
                "the OCR engine tesseract is not installed: no program of this name on the PATH "
                "(Debian: apt-get install tesseract-ocr)"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise OcrError(f"tesseract did not answer within {_TIMEOUT_S} s") from error
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip().splitlines()
            raise OcrError(
                f"tesseract ended with {error.returncode}: {said[-1] if said else 'it said nothing'}"
            ) from error
        return done.stdout


def _lines_of(table: str, scale: float) -> Iterator[Line]:
    """The lines of Tesseract's table of words."""
    rows = csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    words = [row for row in rows if row["level"] == _WORD_LEVEL and (row["text"] or "").strip()]
    for _, line in groupby(words, lambda row: (row["block_num"], row["par_num"], row["line_num"])):
        yield _line(list(line), scale)


def _line(words: list[dict[str, Any]], scale: float) -> Line:
    """One line with its words a space apart; the characters of a word get the same room."""
    boxes = np.array([[float(word[key]) / scale for key in ("left", "top", "width", "height")] for word in words])
    left, right = boxes[:, 0].min(), (boxes[:, 0] + boxes[:, 2]).max()
    top, bottom = boxes[:, 1].min(), (boxes[:, 1] + boxes[:, 3]).max()
    text, centres, confidences = "", list[float](), list[float]()
    for word, (start, _, width, _) in zip(words, boxes, strict=True):
        if text:  # the space stands where the character before it does
            text, centres, confidences = f"{text} ", [*centres, centres[-1]], [*confidences, confidences[-1]]
        read, sure = word["text"].strip(), max(0.0, float(word["conf"])) / 100
        text += read
        steps = (np.arange(len(read)) + 0.5) / len(read) * width + start - left
        centres += [float(step) / max(1.0, right - left) for step in steps]
        confidences += [sure] * len(read)
    quad = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return Line(text, tuple(confidences), tuple(centres), quad)
