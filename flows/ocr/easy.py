"""EasyOCR: PyTorch models that lie in a folder; much faster on a GPU than on a processor."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from typing import Any

import numpy as np

from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.ocr.engine import OcrOptions, check_picture
from flows.ocr.words import RULES_VERSION, Line, Reading, read_words

_PICTURES_AT_A_TIME = 16
"""Pictures that the detector sees at once: 16 of 1280x720 take about 3 GB of a GPU."""
_LINES_AT_A_TIME = 32


class EasyOcrEngine:
    """CRAFT finds the text, a CRNN reads it; pictures of one size go through the detector together."""

    name = "easyocr"

    def __init__(self, options: OcrOptions) -> None:
        """Load the models, on a GPU where there is one.

        Raises:
            OcrError: EasyOCR is not installed, or a model is missing.
        """
        try:
            import easyocr
            import torch
        except ImportError as error:
            raise OcrError("the OCR engine easyocr is not installed: pip install 'ytb-ads[easyocr]'") from error
        self._min_confidence = options.min_confidence
        self._lock = threading.Lock()  # EasyOCR does not say that its readers may be shared
        self.version = f"{installed_version('easyocr')}+words{RULES_VERSION}"
        languages, folder = list(options.languages) or ["en"], options.model_dir
        try:
            self._reader = easyocr.Reader(
                languages,
                gpu=torch.cuda.is_available(),
                model_storage_directory=str(folder) if folder else None,
                user_network_directory=str(folder) if folder else None,
                download_enabled=options.allow_download,
                verbose=False,
            )
        except (OSError, ValueError) as error:  # a missing model is a FileNotFoundError
            raise OcrError(
                f"easyocr has no models for {', '.join(languages)} in {folder or 'its own folder'}: {error}; "
                "set ocr.model_dir to a folder that holds them"
            ) from error

    def read(self, images: Sequence[Picture]) -> list[Reading]:
        """See `OcrEngine.read`."""
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            if check_picture(image):
                by_shape[image.shape].append(index)
        words = [Reading() for _ in images]
        for indices in by_shape.values():
            for start in range(0, len(indices), _PICTURES_AT_A_TIME):
                together = indices[start : start + _PICTURES_AT_A_TIME]
                for index, lines in zip(together, self._lines([images[index] for index in together]), strict=True):
                    words[index] = read_words(lines, self._min_confidence)
        return words

    def _lines(self, images: list[Picture]) -> list[list[Line]]:
        """The lines of pictures of one size."""
        with self._lock:
            try:
                found: list[Any] = self._reader.readtext_batched(np.stack(images), batch_size=_LINES_AT_A_TIME)
            except (RuntimeError, ValueError) as error:  # what PyTorch and OpenCV raise
                height, width = images[0].shape[:2]
                raise OcrError(
                    f"easyocr failed on {len(images)} pictures of {width}x{height} pixels: {error}"
                ) from error
        return [
            [Line.evenly_set(text, float(confidence), quad) for quad, text, confidence in lines if text.strip()]
            for lines in found
        ]
