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
- A jump in the height of the letters parts words, `MÁSALLÁ` with a small `MÁS`, where at least two letters stand on
  either side: a large initial or a raised ending does not.
- A Chinese or Japanese sign by itself is a word only among others: in a Latin text an icon reads as `十` or `品`.
- What is read with less than the least confidence is none, and so is a line in a script that the engine does not know.

Lines of one direction are read across that direction, however it is slanted or turned on the picture.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

RULES_VERSION = 5
"""Rises when a change of this file counts other words; rows of `texts` made under another are read again."""

ONE_LETTER_WORDS = frozenset("ai")
_WIDE_GAP_STEPS = 3.0
_WIDE_GAP_HEIGHTS = 0.8
_SPELLED_OUT = 3
_FRAGMENT = 3
_FRAGMENT_CONFIDENCE = 0.8
_WIDER = 1.4
"""Letters of a word that is set wide stand at most so many of its usual steps, or of its usual gaps, apart."""
_SET_WIDE = 0.22
"""Heights of the line from which on a gap on either side sets a letter apart from its neighbours."""
_JUMP = 1.4
"""Letters so many times higher than those before them begin another word."""
_X_HEIGHT = 0.73
"""Of a small letter without ascender, where a capital is 1 high."""
_ALIKE = 1.2
_READ_BOTH_WAYS = frozenset("HINOSXZMWbdhlnopqsuxzy0156789")
"""Letters and digits that are one, themselves or another, on their head, too."""
_QUOTED = 5
"""Lines that are quoted at most."""
_FEW_SIGNS = 2
"""Different Chinese signs, icons aside, from which on they are a text."""
_MOST_DOUBT = 0.18
"""Entropy above which a clear line is in letters that the engine does not know."""
_MOST_WIDE_DOUBT = 0.3
"""As above where letters are set wide: between them the engine wavers whether a space stands there."""
_MOST_SKIPPED = 0.08
_MOST_BLURRED_DOUBT = 0.75
"""As above for a line that is blurred or faint, where no line of the picture is sure."""
_SURE = 0.12
_SAYING = 4
"""Letters and digits of a line from which on it says something."""
_SAME_DIRECTION = 6.0
"""Degrees between two lines of one block."""
_LONG = 2.0
"""Heights from which on the box of a line says in which direction it runs."""
_ICONS = frozenset("一丨丿丶十口日曰目田回品囗中工土士干卜人入八二三〇口凸凹囚囧ロニハエトー")
"""Signs as which icons, frames and strokes are read."""
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


class Reading(list[Word]):
    """The words of one picture in reading order, and what was read there and is none for its script."""

    def __init__(self, words: Iterable[Word] = (), unread: str = "") -> None:
        """`unread` quotes lines that the engine does not know to read, where they are most of the picture's text."""
        super().__init__(words)
        self.unread = unread


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
    gaps: tuple[float, ...] = ()
    """Bare room before each character in heights of the line, 0 for spaces; empty where it is not measured."""
    heights: tuple[float, ...] = ()
    """Height of each character without its accents in heights of the line, 0 where it is not known; or empty."""
    doubt: float = 0.0
    """Mean entropy of the recogniser's steps in nats, where it is measured."""
    skipped: float = 0.0
    """Share of the line's ink, 0 to 1, that is as large as a letter and was read as nothing, where it is measured."""
    clear: bool = True
    """Its letters stand out so sharply that who knows them can read them."""

    @property
    def extent(self) -> tuple[float, float]:
        """Length and height in pixels, each at least 1."""
        across, down = (float(np.linalg.norm(self.quad[corner] - self.quad[0])) for corner in (1, 3))
        return max(across, 1.0), max(down, 1.0)

    @property
    def sure(self) -> bool:
        """It says something in letters that the engine knows."""
        return self.doubt <= _SURE and self.skipped <= _MOST_SKIPPED and sum(map(str.isalnum, self.text)) >= _SAYING

    @property
    def direction(self) -> float:
        """In which direction the line runs on the picture, in degrees clockwise from left to right."""
        along, below = self.quad[1] - self.quad[0]
        return float(np.degrees(np.arctan2(below, along)))

    @classmethod
    def evenly_set(cls, text: str, confidence: float, quad: Any) -> Line:
        """A line of which only the whole is known: every character gets the same room."""
        steps = [(index + 0.5) / len(text) for index in range(len(text))]
        return cls(text, (confidence,) * len(text), tuple(steps), np.asarray(quad, np.float64))


def read_words(lines: Iterable[Line], min_confidence: float = 0.5) -> Reading:
    """The words of a picture in reading order; what is no word is left out."""
    found = list(lines)
    known = _known(found)
    words = [
        word
        for row in _rows(known)
        if not _is_stray(row)
        for line in row
        for word in _words_of(line)
        if word.confidence >= min_confidence and is_word(word.text)
    ]
    return Reading(_without_icons(words), _quote(found, known))


