"""RapidOCR: the networks of PP-OCR that its wheel carries, by ONNX Runtime on the processor, without a network.

The detector climbs a ladder of input sizes. It sees the picture at the lowest rung first, which finds nearly
everything on an advert, and a larger one only where that shows text which is too small for it: a box hardly higher
than the lowest that it can find, or a place where it suspects text and cannot box it. A closer look that shows no
further line ends the climb.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.ocr.engine import OcrOptions, check_picture
from flows.ocr.rapid.detection import Detector, Quad, add_uncovered, find_regions
from flows.ocr.rapid.recognition import Recogniser
from flows.ocr.words import RULES_VERSION, Line, Reading, read_words

_READER_VERSION = 2
"""Rises when a change of the ladder or of how the networks are used reads other words."""
_SMALL = 16.0
"""Points of the map below which a line is better read off a larger one, and smaller ones beside it are lost."""
_SUSPECTED = 0.05
"""Probability outside all boxes above which text is suspected; on nine of ten advert frames it is lower."""
_MOST_ENLARGED = 2


class RapidOcrEngine:
    """One detector and one recogniser; threads share them, each computing on its own core."""

    name = "rapidocr"

    def __init__(self, options: OcrOptions) -> None:
        """Load the networks.

        Raises:
            OcrError: they are missing, or the rungs do not rise.
        """
        if not options.sides or any(lower >= upper for lower, upper in pairwise(options.sides)):
            raise OcrError(f"sides = {list(options.sides)}; expected at least one, each larger than the one before")
        self.min_confidence = options.min_confidence
        self.version = f"{installed_version('rapidocr')}+reader{_READER_VERSION}+words{RULES_VERSION}"
        self._sides = options.sides
        self._detector = Detector(model_file("det"), threads=options.threads)
        self._recogniser = Recogniser(model_file("rec"), threads=options.threads)

    def read(self, images: Sequence[Picture]) -> list[Reading]:
        """See `OcrEngine.read`."""
        return [read_words(self.recognise(image, self.detect(image)[0]), self.min_confidence) for image in images]

    def detect(self, image: Picture) -> tuple[list[Quad], int]:
        """The boxes of a picture's lines, and how many rungs of the ladder they took."""
        if not check_picture(image):
            return [], 0
        height, width = image.shape[:2]
        seen: list[Quad] = []
        high: list[Quad] = []
        low: list[Quad] = []
        sides = self._sides_for(max(height, width))
        for rung, side in enumerate(sides, start=1):
            regions = find_regions(self._detector.probabilities(image, side), width, height)
            boxes = list(zip(regions.quads, regions.heights, strict=True))
            # a line is taken from the lowest rung on which it is high enough: a higher one may tear it apart
            high = add_uncovered(high, [quad for quad, points in boxes if points >= _SMALL])
            # and one that never is, from the highest rung that finds it
            low = [quad for quad, points in boxes if points < _SMALL] + low
            known, seen = len(seen), add_uncovered(seen, regions.quads)
            settled = regions.unboxed <= _SUSPECTED and min(regions.heights, default=_SMALL) >= _SMALL
            if settled or (rung > 1 and len(seen) == known):
                break
        return add_uncovered(high, low), rung

    def recognise(self, image: Picture, quads: Iterable[Quad]) -> list[Line]:
        """The lines in the boxes; boxes without text are left out."""
        return self._recogniser.read_lines(image, quads)

    def _sides_for(self, longer: int) -> list[int]:
        """The rungs for a picture with this longer side: enlarging it further adds no detail."""
        return sorted({min(side, _MOST_ENLARGED * longer) for side in self._sides})


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
