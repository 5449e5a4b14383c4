"""Engines that read pictures: RapidOCR, whose wheel carries its models, and EasyOCR as the second opinion."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flows.errors import OcrError
from flows.frames.video import Picture
from flows.ocr.words import RULES_VERSION, Line, Word, read_words

__all__ = ["ENGINES", "EasyOcrEngine", "OcrEngine", "RapidOcrEngine", "Word", "make_engine"]

ENGINES = ("rapidocr", "easyocr")
_LEAST_SIDE = 8
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

        Raises:
            OcrError: the engine fails on a picture.
        """


def make_engine(
    name: str,
    *,
    side: int = 640,
    min_confidence: float = 0.5,
    threads: int = 1,
    model_dir: Path | None = None,
    allow_download: bool = False,
) -> OcrEngine:
    """Make an engine by its name; the options that it does not know are left alone.

    Raises:
        OcrError: no engine has this name, or it is not installed or lacks its models.
    """
    if name == "rapidocr":
        return RapidOcrEngine(side=side, min_confidence=min_confidence, threads=threads)
    if name == "easyocr":
        return EasyOcrEngine(min_confidence=min_confidence, model_dir=model_dir, allow_download=allow_download)
    raise OcrError(f"OCR engine {name!r} is not known; expected one of {', '.join(ENGINES)}")


class RapidOcrEngine:
    """PP-OCR by ONNX Runtime on the processor, without a network.

    Each thread that reads at the same time gets a reader of its own (about 0.4 s to load), so that several
    threads with one ONNX thread each fill the cores better than one reader with many.
    """

    name = "rapidocr"

    def __init__(self, *, side: int = 640, min_confidence: float = 0.5, threads: int = 1) -> None:
        """Load a first reader.

        Args:
            side: longer side in pixels of the picture that the detector sees; larger finds smaller text.
            min_confidence: words read with less are left out.
            threads: ONNX threads of each reader.

        Raises:
            OcrError: the models cannot be loaded.
        """
        self.min_confidence = min_confidence
        self.version = f"{installed_version('rapidocr')}+words{RULES_VERSION}"
        self._params = {
            "Global.use_cls": False,
            "Global.return_word_box": True,
            "Global.log_level": "critical",
            "Det.limit_type": "max",
            "Det.limit_side_len": side,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._idle.put(self._load())

    def read(self, images: Sequence[Picture]) -> list[list[Word]]:
        """See `OcrEngine.read`."""
        # One picture at a time: a recognition batch pads its lines to a common width, and a word must not be
        # read differently because of the frames that happened to be read with it.
        with self._reader() as reader:
            return [read_words(self._lines(reader, image), self.min_confidence) for image in images]

    def _lines(self, reader: Any, image: Picture) -> list[Line]:
        import cv2
        from rapidocr.inference_engine.onnxruntime.main import ONNXRuntimeError
        from rapidocr.main import RapidOCRError
        from rapidocr.utils.process_img import map_boxes_to_original

        _check(image)
        height, width = image.shape[:2]
        if min(height, width) < _LEAST_SIDE:
            return []
        try:
            resized, steps = reader.preprocess_img(image)
            crops, detected = reader.detect_and_crop(resized, steps)
            read = reader.recognize_txt(crops)
        except RapidOCRError:  # its way to say that there is no text
            return []
        except (ONNXRuntimeError, cv2.error) as error:
            raise OcrError(f"rapidocr failed on a picture of {width}x{height} pixels: {error}") from error
        quads = map_boxes_to_original(detected.boxes, steps, height, width)
        results = zip(read.txts, read.word_results, quads, crops, strict=True)
        return [_line(text, details, quad) for text, details, quad, _ in results if text.strip()]

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Any]:
        try:
            reader = self._idle.get_nowait()
        except queue.Empty:
            reader = self._load()
        try:
            yield reader
        finally:
            self._idle.put(reader)

    def _load(self) -> Any:
        from rapidocr import RapidOCR

        return RapidOCR(params=self._params)


class EasyOcrEngine:
    """EasyOCR: PyTorch models that lie in a folder; much faster on a GPU than on a processor."""

    name = "easyocr"

    def __init__(
        self,
        *,
        languages: Sequence[str] = ("en",),
        min_confidence: float = 0.5,
        model_dir: Path | None = None,
        allow_download: bool = False,
        gpu: bool | None = None,
    ) -> None:
        """Load the models.

        Args:
            languages: EasyOCR's language codes.
            min_confidence: words read with less are left out.
            model_dir: folder of the models; None is EasyOCR's own.
            allow_download: fetch models that are missing.
            gpu: use CUDA; None where there is one.

        Raises:
            OcrError: EasyOCR is not installed, or a model is missing.
        """
        try:
            import easyocr
            import torch
        except ImportError as error:
            raise OcrError("the OCR engine easyocr is not installed: pip install 'ytb-ads[easyocr]'") from error
        self.min_confidence = min_confidence
        self._lock = threading.Lock()  # EasyOCR does not say that its readers may be shared
        self.version = f"{installed_version('easyocr')}+words{RULES_VERSION}"
        try:
            self._reader = easyocr.Reader(
                list(languages),
                gpu=torch.cuda.is_available() if gpu is None else gpu,
                model_storage_directory=str(model_dir) if model_dir else None,
                download_enabled=allow_download,
                verbose=False,
            )
        except (OSError, ValueError) as error:  # a missing model is a FileNotFoundError
            raise OcrError(
                f"easyocr has no models for {', '.join(languages)} in {model_dir or 'its own folder'}: {error}; "
                "set ocr.model_dir to a folder that holds them"
            ) from error

    def read(self, images: Sequence[Picture]) -> list[list[Word]]:
        """See `OcrEngine.read`."""
        return [read_words(self._lines(image), self.min_confidence) for image in images]

    def _lines(self, image: Picture) -> list[Line]:
        _check(image)
        if min(image.shape[:2]) < _LEAST_SIDE:
            return []
        with self._lock:
            found = self._reader.readtext(image)
        return [Line.evenly_set(text, float(confidence), quad) for quad, text, confidence in found if text.strip()]


def _check(image: Picture) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise OcrError(f"picture of shape {image.shape} and type {image.dtype}; expected [height, width, 3] of uint8")


def _line(text: str, details: Any, quad: NDArray[np.float32]) -> Line:
    """A recognised line with the place of each character.

    Args:
        text: what was read.
        details: RapidOCR's columns of the characters other than spaces, and its confidences of all.
        quad: corners of the line on the picture, [4, 2].
    """
    corners = np.asarray(quad, np.float64)
    across, down = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0])
    if down >= 1.5 * across:
        # a line taller than wide is turned a quarter to the left before it is read: it runs from top to bottom
        corners = corners[[1, 2, 3, 0]]
    columns = iter([column for word in details.word_cols for column in word])
    centres: list[float] = []
    for character in text:
        # a space stands where the character before it does; only the way from letter to letter is measured
        column = None if character.isspace() else next(columns, None)
        previous = centres[-1] if centres else 0.0
        centres.append(previous if column is None else (column + 0.5) / details.line_txt_len)
    # the two are equally long unless a character of the model is written with two code points
    confidences = details.confs if len(details.confs) == len(text) else [fmean(details.confs)] * len(text)
    return Line(text, tuple(confidences), tuple(min(centre, 1.0) for centre in centres), corners)