def _known(lines: Sequence[Line]) -> list[Line]:
    """The lines that are not in letters which the engine does not know, as far as can be told."""
    most_blurred = math.inf if any(line.sure for line in lines) else _MOST_BLURRED_DOUBT
    return [line for line in lines if _is_known(line, most_blurred)]


def _is_known(line: Line, most_blurred: float) -> bool:
    if not line.clear:
        return bool(line.text) and line.doubt <= most_blurred
    return bool(line.text) and line.doubt <= _most_doubt(line) and line.skipped <= _MOST_SKIPPED


def _most_doubt(line: Line) -> float:
    """Entropy above which the line is in letters that the engine does not know; numbers are in no letters."""
    if not any(map(str.isalpha, line.text)) and fmean(line.confidences) >= _FRAGMENT_CONFIDENCE:
        return math.inf
    room = [gap for character, gap in zip(line.text, line.gaps, strict=False) if not character.isspace()][1:]
    return _MOST_WIDE_DOUBT if room and median(room) >= _SET_WIDE else _MOST_DOUBT


def _quote(lines: Sequence[Line], known: Sequence[Line]) -> str:
    """Quote the lines in letters that the engine does not know, where they are at least half of the text."""
    ids = {id(line) for line in known}
    others = [line for line in lines if id(line) not in ids]
    if not others or 2 * sum(line.extent[0] for line in others) < sum(line.extent[0] for line in lines):
        return ""
    quoted = [f"{line.text!r} at {fmean(line.confidences):.2f}" for line in others if line.text.strip()]
    return "; ".join(quoted[:_QUOTED]) or "nothing"


