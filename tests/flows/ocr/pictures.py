"""Pictures with text on them, drawn for the tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flows.frames.picture import Picture


def drawn(*lines: str, size: tuple[int, int] = (640, 360), font_size: int = 36, turned: bool = False) -> Picture:
    """Dark lines on a light ground, the first 60 pixels below the top; `turned` runs from top to bottom."""
    image = Image.new("RGB", size, (235, 235, 225))
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(lines):
        draw.text((40, 60 + 60 * row), text, font=ImageFont.load_default(font_size), fill=(20, 20, 60))
    picture = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(picture, 3)) if turned else picture


def plain(words: Iterable[str]) -> Counter[str]:
    """Words without capitals and punctuation, as a multiset; signs alone are no words."""
    stripped = ("".join(filter(str.isalnum, word.lower())) for word in words)
    return Counter(word for word in stripped if word)
