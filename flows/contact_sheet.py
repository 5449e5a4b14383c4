"""One picture of all an ad's frames, with what is to be said of each below it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from flows.lettering import LINE, Colour, wrapped, write

_COLUMNS = 3
_WIDTH, _HEIGHT = 480, 480
"""Most pixels of a tile's picture."""
_GAP = 16
_HEAD_LINES, _TILE_LINES = 3, 5
"""Most lines that one entry takes."""
_INK, _FAINT, _PAPER, _HOLE = (28, 28, 32), (100, 100, 106), (255, 255, 255), (222, 222, 218)
_KEPT, _DROPPED, _WORD = (0, 112, 56), (184, 28, 28), (255, 0, 200)

Box = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max in pixels of the frame."""


@dataclass(frozen=True)
class Tile:
    """A frame, or the place of one that could not be had."""

    jpeg: bytes | None
    lines: tuple[str, ...]
    """What is to be said; may hold whatever strangers wrote. The first one is written in the verdict's colour."""
    kept: bool | None = None
    """Framed in green or red; None where nothing is decided yet."""
    boxes: Sequence[Box] = ()
    """Drawn on the picture."""


def contact_sheet(head: Sequence[str], tiles: Sequence[Tile]) -> Image.Image:
    """Draw a sheet: lines about the ad, then its frames in rows of three."""
    drawn = [_draw_tile(tile) for tile in tiles]
    columns = min(_COLUMNS, max(1, len(drawn)))
    # the head has two columns' room even over a single frame
    width = max(columns, 2) * (_WIDTH + _GAP) + _GAP
    said = [line for entry in head for line in wrapped(entry, width - 2 * _GAP, _HEAD_LINES)]
    rows = [drawn[first : first + columns] for first in range(0, len(drawn), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    top = 2 * _GAP + len(said) * LINE
    sheet = Image.new("RGB", (width, top + sum(heights) + _GAP * len(rows)), _PAPER)
    for number, line in enumerate(said):
        write(sheet, (_GAP, _GAP + number * LINE), line, _INK)
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (_WIDTH + _GAP), top))
        top += height + _GAP
    return sheet


def _draw_tile(tile: Tile) -> Image.Image:
    picture = _picture(tile)
    colour = _colour(tile)
    lines = [
        (line, colour if number == 0 else _INK)
        for number, entry in enumerate(tile.lines)
        for line in wrapped(entry, _WIDTH, _TILE_LINES)
    ]
    drawn = Image.new("RGB", (_WIDTH, picture.height + 8 + len(lines) * LINE), _PAPER)
    drawn.paste(picture, (0, 0))
    for number, (line, ink) in enumerate(lines):
        write(drawn, (0, picture.height + 6 + number * LINE), line, ink)
    return drawn


def _picture(tile: Tile) -> Image.Image:
    """The frame as large as its place allows, with its boxes and the frame of its verdict."""
    try:
        picture = Image.open(io.BytesIO(tile.jpeg or b"")).convert("RGB")
    except (OSError, Image.DecompressionBombError):
        picture = Image.new("RGB", (_WIDTH, _WIDTH * 9 // 16), _HOLE)
    scale = min(_WIDTH / picture.width, _HEIGHT / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in tile.boxes:
        draw.rectangle((left * scale, top * scale, right * scale, bottom * scale), outline=_WORD)
    if tile.kept is not None:
        draw.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=_colour(tile), width=4)
    return picture


def _colour(tile: Tile) -> Colour:
    if tile.kept is None:
        return _INK if tile.jpeg else _FAINT
    return _KEPT if tile.kept else _DROPPED
