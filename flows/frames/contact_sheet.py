"""One picture of all an ad's frames, with what is to be said of each below it."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from data_catalog.inspect import printable
from flows.frames.story import AdStory, FrameStory

_COLUMNS = 3
_TILE, _HIGHEST = 420, 420
_GAP, _LINE = 16, 18
_MOST_LINES = 8
_INK, _FAINT, _PAPER, _HOLE = (30, 30, 34), (120, 120, 126), (250, 250, 248), (226, 226, 222)


def contact_sheet(ad: AdStory) -> Image.Image:
    """Draw the sheet; what strangers wrote is shown with its control characters as escapes."""
    tiles = [_tile(frame) for frame in ad.frames]
    columns = min(_COLUMNS, max(1, len(tiles)))
    width = max(columns, 2) * (_TILE + _GAP) + _GAP
    head = _wrapped((f"{ad.video_id}: {len(ad.frames)} moments", *ad.lines), width - 2 * _GAP)
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    top = 2 * _GAP + len(head) * _LINE
    sheet = Image.new("RGB", (width, top + sum(heights) + _GAP * (len(rows) + 1)), _PAPER)
    _write(sheet, head, _GAP, _GAP, _INK)
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (_TILE + _GAP), top))
        top += height + _GAP
    return sheet


def _tile(frame: FrameStory) -> Image.Image:
    picture = _picture(frame.jpeg)
    lines = _wrapped((f"{frame.index}: {frame.lines[0]}", *frame.lines[1:]), _TILE)
    tile = Image.new("RGB", (_TILE, picture.height + 6 + len(lines) * _LINE), _PAPER)
    tile.paste(picture, ((_TILE - picture.width) // 2, 0))
    _write(tile, lines, 0, picture.height + 6, _INK if frame.jpeg else _FAINT)
    return tile


def _picture(jpeg: bytes | None) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(jpeg or b"")).convert("RGB")
    except (UnidentifiedImageError, OSError):
        return Image.new("RGB", (_TILE, _TILE * 9 // 16), _HOLE)
    picture.thumbnail((_TILE, _HIGHEST))
    return picture


def _wrapped(lines: tuple[str, ...], width: int) -> list[str]:
    """Lines that fit into a width, each of at most a few; cut where it is longer."""
    wrapped: list[str] = []
    for line in lines:
        rest, parts = printable(line[:1000]), 0
        while rest and parts < _MOST_LINES:
            fits = _fitting(rest, width)
            wrapped.append(rest[:fits].strip())
            rest, parts = rest[fits:], parts + 1
        if rest:
            wrapped[-1] = f"{wrapped[-1][:-3]}..."
    return wrapped


def _fitting(text: str, width: int) -> int:
    """How many characters fit, up to the last space among them if there is one."""
    if _font().getlength(text) <= width:
        return len(text)
    count = next(count for count in range(len(text), 0, -1) if count == 1 or _font().getlength(text[:count]) <= width)
    return text.rfind(" ", 0, count) + 1 or count


def _write(image: Image.Image, lines: list[str], x: int, y: int, ink: tuple[int, int, int]) -> None:
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((x, y + number * _LINE), line, fill=ink, font=_font())


@cache
def _font() -> Any:
    return ImageFont.load_default(14)
