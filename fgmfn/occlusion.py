"""Rows without a word or a region, which an explanation lets a model predict.

A word's pieces become as many of the tokenizer's masks, so that no other word moves and none that was cut off comes
into view; a model that counts words reads the text without it. A region becomes the mean colour, the one of the ground
on which pictures are letterboxed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import regex
from PIL import Image

from fgmfn.data import Rows
from fgmfn.data.pictures import Pictures, decode
from fgmfn.data.rows import NOWHERE
from fgmfn.errors import DataError
from fgmfn.inputs import MARK, SEPARATOR, Inputs, is_paired, marked
from fgmfn.processing import IMAGENET_MEAN, FgmfnProcessor, readable

CELLS = 49
"""Regions of a picture, about: 7 x 7 where it is a square."""

_EMOJI = r"\p{Extended_Pictographic}[\p{EMod}\uFE0F\u20E3]*"
_PICTOGRAM = rf"\p{{RI}}{{2}}|{_EMOJI}(?:\u200D{_EMOJI})*"
_SIGN = r"[\p{Han}\p{Hiragana}]"  # of scripts without blanks
_UNIT = regex.compile(rf"{_PICTOGRAM}|{_SIGN}|(?:(?!{_PICTOGRAM}|{_SIGN})\S)+")
_EDGES = regex.compile(r"^[\p{P}\p{S}]+|[\p{P}\p{S}]+$")


@dataclass(frozen=True)
class Word:
    """A word as it stands in a text: a run without blanks, an emoji, or a sign of a script that has no blanks."""

    text: str
    start: int
    """Its first character in the text."""
    read: bool
    """False where the model is not shown it: the text was cut before it, or its signs are none that it is shown."""
    target: bool = False
    """It is a part of what the text is about, or the sign before an auxiliary text; neither is taken away."""
    pieces: int = 1
    """Word pieces that it is cut into."""

    @property
    def end(self) -> int:
        """The character behind its last one."""
        return self.start + len(self.text)

    @property
    def key(self) -> str:
        """Common form of equal words: `Sale!` and `sale` are one word that occurs twice."""
        return _EDGES.sub("", self.text).casefold() or self.text


def words_of(rows: Rows, row: int, processor: FgmfnProcessor | None, inputs: Inputs | None) -> list[Word]:
    """Return the words of a row's text, each with whether the model reads it.

    Units that the tokenizer takes for one word, such as a word with an emoji behind it, are one.

    Args:
        rows: as the model reads them.
        row: the row's number.
        processor: cuts texts; None for a model that reads them whole.
        inputs: what the model reads; None likewise.
    """
    text = readable(rows.text[row])
    span = rows.span[row] if rows.has_targets else NOWHERE
    units = [(one.start(), one.end()) for one in _UNIT.finditer(text)]
    if processor is None or inputs is None:
        return [_word(rows.text[row], unit, span, read=True, pieces=1) for unit in units]
    if not inputs.sentences:
        return [_word(rows.text[row], unit, span, read=False, pieces=0) for unit in units]
    cut = processor.tokenizer(text, add_special_tokens=False, truncation=False, return_offsets_mapping=True)
    pieces = [
        (start, end, word)
        for (start, end), word in zip(cut["offset_mapping"], cut.word_ids(), strict=True)
        if end > start and word is not None
    ]
    shown = _shown(rows, row, processor, inputs)
    found = []
    for unit in _joined(units, pieces):
        own = [piece for piece in pieces if _touch(piece[:2], unit)]
        stands = span if _touch(unit, span) else unit  # a mark in the target's place is shorter than its words
        read = any(_touch(one, stands) for one in shown)
        found.append(_word(rows.text[row], unit, span, read=read, pieces=len(own)))
    return found


def _word(text: str, unit: tuple[int, int], span: tuple[int, int], *, read: bool, pieces: int) -> Word:
    start, end = unit
    kept = _touch(unit, span) or text[start:end] == SEPARATOR
    return Word(text[start:end], start, read, kept, pieces)


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and one[1] > other[0]


def _joined(units: Sequence[tuple[int, int]], pieces: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Join neighbours that the tokenizer takes for parts of one word."""
    joined: list[tuple[int, int]] = []
    last: set[int] = set()
    for start, end in units:
        own = {word for left, right, word in pieces if _touch((left, right), (start, end))}
        if joined and own & last and joined[-1][1] == start:
            joined[-1], last = (joined[-1][0], end), last | own
        else:
            joined.append((start, end))
            last = own
    return joined


def _shown(rows: Rows, row: int, processor: FgmfnProcessor, inputs: Inputs) -> list[tuple[int, int]]:
    """Return the characters of the text that stand behind the pieces which are left when it is cut."""
    text, span = readable(rows.text[row]), rows.span[row]
    read, _ = marked(text, span) if inputs.marked else (text, span)
    pair = [readable(rows.target[row])] if is_paired(inputs, has_targets=rows.has_targets) else None
    offsets = processor.tokenize([read], pair, offsets=True)["offset_mapping"][0]
    moved = 0 if read == text else span[1] - span[0] - len(MARK)
    behind = span[0] + len(MARK)
    return [
        (start + moved, end + moved) if moved and start >= behind else (start, end)
        for start, end in offsets
        if end > start
    ]


