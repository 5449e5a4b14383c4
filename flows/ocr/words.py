"""Rules for the words of a frame: what counts as one, and their reading order.

The rule of the dataset is "more than five words", so this file decides what the dataset contains:

- A word holds at least one Unicode letter or digit: `OFF`, `été`, `7`, `PG-13`, `lotus-pendants.example`. A sign
  alone (`&`, `-`, `$`) is none.
- A price and a percentage are one word each, sign included: `$59.99`, `25%`, `%25`, and `49 €` and `1 299 €` too, which
  become `49€` and `1299€`. Where a recogniser glued one to its neighbour (`25%OFF`, `Was$59.99`) they are cut apart.
- Bars, bullets, long dashes and rows of dots part words, and so does a comma between letters: `fast|safe`, `fast,safe`.
- A single letter is a word only where English has one (`a`, `I`); any other is taken for a stray glyph, as logos
  and textures leave them. A single digit is a word, and so is a single character of a script without capitals
  (Chinese, Arabic, Thai ...).
- A line ends a word, a space does, and so does a gap three times as wide as the line's usual step from one
  character to the next and nearly as wide as the line is high: there the recogniser has missed the space.
- A letter that stands in a row all by itself is a stray glyph, whatever it is: a cross reads as a Chinese ten.
- A row of up to three letters or digits in all is a fragment unless it is read with a confidence of 0.8: wood grain
  reads as an unsure `8`, an edge as `11`.
- Three or more single letters in a row are one word that is set wide, `S A L E`, as far as the gaps between them are
  alike: a wider one parts two such words.
- What is read with less than the least confidence is none.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

RULES_VERSION = 3
"""Rises when a change of this file counts other words; rows of `texts` made under another are read again."""

ONE_LETTER_WORDS = frozenset("ai")
_WIDE_GAP_STEPS = 3.0
_WIDE_GAP_HEIGHTS = 0.8
_SPELLED_OUT = 3
_FRAGMENT = 3
_FRAGMENT_CONFIDENCE = 0.8
_WIDER = 1.4
"""Letters of a word that is set wide stand at most so many of its usual steps apart."""
_SIGNS = "$€£¥￥₹₽₩₪฿₴₺₫₦₱"
_AMOUNT = r"\d+(?:[.,]\d+)*"
_GLUED = re.compile(
    rf"(?<=[^\W\d_]{{2}})(?=[{_SIGNS}%]\d|{_AMOUNT}[%{_SIGNS}])"  # Was|$59.99, SAVE|25%, only|49€
    rf"|(?<=\d[%{_SIGNS}])(?=[^\W\d_]{{2}})"  # 25%|OFF
    r"|(?<=[|•·—…])|(?=[|•·—…])|(?<=\.\.)(?=[^\W_])"  # fast|safe, one...two
    r"|(?<=[^\W\d_]{2},)(?=[^\W\d_]{2})"  # fast,safe
)
# $ 30, US$ 30, 49 €, 25 %, 1 299 €: sign and number are one word, and so are the groups of its digits
_PRICE = re.compile(
    rf"[{_SIGNS}]\s?(?:\d{{1,3}}(?:\s\d{{3}})+(?:[.,]\d+)?|{_AMOUNT})(?!\w)"
    rf"|(?<![\w.,])\d{{1,3}}(?:\s\d{{3}})+(?:[.,]\d+)?\s?[{_SIGNS}](?!\w)"
    rf"|(?<![\w.,]){_AMOUNT}\s?[%{_SIGNS}](?!\w)"
)
# a letter or two behind a price belongs to it: $5M, $30k
_PRICE_BEFORE_WORD = re.compile(rf"[{_SIGNS}]\d(?:[\d.,]*)(?=[^\W\d_]{{3}})")

Box = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max in pixels."""


@dataclass(frozen=True)
class Word:
    """One word as it stands on the picture."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True)
class Line:
    """A piece of text as an engine found it: its characters, and where they stand."""

    text: str
    confidences: tuple[float, ...]
    """One for each character."""
    centres: tuple[float, ...]
    """Place of each character between the line's left end (0) and its right end (1)."""
    quad: NDArray[np.float64]
    """Corners [4, 2] in pixels, as the text is read: top left, top right, bottom right, bottom left."""

    @property
    def extent(self) -> tuple[float, float]:
        """Length and height in pixels, each at least 1."""
        across, down = (float(np.linalg.norm(self.quad[corner] - self.quad[0])) for corner in (1, 3))
        return max(across, 1.0), max(down, 1.0)

    @classmethod
    def evenly_set(cls, text: str, confidence: float, quad: Any) -> Line:
        """A line of which only the whole is known: every character gets the same room."""
        steps = [(index + 0.5) / len(text) for index in range(len(text))]
        return cls(text, (confidence,) * len(text), tuple(steps), np.asarray(quad, np.float64))


def read_words(lines: Iterable[Line], min_confidence: float = 0.5) -> list[Word]:
    """The words of a picture in reading order; what is no word is left out."""
    words = (
        word
        for row in _rows(list(lines))
        if not _is_stray(row)
        for line in sorted(row, key=lambda line: float(line.quad[:, 0].min()))
        for word in _words_of(line)
    )
    return [word for word in words if word.confidence >= min_confidence and is_word(word.text)]


