"""What a picture looks like in a few bits: near pictures have near hashes, whatever their size and quality."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 32
_LOW = 8
_LOOK_SIDE = 16
LOOK_THUMBNAIL = 64
"""Side of the thumbnails that `look_hash` takes."""
REDUCED_SIDE = 64
"""`reduced` to this shorter side, a picture has the same hash and is as blank as before."""
_RIMS = (0, 1, 2)
_BLANK_DEVIATION = 6.0
"""Levels of brightness; below that it shows a colour, not a picture."""
SAME_PICTURE_BITS = 4
"""Hashes that differ in at most so many of 128 bits are of one picture; a card with other words differs in more."""


def perceptual_hash(picture: NDArray[np.uint8]) -> str:
    """pHash and dHash of a picture [height, width, 3], blue first: 16 hexadecimal digits each, in this order.

    pHash compares the 8 by 8 lowest frequencies with their median, dHash neighbours in 8 rows of 9 fields.
    """
    grey = cv2.cvtColor(reduced(picture, REDUCED_SIDE), cv2.COLOR_BGR2GRAY)
    fields = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    low = _frequencies(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), _LOW)
    return _hex(low > np.median(low)) + _hex(fields[:, 1:] > fields[:, :-1])


def is_blank(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture shows one colour all over, as between scenes: that it resembles another says nothing."""
    _, deviation = cv2.meanStdDev(reduced(picture, REDUCED_SIDE))
    return float(deviation.max()) < _BLANK_DEVIATION


def look_hash(grey: NDArray[np.uint8]) -> str:
    """The lowest 16 by 16 frequencies of a 64 by 64 thumbnail against their median, three times over.

    Fine enough that other words over the same footage show, for which 64 bits are too few. So fine a hash also
    changes when a copy is cropped by two hundredths; so the whole picture is followed by the picture without its outer
    64th and without its outer 32nd, which the whole of a cropped copy resembles. 3 x 64 hexadecimal digits.
    """
    return "".join(_low_bits(grey[rim : LOOK_THUMBNAIL - rim, rim : LOOK_THUMBNAIL - rim]) for rim in _RIMS)


def differing_bits(one: str, other: str) -> int:
    """In how many bits two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def reduced(picture: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """A picture halved as long as its shorter side stays this long: ten times as fast as averaging parts of pixels."""
    while min(picture.shape[:2]) >= 2 * least:
        height, width = (length // 2 for length in picture.shape[:2])
        half = cv2.resize(picture[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        picture = np.asarray(half, dtype=np.uint8)
    return picture


def _low_bits(grey: NDArray[np.uint8]) -> str:
    low = _frequencies(np.asarray(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)), _LOOK_SIDE)
    return _hex(low > np.median(low))


def _frequencies(grey: NDArray[np.uint8], count: int) -> NDArray[np.float64]:
    basis = _cosines(grey.shape[0])[:count]
    # rounded: what is zero but for the arithmetic of this machine is zero
    return np.round(basis @ grey.astype(np.float64) @ basis.T, 3)


@cache
def _cosines(side: int) -> NDArray[np.float64]:
    """Rows of the discrete cosine transform (type II)."""
    place = (2 * np.arange(side) + 1) / (2 * side)
    return np.asarray(np.cos(np.pi * np.outer(np.arange(side), place)))


def _hex(bits: NDArray[np.bool_]) -> str:
    return np.packbits(bits.ravel()).tobytes().hex()
