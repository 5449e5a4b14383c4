"""One picture of an ad's frames with what was read on them, so that a person sees why each was kept or dropped."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from data_catalog.inspect import printable
from flows.ocr.words import Word

_WIDTH = 480
_HEIGHT = 300
_MARGIN = 12
_LINE = 20
_TEXT_LINES = 5
_COLUMNS = 3
_LONGEST_WORD = 40
_KEPT, _DROPPED, _INK, _PAPER = (0, 120, 60), (190, 30, 30), (30, 30, 30), (255, 255, 255)
_BOX = (255, 60, 200)
# Pillow's own font knows Latin alone; of these, each is asked for what those before it cannot draw
_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
    """A frame, what was read on it, and what was decided."""

    jpeg: bytes
    timestamp_s: float
    words: Sequence[Word]
    kept: bool
    why: str


def draw_sheet(title: str, tiles: Sequence[Tile]) -> Image.Image:
    """All frames in rows of three: the picture with a box around each word, its time, the decision, and the words."""
    columns = max(1, min(_COLUMNS, len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height = _HEIGHT + (_TEXT_LINES + 2) * _LINE + 2 * _MARGIN
    sheet = Image.new("RGB", (columns * (_WIDTH + _MARGIN) + _MARGIN, 2 * _LINE + _MARGIN + rows * height), _PAPER)
    _write(sheet, (_MARGIN, _MARGIN), printable(title), _INK)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        _draw_tile(sheet, tile, _MARGIN + column * (_WIDTH + _MARGIN), 2 * _LINE + _MARGIN + row * height)
    return sheet


def _draw_tile(sheet: Image.Image, tile: Tile, left: int, top: int) -> None:
    picture, scale = _picture(tile.jpeg)
    draw = ImageDraw.Draw(picture)
    for word in tile.words:
        draw.rectangle([side * scale for side in word.box], outline=_BOX)
    sheet.paste(picture, (left, top))
    colour = _KEPT if tile.kept else _DROPPED
    ImageDraw.Draw(sheet).rectangle((left, top, left + picture.width, top + picture.height), outline=colour, width=3)
    y = top + picture.height + 6
    decision = f"{tile.timestamp_s:.2f} s   {'kept' if tile.kept else 'dropped'}"
    head = [decision, *_clip(tile.why.split(), 1)]
    lines = [(line, colour) for line in head]
    lines += [(line, _INK) for line in _clip([word.text for word in tile.words], _TEXT_LINES)]
    for number, (line, ink) in enumerate(lines):
        _write(sheet, (left, y + number * _LINE), line, ink)


def _picture(jpeg: bytes) -> tuple[Image.Image, float]:
    """The frame as large as its place allows, and its scale; grey where it cannot be decoded."""
    try:
        picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    except OSError:
        return Image.new("RGB", (_WIDTH, _HEIGHT), (128, 128, 128)), 0.0
    scale = min(_WIDTH / picture.width, _HEIGHT / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS), scale


def _clip(words: Sequence[str], lines: int) -> Iterator[str]:
    """The words in lines that fit a tile; what does not fit ends in an ellipsis."""
    line, written = "", 0
    for word in words:
        shown = printable(word if len(word) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}…")
        if line and _length(f"{line} {shown}") > _WIDTH:
            written += 1
            if written == lines:
                yield f"{line} …"
                return
            yield line
            line = shown
        else:
            line = f"{line} {shown}".strip()
    while _length(line) > _WIDTH:
        line = f"{line[: max(1, int(len(line) * _WIDTH / _length(line)) - 2)].rstrip('…')}…"
    yield line


def _write(image: Image.Image, at: tuple[float, float], text: str, colour: _Colour) -> None:
    draw, x = ImageDraw.Draw(image), at[0]
    for piece, font in _runs(text):
        draw.text((x, at[1]), piece, fill=colour, font=font)
        x += draw.textlength(piece, font)


def _length(text: str) -> float:
    return sum(font.getlength(piece) for piece, font in _runs(text))


def _runs(text: str) -> Iterator[tuple[str, _Font]]:
    """A text with the font of each piece; a character that no font can draw is written as its number."""
    fonts = _fonts()
    for character in text:
        font = next((font for font in fonts if _draws(font, character)), None)
        if font is None:
            yield f"<{ord(character):X}>", fonts[0]
        else:
            yield character, font


@lru_cache(maxsize=1)
def _fonts() -> tuple[_Font, ...]:
    found: list[_Font] = []
    for name in _FONTS:
        try:
            found.append(ImageFont.truetype(name, 15))
        except OSError:
            continue
    return (*found, ImageFont.load_default(15))


@lru_cache(maxsize=4096)
def _draws(font: _Font, character: str) -> bool:
    """A font draws what it lacks as it draws a character that does not exist."""
    return character.isspace() or bytes(font.getmask(character)) != bytes(font.getmask("\U0010fffe"))