def count_certain(lines: Iterable[Line], min_confidence: float = 0.5) -> int:
    """Number of the words in these lines that count whatever other lines the picture has.

    A line of more letters and digits than a fragment's is stray in no row, and a word of two is one in any company.
    """
    return sum(
        word.confidence >= min_confidence and sum(map(str.isalnum, word.text)) > 1
        for line in lines
        if sum(map(str.isalnum, line.text)) > _FRAGMENT
        for word in _words_of(line)
    )


def is_word(text: str) -> bool:
    """Tell whether a piece of text without spaces counts as a word."""
    characters = [character for character in unicodedata.normalize("NFC", text) if character.isalnum()]
    if len(characters) != 1:
        return bool(characters)
    (character,) = characters
    without_case = character.lower() == character.upper()  # digits, and letters of scripts without capitals
    return without_case or character.lower() in ONE_LETTER_WORDS


def _words_of(line: Line) -> Iterator[Word]:
    step = _usual_step(line)
    for start, end in _spans(line, step):
        left = 0.0 if start == 0 else max(0.0, line.centres[start] - step / 2)
        right = 1.0 if end == len(line.text) else min(1.0, line.centres[end - 1] + step / 2)
        confidence = fmean(line.confidences[start:end])
        # spaces remain only within a price and a word that is set wide
        yield Word("".join(line.text[start:end].split()), confidence, _box(line.quad, left, max(left, right)))


def _spans(line: Line, step: float) -> list[tuple[int, int]]:
    """Start and end of each piece of a line."""
    text = line.text
    across, down = line.extent
    wide = max(_WIDE_GAP_STEPS * step, _WIDE_GAP_HEIGHTS * down / across)
    cuts = {0, len(text)}
    cuts |= {match.start() for match in _GLUED.finditer(text)}
    cuts |= {match.end() for match in _PRICE_BEFORE_WORD.finditer(text)}
    within = {index for match in _PRICE.finditer(text) for index in range(*match.span()) if text[index].isspace()}
    for index in range(len(text)):
        if index in within or index - 1 in within:
            continue
        if text[index].isspace():
            cuts |= {index, index + 1}
        elif index and line.centres[index] - line.centres[index - 1] > wide:
            cuts.add(index)
    spans = [span for span in itertools.pairwise(sorted(cuts)) if not text[slice(*span)].isspace()]
    return _join_spelled_out(line, spans)


def _join_spelled_out(line: Line, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for single, run in itertools.groupby(spans, lambda span: span[1] - span[0] == 1 and line.text[span[0]].isalpha()):
        group = list(run)
        if single and len(group) >= _SPELLED_OUT:
            group = [(part[0][0], part[-1][1]) for part in _evenly_set(line, group)]
        joined += group
    return joined


def _evenly_set(line: Line, letters: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Single letters in groups that no wider gap parts."""
    steps = [line.centres[after] - line.centres[before] for (before, _), (after, _) in itertools.pairwise(letters)]
    wide = _WIDER * median(steps)
    group = [letters[0]]
    for letter, step in zip(letters[1:], steps, strict=True):
        if step > wide:
            yield group
            group = []
        group.append(letter)
    yield group


def _usual_step(line: Line) -> float:
    """Median way from one character to the next; a line of one character is one step wide."""
    pairs = zip(itertools.pairwise(line.text), itertools.pairwise(line.centres), strict=True)
    steps = [after - before for characters, (before, after) in pairs if not any(map(str.isspace, characters))]
    return median(steps) if steps else 1.0 / max(1, len(line.text))


def _box(quad: NDArray[np.float64], left: float, right: float) -> Box:
    """The upright box around the part of a line between two of its fractions."""
    top_left, top_right, bottom_right, bottom_left = quad
    corners = np.array(
        [
            edge[0] + fraction * (edge[1] - edge[0])
            for edge in ((top_left, top_right), (bottom_left, bottom_right))
            for fraction in (left, right)
        ]
    )
    (x_min, y_min), (x_max, y_max) = corners.min(axis=0), corners.max(axis=0)
    return float(x_min), float(y_min), float(x_max), float(y_max)


def _rows(lines: list[Line]) -> list[list[Line]]:
    """From top to bottom, what stands at one height together."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=_middle):
        if rows and abs(_middle(line) - fmean(map(_middle, rows[-1]))) < min(map(_height, [line, *rows[-1]])) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _is_stray(row: list[Line]) -> bool:
    said = [
        (character, confidence)
        for line in row
        for character, confidence in zip(line.text, line.confidences, strict=True)
        if character.isalnum()
    ]
    if len(said) == 1 and said[0][0].isalpha():
        return True
    return 0 < len(said) <= _FRAGMENT and fmean(confidence for _, confidence in said) < _FRAGMENT_CONFIDENCE


def _middle(line: Line) -> float:
    return float(line.quad[:, 1].mean())


def _height(line: Line) -> float:
    return float(np.ptp(line.quad[:, 1]))
