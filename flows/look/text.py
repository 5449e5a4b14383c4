"""Text on pictures, whatever its script: measured, broken into lines, written; control characters as escapes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

from data_catalog.printing import printable

LINE = 20
"""Pixels from one line to the next."""
_SIZE = 15
_LONGEST = 2000
"""Characters of a text that are read: no sheet has room for more."""
# Pillow's own font knows Latin alone; of these, each is asked for what those before it cannot draw
_FILES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]


def wrapped(text: str, width: float, most_lines: int) -> list[str]:
    """A text in lines that fit a width, broken at spaces where there are any; what is left over ends in an ellipsis."""
    # an escape takes several characters for one
    rest = " ".join(_drawable(printable(text[:_LONGEST])).split())
    lines: list[str] = []
    while rest and len(lines) < most_lines:
        fits = _fitting(rest, width)
        lines.append(rest[:fits].rstrip())
        rest = rest[fits:].lstrip()
    if rest or len(text) > _LONGEST:
        # a text of spaces has no line to end
        last = lines.pop() if lines else ""
        lines.append(f"{last[: _fitting(last, width - length('…'))].rstrip()}…")
    return lines


def write(image: Image.Image, at: tuple[float, float], text: str, colour: Colour) -> None:
    """Write one line of `wrapped`, its upper left corner at a place."""
    draw, x = ImageDraw.Draw(image), at[0]
    for index, piece in groupby(text, _font_for):
        run = "".join(piece)
        draw.text((x, at[1]), run, fill=colour, font=_fonts()[index])
        x += length(run)


def length(text: str) -> float:
    """Pixels that a line takes."""
    return sum(map(_advance, text))


def _fitting(text: str, width: float) -> int:
    """Number of characters that fit, up to the last space among them if there is one; at least one."""
    used = 0.0
    for count, character in enumerate(text):
        used += _advance(character)
        if used > width:
            return text.rfind(" ", 0, count + 1) + 1 or max(1, count)
    return len(text)


def _drawable(text: str) -> str:
    """Characters that no font of this machine can draw are written as their number."""
    return "".join(_written(character) for character in text)


@lru_cache(maxsize=4096)
def _written(character: str) -> str:
    known = character.isspace() or any(draws(font, character) for font in _fonts())
    return character if known else f"<{ord(character):X}>"


@lru_cache(maxsize=4096)
def _font_for(character: str) -> int:
    """Index of the first font that can draw a character."""
    return next((index for index, font in enumerate(_fonts()) if character.isspace() or draws(font, character)), 0)


@lru_cache(maxsize=4096)
def _advance(character: str) -> float:
    return float(_fonts()[_font_for(character)].getlength(character))


def draws(font: Font, character: str) -> bool:
    """Whether a font has a character: it draws a missing one like a character that does not exist."""
    plain = _unshaped(font)
    return bytes(plain.getmask(character)) != bytes(plain.getmask("\U0010fffe"))


@cache
def _unshaped(font: Font) -> Font:
    """Without shaping: it moves a mark that stands alone, and a box that is moved looks like a character."""
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    return font


@cache
def _fonts() -> tuple[Font, ...]:
    return (*_installed(), ImageFont.load_default(_SIZE))


def _installed() -> Iterator[Font]:
    for name in _FILES:
        try:
            yield ImageFont.truetype(name, _SIZE)
        except OSError:
            continue