def count_certain(lines: Iterable[Line], min_confidence: float = 0.5) -> int:
    """Number of the words in these lines that count whatever other lines the picture has.

    A line of more letters and digits than a fragment's is stray in no row, and a word of two is one in any company.
    What reads both ways round, as NOON does, may yet be turned with the others.
    """
    return sum(
        word.confidence >= min_confidence and sum(map(str.isalnum, word.text)) > 1 and not _is_icon(word)
        for line in lines
        if sum(map(str.isalnum, line.text)) > _FRAGMENT
        and not _READ_BOTH_WAYS.issuperset(character for character in line.text if character.isalnum())
        and _is_known(line, _MOST_BLURRED_DOUBT)
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
    cuts.update(_jumps(line))
    for word in _set_wide(line):
        cuts -= set(range(word[0] + 1, word[-1] + 1))
        cuts |= {word[0], word[-1] + 1}
    return [span for span in itertools.pairwise(sorted(cuts)) if not text[slice(*span)].isspace()]


def _set_wide(line: Line) -> Iterator[list[int]]:
    """Places of the letters of each word that is set wide."""
    letters = [index for index, character in enumerate(line.text) if not character.isspace()]
    if not letters:
        return
    # for want of measured gaps the steps from letter to letter are compared
    steps = (line.centres[after] - line.centres[at] for at, after in itertools.pairwise(letters))
    before = [_SET_WIDE, *((line.gaps[index] for index in letters[1:]) if line.gaps else steps)]
    apart = [min(pair) >= _SET_WIDE if line.gaps else False for pair in itertools.pairwise([*before, _SET_WIDE])]
    alone = [
        wide or len(line.text[max(0, at - 1) : at + 2].strip()) == 1 for at, wide in zip(letters, apart, strict=True)
    ]
    marked = zip(letters, before, alone, strict=True)
    for single, run in itertools.groupby(marked, lambda one: one[2] and line.text[one[0]].isalpha()):
        group = list(run)
        if single and len(group) >= _SPELLED_OUT:
            wide = _WIDER * median(gap for _, gap, _ in group[1:])
            starts = [0, *(at for at, (_, gap, _) in enumerate(group) if at and gap > wide), len(group)]
            yield from ([index for index, _, _ in group[start:end]] for start, end in itertools.pairwise(starts))


def _jumps(line: Line) -> Iterator[int]:
    """Positions at which the height of the letters jumps within a word."""
    for match in re.finditer(r"[^\W\d_]{4,}", line.text if line.heights else ""):
        start, end = match.span()
        capitals = any(map(str.isupper, match[0]))
        size = {at: high for at in range(start, end) if (high := _letter_size(line, at, capitals))}
        for before, after in itertools.pairwise(size):
            left_at, right_at = [at for at in size if at <= before], [at for at in size if at >= after]
            left, right = [size[at] for at in left_at], [size[at] for at in right_at]
            if min(len(left), len(right)) < 2 or max(map(_spread, (left, right))) > _ALIKE:
                continue
            if _spread([median(left), median(right)]) > _JUMP:
                # letters between them may be either's: their own height tells, where it is known
                ours, theirs = (median(line.heights[at] for at in part) for part in (left_at, right_at))
                yield next((at for at in range(before + 1, after) if _begins(line, at, ours, theirs)), after)


def _begins(line: Line, at: int, before: float, after: float) -> bool:
    """Tell whether a letter whose size is not clear is of the word behind it."""
    if line.heights[at]:
        return abs(line.heights[at] - after) < abs(line.heights[at] - before)
    return line.text[at].isupper() != line.text[at - 1].isupper()


def _letter_size(line: Line, index: int, capitals: bool) -> float:
    """Height of a capital in the type of a letter; 0 where it cannot be told."""
    base = unicodedata.normalize("NFD", line.text[index])[0]
    if base.isupper() or base in "bdfhkl":
        return line.heights[index]
    # a small capital is read as a small letter where both have one shape
    if base in "aemnr" or (base in "cosuvwxz" and not capitals):
        return line.heights[index] / _X_HEIGHT
    return 0.0


def _spread(sizes: Sequence[float]) -> float:
    return max(sizes) / min(sizes)


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
    """The rows of a picture in reading order, each from its first line to its last.

    Most lines run in one direction; their rows are read across it. Lines that run in another one make a block of
    their own, which is read as a whole where its middle lies.
    """
    main, *others = sorted(_blocks(lines), key=lambda block: (-len(block[1]), abs(block[0]))) or [(0.0, [])]
    units = [[row] for row in _rows_along(*main)] + [_rows_along(*other) for other in others]
    units.sort(key=lambda unit: fmean(_place(line, main[0])[1] for row in unit for line in row))
    return [row for unit in units for row in unit]


def _blocks(lines: Sequence[Line]) -> list[tuple[float, list[Line]]]:
    """Lines by their direction in degrees; a short one, whose box does not say it, goes with the nearest long one."""
    long = sorted((line for line in lines if line.extent[0] >= _LONG * line.extent[1]), key=lambda line: line.direction)
    if not long:
        return [(0.0, list(lines))] if lines else []
    blocks = [[long[0]]]
    for line in long[1:]:
        if line.direction - blocks[-1][-1].direction > _SAME_DIRECTION:
            blocks.append([])
        blocks[-1].append(line)
    if len(blocks) > 1 and long[0].direction + 360 - long[-1].direction <= _SAME_DIRECTION:
        blocks[0] += blocks.pop()  # about 180 degrees
    block_of = {id(line): index for index, block in enumerate(blocks) for line in block}
    directed = [(_middle_direction(block), block) for block in blocks]
    for line in lines:
        if id(line) not in block_of:
            centre = line.quad.mean(axis=0)
            nearest = min(long, key=lambda other: float(np.linalg.norm(other.quad.mean(axis=0) - centre)))
            directed[block_of[id(nearest)]][1].append(line)
    return directed


def _middle_direction(block: Sequence[Line]) -> float:
    """Median of directions that lie close together, on whichever side of 180 degrees."""
    first = block[0].direction
    return first + median((line.direction - first + 180) % 360 - 180 for line in block)


def _rows_along(direction: float, lines: Sequence[Line]) -> list[list[Line]]:
    """Rows of lines that run in one direction, one below the other, each along it."""
    rows: list[list[Line]] = []
    place = {id(line): _place(line, direction) for line in lines}
    for line in sorted(lines, key=lambda line: place[id(line)][1]):
        below = place[id(line)][1]
        if (
            rows
            and abs(below - fmean(place[id(one)][1] for one in rows[-1]))
            < min(one.extent[1] for one in [line, *rows[-1]]) / 2
        ):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: place[id(line)][0]) for row in rows]


def _place(line: Line, direction: float) -> tuple[float, float]:
    """Start of a line along a direction, and position of its middle across it."""
    turn = np.radians(direction)
    along = line.quad @ np.array([np.cos(turn), np.sin(turn)])
    below = line.quad @ np.array([-np.sin(turn), np.cos(turn)])
    return float(along.min()), float(below.mean())


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


def _without_icons(words: list[Word]) -> list[Word]:
    """Leave Chinese signs out that icons may be, unless the text is Chinese or Japanese."""
    letters = [character for word in words for character in word.text if character.isalpha()]
    signs = [character for character in letters if _is_sign(character)]
    if len(signs) > len(letters) / 2 and len({*signs} - _ICONS) >= _FEW_SIGNS:
        return words
    return [word for word in words if not _is_icon(word)]


def _is_icon(word: Word) -> bool:
    """Tell whether a word is one sign, or several that all look like icons."""
    characters = [character for character in word.text if character.isalnum()]
    return all(map(_is_sign, characters)) and (len(characters) == 1 or _ICONS.issuperset(characters))


def _is_sign(character: str) -> bool:
    return unicodedata.name(character, "").startswith(("CJK", "HIRAGANA", "KATAKANA"))
