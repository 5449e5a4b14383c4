"""Text recognition: the characters of a line, each with its confidence and its place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

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
_LEAST_INK = 7
"""Rows of ink from which on it is a letter and no dot."""
_LETTER = 12
"""Rows of ink from which on it is a whole letter."""
_BESIDE = 3
"""Columns that a character's centre may lie beside its ink."""
DOUBTFUL = 0.9
"""Mean confidence below which a line may stand on its head: large upright lines hardly ever are that unsure."""
_TRIED = 3
"""So many doubtful lines of a picture are read the other way round, the longest first; all if one of them is turned."""
_SURELY = 0.05
"""By so much one way round must be surer than the other."""
_MOST_UPRIGHT = 2.5
_LEAST_UNREAD = 3
"""Heights from which on a box without any character is taken for a line that cannot be read."""
_CLEAR = 100.0
"""Levels of grey over two columns at the edges of letters; on photographs of streets it is less."""
_TINY = 1e-9
_CERTAIN = 0.999
_FAR = 5
"""Columns between the centre of a character and ink that is not its own."""
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
        # full-width letters and signs, U+FF01 on, are the plain ones set as wide as a Chinese sign
        plain = characters.translate({code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)})
        self._characters = ["", *plain.splitlines(), " "]

    def read(self, picture: Picture, quad: Quad) -> Line | None:
        """The line within a box, from left to right or from top to bottom; None where nothing stands there.

        A long box in which no character is read gives a line without text.
        """
        return self._read(*_straighten(picture, quad))

    def read_otherwise(self, picture: Picture, quad: Quad) -> Line | None:
        """The same line the other way round; of several ways the one in which it is read most surely."""
        line, quad = _straighten(picture, quad)
        others = [self._read(np.ascontiguousarray(line[::-1, ::-1]), _turned(quad))]
        if _is_tall(quad) and line.shape[1] < _MOST_UPRIGHT * line.shape[0]:  # a single high letter or digit
            others.append(self._read(np.ascontiguousarray(np.rot90(line, -1)), quad[[3, 0, 1, 2]]))
        return max(others, key=sureness)

    def _read(self, line: Picture, quad: Quad) -> Line | None:
        """A line that was cut out; None where nothing stands there."""
        height, width = line.shape[:2]
        used = min(_MOST_WIDTH, math.ceil(_HEIGHT * width / height))
        room = math.ceil(used / _WIDTH_STEP) * _WIDTH_STEP
        blob = np.zeros((1, 3, _HEIGHT, room), np.float32)
        scaled = cv2.resize(line, (used, _HEIGHT), interpolation=cv2.INTER_LINEAR)
        blob[..., :used] = cv2.dnn.blobFromImage(scaled, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        (answer,) = run(self._session, blob)
        steps = answer[0]
        text, confidences, centres = self._decode(steps, used / room)
        if not text.strip():
            return (
                Line("", (), (), quad, skipped=1.0) if used >= _LEAST_UNREAD * _HEIGHT and _is_clear(scaled) else None
            )
        gaps, heights, skipped = _measure(scaled, text, np.array(centres) * used)
        doubt = _doubt(steps[: math.ceil(len(steps) * used / room)])
        return Line(text, confidences, centres, quad, gaps, heights, doubt, skipped, _is_clear(scaled))

    def _decode(self, steps: np.ndarray, used: float) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
        """Undo CTC: of neighbouring steps that say the same one is kept, and blanks are left out.

        Returns:
            The text; the confidence and the place of each character, as `Line` has them.
        """
        best = steps.argmax(axis=1)
        kept = best != 0
        kept[1:] &= best[1:] != best[:-1]
        (columns,) = np.nonzero(kept)
        pieces = [self._characters[index] for index in best[columns]]
        # a class may be written with two code points
        at = [column for piece, column in zip(pieces, columns, strict=True) for _ in piece]
        centres = np.minimum((np.array(at) + 0.5) / (len(steps) * used), 1.0)
        return "".join(pieces), tuple(map(float, steps[at, best[at]])), tuple(map(float, centres))


def _doubt(steps: np.ndarray) -> float:
    """Mean entropy of the steps of a line, [steps, classes], in nats.

    Those that are as good as certain have less than 0.02 and count as 0: the others are few, and each has the
    logarithms of 18,710 classes.
    """
    unsure = steps[steps.max(axis=1) < _CERTAIN]
    return float(-(unsure * np.log(np.maximum(unsure, _TINY))).sum() / len(steps))


def _straighten(picture: Picture, quad: Quad) -> tuple[Picture, Quad]:
    """Cut a line out so that it runs from left to right, and its corners as it is read."""
    across, down = (max(1, int(length)) for length in extent(quad))
    target = np.array([(0, 0), (across, 0), (across, down), (0, down)], np.float32)
    way = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    line = cv2.warpPerspective(picture, way, (across, down), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if down >= _UPRIGHT * across:
        return np.ascontiguousarray(np.rot90(line)).astype(np.uint8), quad[[1, 2, 3, 0]]
    return line.astype(np.uint8), quad


def turn_doubtful(
    found: Sequence[tuple[Quad, Line | None]], read_otherwise: Callable[[Quad], Line | None]
) -> list[Line]:
    """The lines of a picture, each the way round in which it is read most surely.

    Only lines that are read unsurely are read otherwise, the longest first: where none of the first few is turned, the
    rest is small print, or no text.

    Args:
        found: boxes, and what was read in them.
        read_otherwise: reads the line within a box the other way round.
    """
    lines = [line for _, line in found]
    doubtful = [index for index, line in enumerate(lines) if sureness(line) < DOUBTFUL]
    doubtful.sort(key=lambda index: (not sureness(lines[index]), -max(extent(found[index][0]))))
    turned = 0
    for number, index in enumerate(doubtful):
        if number >= _TRIED and not turned:
            break
        other = read_otherwise(found[index][0])
        if sureness(other) > sureness(lines[index]) + _SURELY:
            lines[index], turned = other, turned + 1
    return [line for line in lines if line is not None]


def turn_with_others(lines: Sequence[Line], read: Callable[[Quad], Line | None]) -> list[Line]:
    """The lines of a picture, those that read both ways, as NOON and SOS do, like most of the others.

    Args:
        lines: each as it was read most surely.
        read: reads the line within a box from the box's first edge on.
    """
    settled = list(lines)
    for tall in (False, True):
        group = [index for index, line in enumerate(lines) if _is_tall(line.quad) is tall]
        turned = [index for index in group if _is_turned(lines[index].quad)]
        if not turned:
            continue
        others = {index: read(_turned(lines[index].quad)) for index in group if index not in turned}
        either = {
            index: other
            for index, other in others.items()
            if other is not None and sureness(other) > sureness(lines[index]) - _SURELY
        }
        if len(turned) > len(others) - len(either):
            for index, other in either.items():
                settled[index] = other
    return settled


def _turned(quad: Quad) -> Quad:
    """The same box for a line that stands on its head."""
    return quad[[2, 3, 0, 1]]


def _is_turned(quad: Quad) -> bool:
    """Tell whether a line runs from right to left, or from bottom to top."""
    along = quad[1] - quad[0]
    return bool(along[int(_is_tall(quad))] < 0)


def _is_tall(quad: Quad) -> bool:
    """Tell whether a line was cut out of a box that is higher than wide."""
    along = np.abs(quad[1] - quad[0])
    return bool(along[1] > along[0])


def sureness(line: Line | None) -> float:
    """Mean confidence of a line's characters; 0 where there are none."""
    return fmean(line.confidences) if line is not None and line.confidences else 0.0


def _measure(line: Picture, text: str, centres: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Bare room before each character and the height of its ink, as `Line` has them, and the share of skipped letters.

    Args:
        line: the line of `_HEIGHT` rows.
        text: what was read on it.
        centres: columns of its characters.
    """
    grey = cv2.cvtColor(line, cv2.COLOR_BGR2GRAY)
    _, ink = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if ink[[0, -1]].mean() > 0.5:  # the ground is light
        ink = 1 - ink
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    left, top, width, height = stats[1:, : cv2.CC_STAT_AREA].T
    solid = height >= _LEAST_INK
    inked = np.isin(labels, 1 + np.flatnonzero(solid)).any(axis=0)
    starts, ends = np.flatnonzero(np.diff(inked, prepend=False, append=False)).reshape(-1, 2).T
    cut_off = (top == 0) & (top + height == _HEIGHT)
    gaps, heights, owner = [0.0] * len(text), [0.0] * len(text), [-1] * len(text)
    last = -1
    for index, (character, at) in enumerate(zip(text, centres, strict=True)):
        if character.isspace() or not len(starts):
            continue
        block = int(np.argmin(np.maximum(starts - at, at - ends)))
        gaps[index] = float(starts[block] - ends[last]) / _HEIGHT if 0 <= last < block else 0.0
        last = block
        away = np.maximum(np.maximum(left - at, at - left - width), 0)
        own = int(np.lexsort((-height, np.where(solid, away, _MOST_WIDTH)))[0])
        if away[own] <= _BESIDE and solid[own]:
            owner[index] = own
            heights[index] = 0.0 if cut_off[own] else float(height[own] / _HEIGHT)
    # ink that several characters share says nothing about one
    shared = {one for one, number in Counter(owner).items() if number > 1}
    alone = tuple(0.0 if one in shared else high for one, high in zip(owner, heights, strict=True))
    letters = (height >= _LETTER) & ~cut_off & (width <= 2 * _HEIGHT)
    read = np.array([at for character, at in zip(text, centres, strict=True) if not character.isspace()])
    beside = np.maximum(left[:, None] - read, read - (left + width)[:, None]).min(axis=1)
    inside = (left >= read.min()) & (left + width <= read.max())  # what lies beyond may be no text
    skipped = width[letters & inside & (beside > _FAR)].sum() / max(1, width[letters].sum())
    return tuple(gaps), alone, float(skipped)


def _is_clear(line: Picture) -> bool:
    """Tell whether letters stand out so sharply that only who does not know them is in doubt."""
    grey = cv2.cvtColor(line, cv2.COLOR_BGR2GRAY)
    steepness = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)) / 4
    return float(np.percentile(steepness, 98)) >= _CLEAR
