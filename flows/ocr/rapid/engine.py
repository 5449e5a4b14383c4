"""RapidOCR: the networks of PP-OCR that its wheel carries, by ONNX Runtime on the processor, without a network.

The detector climbs a ladder of input sizes. It sees the picture at the lowest rung first, which finds nearly
everything on an advert, and a larger one only where that shows text which is too small for it: a box hardly higher
than the lowest that it can find, or a place where it suspects text and cannot box it. A closer look that shows no
further line ends the climb. So do enough words, where only the decision is asked for: they stand in lines that no
higher rung replaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.ocr.engine import DECISION_MARK, OcrOptions, check_picture
from flows.ocr.rapid.detection import Detector, Quad, add_uncovered, find_regions
from flows.ocr.rapid.recognition import DOUBTFUL, Recogniser, sureness, turn_doubtful, turn_with_others
from flows.ocr.words import RULES_VERSION, Line, Reading, count_certain, read_words

_READER_VERSION = 3
"""Rises when a change of the ladder or of how the networks are used reads other words."""
_SMALL = 16.0
"""Points of the map below which a line is better read off a larger one, and smaller ones beside it are lost."""
_SUSPECTED = 0.05
"""Probability outside all boxes above which text is suspected; on nine of ten advert frames it is lower."""
_MOST_ENLARGED = 2
_AT_A_TIME = 4
"""Lines that are read together; the next ones only if these do not decide."""


class Found(NamedTuple):
    """The lines of a picture, and how they were found."""

    lines: list[Line]
    rungs: int
    """Rungs of the ladder that were climbed."""
    decided: bool
    """Whether enough words were certain, so that small print was not searched for or not read."""


@dataclass(frozen=True)
class Ladder:
    """Finds the lines of pictures and reads them, rung by rung."""

    detector: Detector
    recogniser: Recogniser
    sides: tuple[int, ...]
    min_confidence: float
    enough: int | None
    """With more certain words than this a picture is decided and its small print left unread; None reads everything."""

    def read(self, image: Picture) -> Found:
        """The lines of a picture; boxes without text are left out."""
        if not check_picture(image):
            return Found([], 0, decided=False)
        height, width = image.shape[:2]
        seen: list[Quad] = []
        high: list[Quad] = []
        low: list[Quad] = []
        lines: list[tuple[Quad, Line | None]] = []
        for rung, side in enumerate(self._sides_for(max(height, width)), start=1):
            regions = find_regions(self.detector.probabilities(image, side), width, height)
            boxes = list(zip(regions.heights, regions.quads, strict=True))
            # a line is taken from the lowest rung on which it is high enough: a higher one may tear it apart
            read, high = len(high), add_uncovered(high, [quad for points, quad in boxes if points >= _SMALL])
            # and one that never is, from the highest rung that finds it
            low = [quad for points, quad in boxes if points < _SMALL] + low
            known, seen = len(seen), add_uncovered(seen, regions.quads)
            # on a larger map even small print is high: it is read in parts, as it may be decided before the last one
            for part in _parts(high[read:], _AT_A_TIME if rung > 1 else len(high)):
                if not self._is_decided(lines):
                    lines += self._lines(image, part)
            # what has been read stays, whatever a higher rung shows: once these are enough, they are for good
            if decided := self._is_decided(lines):
                break
            if regions.unboxed <= _SUSPECTED and min(regions.heights, default=_SMALL) >= _SMALL:
                break
            if rung > 1 and len(seen) == known:
                break
        if not decided:
            lines += self._lines(image, add_uncovered(high, low)[len(high) :])
        turned = turn_doubtful(lines, lambda quad: self.recogniser.read_otherwise(image, quad))
        return Found(turn_with_others(turned, lambda quad: self.recogniser.read(image, quad)), rung, decided)

    def _lines(self, image: Picture, quads: Iterable[Quad]) -> list[tuple[Quad, Line | None]]:
        return [(quad, self.recogniser.read(image, quad)) for quad in quads]

    def _is_decided(self, lines: Iterable[tuple[Quad, Line | None]]) -> bool:
        if self.enough is None:
            return False
        upright = [line for _, line in lines if line is not None and sureness(line) >= DOUBTFUL]
        return count_certain(upright, self.min_confidence) > self.enough

    def _sides_for(self, longer: int) -> list[int]:
        """The rungs for a picture with this longer side: enlarging it further adds no detail."""
        return sorted({min(side, _MOST_ENLARGED * longer) for side in self.sides})


class RapidOcrEngine:
    """One detector and one recogniser; threads share them, each computing on its own core."""

    name = "rapidocr"

    def __init__(self, options: OcrOptions) -> None:
        """Find the networks; they are loaded for the first picture: a fingerprint needs the version alone.

        Raises:
            OcrError: they are missing, or the rungs do not rise.
        """
        if not options.sides or any(lower >= upper for lower, upper in pairwise(options.sides)):
            raise OcrError(f"sides = {list(options.sides)}; expected at least one, each larger than the one before")
        self.min_confidence = options.min_confidence
        self.version = f"{installed_version('rapidocr')}+reader{_READER_VERSION}+words{RULES_VERSION}"
        if options.enough is not None:
            self.version += f"{DECISION_MARK}{options.enough}"
        self._options = options
        self._models = model_file("det"), model_file("rec")

    @cached_property
    def ladder(self) -> Ladder:
        """The reader of the pictures.

        Raises:
            OcrError: a network cannot be loaded.
        """
        options, (detector, recogniser) = self._options, self._models
        return Ladder(
            Detector(detector, threads=options.threads),
            Recogniser(recogniser, threads=options.threads),
            options.sides,
            options.min_confidence,
            options.enough,
        )

    def read(self, images: Sequence[Picture]) -> list[Reading]:
        """See `OcrEngine.read`."""
        return [read_words(self.ladder.read(image).lines, self.min_confidence) for image in images]


def _parts(quads: Sequence[Quad], size: int) -> list[Sequence[Quad]]:
    return [quads[at : at + size] for at in range(0, len(quads), size)] if quads else []


def model_file(kind: str) -> Path:
    """The detector's or recogniser's file in the wheel of RapidOCR, which is not imported: that takes a second."""
    package = find_spec("rapidocr")
    if package is None or package.origin is None:
        raise OcrError("the OCR engine rapidocr is not installed: pip install 'rapidocr>=3.10,<4'")
    folder = Path(package.origin).parent / "models"
    found = sorted(folder.glob(f"PP-OCR*_{kind}_*.onnx"))
    if len(found) != 1:
        raise OcrError(
            f"{folder} holds {len(found)} models PP-OCR*_{kind}_*.onnx; expected the one of the wheel: "
            "pip install --force-reinstall 'rapidocr>=3.10,<4'"
        )
    return found[0]
