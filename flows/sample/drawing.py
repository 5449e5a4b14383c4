"""The pictures of a synthetic ad: a scene that moves, and words upon it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flows.errors import SampleError
from flows.sample.storyboard import Card, Color, Storyboard

WIDTH, HEIGHT = 640, 360
FRAMES_PER_SECOND = 12
_MARGIN = 24
_SIZES = (40, 36, 32, 28, 24)
_SHAPES = 7
# of a nearly static ad: pixels that its scene moves, in all
_STILL = 2.0


def draw_frames(board: Storyboard) -> Iterator[Image.Image]:
    """Every picture of the ad, in the order of time."""
    backdrop = _gradient(*board.colors)
    shapes = _Shapes(board)
    layers = [(card, *_layer(card)) for card in board.cards]
    for number in range(board.duration_s * FRAMES_PER_SECOND):
        at_s = number / FRAMES_PER_SECOND
        picture = backdrop.copy()
        shapes.draw(picture, at_s)
        for card, words, mask in layers:
            if card.start_s <= at_s < card.end_s or (card is board.cards[-1] and at_s >= card.end_s):
                picture.paste(words, mask=mask)
        yield picture


class _Shapes:
    """Discs, bars, crosses or stripes (one for each category) that wander over the scene."""

    def __init__(self, board: Storyboard) -> None:
        draw = random.Random(board.seed)  # noqa: S311  # pictures, not secrets
        self.category = board.category
        self.speed = 1.0 if board.kind != "static" else _STILL / (60 * board.duration_s)
        light = sum(board.colors[0]) > 3 * 128
        self.shapes = [
            (
                draw.uniform(0, WIDTH),
                draw.uniform(0, HEIGHT),
                draw.uniform(20, 70),
                draw.uniform(0, 2 * math.pi),
                _shade(board.colors[number % 2], draw.uniform(0.75, 0.95) if light else draw.uniform(1.1, 1.5)),
            )
            for number in range(_SHAPES)
        ]

    def draw(self, picture: Image.Image, at_s: float) -> None:
        """Put every shape where it is at that moment."""
        canvas = ImageDraw.Draw(picture)
        for x, y, size, direction, color in self.shapes:
            way = 60 * self.speed * at_s
            centre = (
                (x + way * math.cos(direction)) % (WIDTH + 2 * size) - size,
                (y + way * math.sin(direction)) % (HEIGHT + 2 * size) - size,
            )
            self._shape(canvas, centre, size, color)

    def _shape(self, canvas: ImageDraw.ImageDraw, centre: tuple[float, float], size: float, color: Color) -> None:
        x, y = centre
        if self.category == "food and beverages":
            canvas.ellipse((x - size, y - size, x + size, y + size), fill=color)
        elif self.category == "movie trailers":
            canvas.rectangle((x - size / 4, y - 2 * size, x + size / 4, y + 2 * size), fill=color)
        elif self.category == "healthcare":
            canvas.rectangle((x - size, y - size / 3, x + size, y + size / 3), fill=color)
            canvas.rectangle((x - size / 3, y - size, x + size / 3, y + size), fill=color)
        else:
            canvas.polygon(((x - size, y), (x, y - size), (x + size, y), (x, y + size)), fill=color)


def _layer(card: Card) -> tuple[Image.Image, Image.Image]:
    """The words of a card on a dark band, and the mask that lays them over a scene."""
    words = Image.new("RGB", (WIDTH, HEIGHT), (16, 16, 20))
    mask = Image.new("L", (WIDTH, HEIGHT), 0)
    font = _font(card.lines)
    line_height = round(font.size * 1.4)
    top = (HEIGHT - line_height * len(card.lines)) // 2
    band = (0, top - _MARGIN // 2, WIDTH, top + line_height * len(card.lines) + _MARGIN // 2)
    ImageDraw.Draw(mask).rectangle(band, fill=190)
    for number, line in enumerate(card.lines):
        place = (WIDTH // 2, top + round(line_height * (number + 0.5)))
        ImageDraw.Draw(words).text(place, line, font=font, fill=(255, 255, 255), anchor="mm")
        ImageDraw.Draw(mask).text(place, line, font=font, fill=255, anchor="mm")
    return words, mask


def _font(lines: tuple[str, ...]) -> ImageFont.FreeTypeFont:
    """The largest size at which every line fits, of the font that Pillow carries."""
    fonts = [font for size in _SIZES if isinstance(font := ImageFont.load_default(size), ImageFont.FreeTypeFont)]
    if not fonts:
        raise SampleError("Pillow was built without FreeType and has no scalable font; install its wheel")
    room = WIDTH - 2 * _MARGIN
    return next((font for font in fonts if max(map(font.getlength, lines)) <= room), fonts[-1])


def _gradient(top: Color, bottom: Color) -> Image.Image:
    share = np.linspace(0, 1, HEIGHT)[:, None, None]
    rows = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
    return Image.fromarray(np.broadcast_to(rows.round().astype(np.uint8), (HEIGHT, WIDTH, 3)).copy())


def _shade(color: Color, factor: float) -> Color:
    red, green, blue = (min(255, round(channel * factor)) for channel in color)
    return red, green, blue
