"""A contact sheet: one picture of all an ad's frames, each with lines of text below it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from flows.errors import SheetError
from flows.look.text import LINE, Colour, wrapped, write

_SHEET = 1520
"""Most pixels from the left to the right: three frames of a wide ad, four of an upright one."""
_WIDTH, _HEIGHT = 480, 480
"""Most pixels of a tile's picture."""
_NARROWEST = 320
"""Pixels that a tile's lines have at least."""
_GAP = 16
_HEAD_LINES, _TILE_LINES = 3, 5
"""Most lines that one entry takes."""
_INK, _FAINT, _PAPER, _HOLE = (28, 28, 32), (100, 100, 106), (255, 255, 255), (222, 222, 218)
_KEPT, _DROPPED, _WORD = (0, 112, 56), (184, 28, 28), (255, 0, 200)

Box = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max in pixels of the frame."""


@dataclass(frozen=True)
class Tile:
    """A frame, or a placeholder for one that could not be decoded."""

    jpeg: bytes | None
    lines: tuple[str, ...]
    """Untrusted text. The first one is written in the verdict's colour."""
    kept: bool | None = None
    """Framed in green or red; None where nothing is decided yet."""
    boxes: Sequence[Box] = ()
    """Drawn on the picture."""


def contact_sheet(head: Sequence[str], tiles: Sequence[Tile]) -> Image.Image:
    """Draw a sheet: lines about the ad, then its frames in rows."""
    pictures = [_picture(tile) for tile in tiles]
    tile_width = max([_NARROWEST, *(picture.width for picture in pictures)])
    drawn = [_draw_tile(tile, picture, tile_width) for tile, picture in zip(tiles, pictures, strict=True)]
    columns = max(1, min(_SHEET // (tile_width + _GAP), len(drawn)))
    # the head has room even over a single frame
    width = max(columns * (tile_width + _GAP) + _GAP, 2 * _WIDTH)
    said = [line for entry in head for line in wrapped(entry, width - 2 * _GAP, _HEAD_LINES)]
    rows = [drawn[first : first + columns] for first in range(0, len(drawn), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    top = 2 * _GAP + len(said) * LINE
    sheet = Image.new("RGB", (width, top + sum(heights) + _GAP * len(rows)), _PAPER)
    for number, line in enumerate(said):
        write(sheet, (_GAP, _GAP + number * LINE), line, _INK)
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (tile_width + _GAP), top))
        top += height + _GAP
    return sheet


def count_tiles(tiles: Sequence[Tile]) -> str:
    """Number of frames on a sheet, in all and by verdict."""
    found = Counter(tile.kept for tile in tiles if tile.jpeg is not None)
    names = {True: "kept", False: "not kept", None: "not read yet"}
    counts = ", ".join(f"{found[kept]} {name}" for kept, name in names.items() if found[kept])
    frames = f"{found.total()} frame{'' if found.total() == 1 else 's'}"
    return f"{frames}: {counts}" if counts else frames


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG; the folder is made if missing.

    Raises:
        SheetError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, format="PNG")
    except OSError as error:
        reason = error.strerror or str(error)
        raise SheetError(f"{path}: the sheet cannot be written: {reason}; name another file by --out") from error


def _draw_tile(tile: Tile, picture: Image.Image, width: int) -> Image.Image:
    colour = _colour(tile)
    lines = [
        (line, colour if number == 0 else _INK)
        for number, entry in enumerate(tile.lines)
        for line in wrapped(entry, width, _TILE_LINES)
    ]
    drawn = Image.new("RGB", (width, picture.height + 8 + len(lines) * LINE), _PAPER)
    drawn.paste(picture, (0, 0))
    for number, (line, ink) in enumerate(lines):
        write(drawn, (0, picture.height + 6 + number * LINE), line, ink)
    return drawn


def _picture(tile: Tile) -> Image.Image:
    """The frame as large as its place allows, with its boxes and the frame of its verdict."""
    try:
        picture = Image.open(io.BytesIO(tile.jpeg or b"")).convert("RGB")
    except (OSError, Image.DecompressionBombError):
        return Image.new("RGB", (_NARROWEST, _NARROWEST * 9 // 16), _HOLE)
    scale = min(_WIDTH / picture.width, _HEIGHT / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in tile.boxes:
        draw.rectangle((left * scale, top * scale, right * scale, bottom * scale), outline=_WORD, width=2)
    if tile.kept is not None:
        draw.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=_colour(tile), width=4)
    return picture


def _colour(tile: Tile) -> Colour:
    if tile.kept is None:
        return _INK if tile.jpeg else _FAINT
    return _KEPT if tile.kept else _DROPPED
