"""Visual fingerprints: hashes of a picture in a few bits, and of an ad at moments over its length.

Near pictures have near hashes, whatever their size and quality. The frames of two uploads of one ad are drawn at
different moments, so they cannot be compared. What can be: every picture that had to be decoded on the way to the
frames, one for each half second, and a few key frames. Two uploads have enough half seconds in common, and next to
nothing is decoded for the purpose. The table `looks` holds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flows.frames.passes import key_frame
from flows.frames.picture import grey_thumbnail, reduced
from flows.frames.video import Video

FINGERPRINT_VERSION = "1"
"""Raise it when hashes or moments change: those of different versions are not compared."""
SLOT_S = 0.5
_MOST_SLOTS = 120
"""A minute of pictures tells an ad from another; a longer one is not looked at more closely."""
_KEY_FRAMES = 2
_ENOUGH = 5
"""With so many fingerprints on the way to the frames no others are decoded."""
_SIDE = 32
_LOW = 8
_FINGERPRINT_SIDE = 16
THUMBNAIL_SIDE = 64
"""Side of the thumbnails that `fingerprint_hash` takes."""
REDUCED_SIDE = 64
"""`reduced` to this shorter side, a picture has the same hash and is as blank as before."""
_RIMS = (0, 1, 2)
_BLANK_DEVIATION = 6.0
"""Levels of brightness; below that it shows a colour, not a picture."""
SAME_PICTURE_BITS = 4
"""Hashes that differ in at most so many of 128 bits are of one picture; a card with other words differs in more."""


@dataclass(frozen=True)
class Fingerprint:
    """One picture of an ad by its hash."""

    time_s: float
    hash: str


@dataclass
class FingerprintCollector:
    """Collects an ad's fingerprints from the frames that are decoded."""

    _by_slot: dict[int, Fingerprint | None] = field(default_factory=dict)
    """By half second; None where the picture is blank and says nothing."""

    def add(self, frame: Any, time_s: float) -> None:
        """Hash a frame if it is the first in its half second."""
        slot = int(time_s // SLOT_S)
        if slot in self._by_slot or len(self._by_slot) >= _MOST_SLOTS:
            return
        grey = grey_thumbnail(frame, THUMBNAIL_SIDE)
        self._by_slot[slot] = None if is_blank(grey) else Fingerprint(time_s, fingerprint_hash(grey))

    def fill(self, video: Video, duration_s: float) -> None:
        """Unless enough was seen, add the key frames nearest to two moments evenly over the ad."""
        keys_s = video.key_times_s
        if not keys_s or len(self._by_slot) >= _ENOUGH:
            return
        even_s = [(part + 0.5) / _KEY_FRAMES * duration_s for part in range(_KEY_FRAMES)]
        nearest = {min(range(len(keys_s)), key=lambda number: abs(keys_s[number] - at_s)) for at_s in even_s}
        for number in sorted(nearest):
            if int(keys_s[number] // SLOT_S) not in self._by_slot and (frame := key_frame(video, number)) is not None:
                self.add(frame, video.time_of(frame))

    def all(self) -> tuple[Fingerprint, ...]:
        """The fingerprints in the order of time."""
        return tuple(sorted(filter(None, self._by_slot.values()), key=lambda one: one.time_s))


def perceptual_hash(picture: NDArray[np.uint8]) -> str:
    """pHash and dHash of a picture [height, width, 3], blue first: 16 hexadecimal digits each, in this order.

    pHash compares the 8 by 8 lowest frequencies with their median, dHash neighbours in 8 rows of 9 fields.
    """
    grey = cv2.cvtColor(reduced(picture, REDUCED_SIDE), cv2.COLOR_BGR2GRAY)
    fields = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    low = _frequencies(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), _LOW)
    return _hex(low > np.median(low)) + _hex(fields[:, 1:] > fields[:, :-1])


def is_blank(picture: NDArray[np.uint8]) -> bool:
    """Tell whether a picture shows one colour all over, as between scenes: its hash says nothing."""
    _, deviation = cv2.meanStdDev(reduced(picture, REDUCED_SIDE))
    return float(deviation.max()) < _BLANK_DEVIATION


def fingerprint_hash(grey: NDArray[np.uint8]) -> str:
    """The lowest 16 by 16 frequencies of a 64 by 64 thumbnail against their median, three times over.

    Fine enough that other words over the same footage show, for which 64 bits are too few. So fine a hash also
    changes when a copy is cropped by two hundredths; so the whole picture is followed by the picture without its outer
    64th and without its outer 32nd, which the whole of a cropped copy resembles. 3 x 64 hexadecimal digits.
    """
    return "".join(_low_bits(grey[rim : THUMBNAIL_SIDE - rim, rim : THUMBNAIL_SIDE - rim]) for rim in _RIMS)


def differing_bits(one: str, other: str) -> int:
    """In how many bits two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _low_bits(grey: NDArray[np.uint8]) -> str:
    low = _frequencies(np.asarray(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)), _FINGERPRINT_SIDE)
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