def rows_without_words(rows: Rows, row: int, taken: Sequence[Sequence[Word]], mask: str | None) -> Rows:
    """Return a row once for each set of words, without them.

    Args:
        rows: where it stands.
        row: its number.
        taken: the words that are taken away, and stand in its text.
        mask: put so many of it in a word's place as it has pieces; None: cut the word out.
    """
    changed = [_without(rows.text[row], rows.span[row], words, mask) for words in taken]
    repeated = rows.take([row] * len(taken))
    return replace(repeated, text=[text for text, _ in changed], span=[span for _, span in changed])


def _without(text: str, span: tuple[int, int], words: Sequence[Word], mask: str | None) -> tuple[str, tuple[int, int]]:
    for word in sorted(words, key=lambda one: one.start, reverse=True):
        before, after = text[: word.start], text[word.end :]
        put = "" if mask is None else " ".join([mask] * word.pieces)
        if put:
            put = " " * (before[-1:].strip() != "") + put + " " * (after[:1].strip() != "")
        if span != NOWHERE and word.start < span[0]:
            moved = len(put) - len(word.text)
            span = (span[0] + moved, span[1] + moved)
        text = before + put + after
    return text, span


def mask_of(processor: FgmfnProcessor | None) -> str | None:
    """Return what stands for a word that is not known: the tokenizer's mask, or its unknown token; None: nothing."""
    if processor is None:
        return None
    tokenizer: Any = processor.tokenizer
    found: str | None = tokenizer.mask_token or tokenizer.unk_token
    return found


@dataclass(frozen=True)
class Box:
    """A region of a picture, in shares of its width and height from its left upper corner."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: Box) -> bool:
        """Return whether two regions share more than an edge."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return its pixels in a picture of a size."""
        width, height = size
        return (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )


def grid_of(width: int, height: int, cells: int = CELLS) -> tuple[int, int]:
    """Return columns and rows of about so many cells, as near to squares as can be, each of a pixel or more."""
    short, long = sorted((width, height))
    across = max(1, round((cells * short / long) ** 0.5))
    along = min(long, round(cells / across))
    across = min(short, across)
    return (across, along) if width < height else (along, across)


def boxes_of(columns: int, rows: int) -> list[Box]:
    """Return the cells of a grid, row by row."""
    return [
        Box(column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        for row in range(rows)
        for column in range(columns)
    ]


def seen_of(size: tuple[int, int], processor: FgmfnProcessor | None) -> Box:
    """Return the part of a picture that a model is shown; all of it where it is not known to be cut."""
    whole = Box(0, 0, 1, 1)
    if processor is None or processor.fit in ("letterbox", "squash"):
        return whole
    width, height = size
    own = processor.image_processor
    if processor.fit == "crop":
        share = float(processor.crop_share)
    elif own.do_center_crop and "shortest_edge" in own.size:
        share = min(1.0, own.crop_size["height"] / own.size["shortest_edge"])
    else:
        return whole
    across, down = (share * min(width, height) / side / 2 for side in (width, height))
    return Box(0.5 - across, 0.5 - down, 0.5 + across, 0.5 + down)


@dataclass(frozen=True)
class Painted(Pictures):
    """One picture again and again, each time with other regions painted over."""

    image: Image.Image
    regions: Sequence[Sequence[Box]]
    colour: tuple[int, int, int]

    def read(self, row: int) -> bytes:
        """Return the picture without the regions of that place, encoded without loss."""
        painted = self.image.copy()
        for box in self.regions[row]:
            painted.paste(self.colour, box.within(painted.size))
        encoded = io.BytesIO()
        painted.save(encoded, "BMP")
        return encoded.getvalue()


def picture_of(rows: Rows, row: int) -> Image.Image:
    """Decode a row's picture.

    Raises:
        DataError: It has none, or one that cannot be decoded.
    """
    if rows.pictures is None:
        raise DataError("this model looks at pictures and the data brings none: name their folder (--images DIR)")
    return decode(rows.pictures.read(row), rows.where(row))


def ground_of(processor: FgmfnProcessor | None) -> tuple[int, int, int]:
    """Return the mean colour, which is 0 once it is normalised."""
    mean = IMAGENET_MEAN if processor is None else processor.image_processor.image_mean
    red, green, blue = (round(255 * share) for share in mean)
    return red, green, blue


def rows_without_regions(rows: Rows, row: int, painted: Painted) -> Rows:
    """Return a row once for each set of regions, without them."""
    return replace(rows.take([row] * len(painted.regions)), pictures=painted)
