"""Hashes of single pictures, and the fingerprint of an ad: small grey pictures on a fixed grid of times.

Near pictures have near hashes, whatever their size and quality. Frames are drawn at moments that depend on the ad's id,
and key frames lie where an encoder put them, so neither serves to compare two uploads. A fingerprint comes from a pass
of its own over the video. It depends on what is shown at which time alone: each of its pictures is the mean of half a
second, in 24 by 24 fields. The table `looks` holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flows.frames.picture import grey_thumbnail, reduced
from flows.frames.video import Video

FINGERPRINT_VERSION = "2"
"""Raise it when fingerprints change: those of different versions are not compared."""
STEP_S = 0.5
"""Distance of a fingerprint's pictures; each is the mean over this time from its moment on."""
SIDE = 24
"""Fields along each side of a fingerprint's picture."""
LEVELS = 64
"""Greys that a field may have, a character for each."""
_A_STEP = 4
"""Pictures that the mean is of."""
_WHOLLY_S, _PART_S, _EVERY_S, _PARTS = 60.0, 6.0, 60.0, 20
"""A minute is looked at wholly; of later ones only their beginning, up to the last of so many."""
_FIELD = 4
"""Side of the squares that the fields are put together from, four each: they overlap, so that small shifts blur."""
_THUMBNAIL_SIDE = (SIDE + 1) * _FIELD
_GREYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_FLAT_DEVIATION = 3.0
"""Levels of brightness, over a line and over the ad, that coding leaves of a border of one colour."""
_LEAST_INSIDE = 0.4
"""Share of each side that is left at least between borders."""
_SIDE = 32
_LOW = 8
REDUCED_SIDE = 64
"""`reduced` to this shorter side, a picture has the same hash and is as blank as before."""
_BLANK_DEVIATION = 6.0
"""Levels of brightness; below that it shows a colour, not a picture."""
SAME_PICTURE_BITS = 4
"""Hashes that differ in at most so many of 128 bits are of one picture; a card with other words differs in more."""


@dataclass(frozen=True)
class Fingerprint:
    """An ad over its length; if it has a border, with it and then from the start again without it."""

    duration_s: float
    times_s: tuple[float, ...]
    hashes: tuple[str, ...]
    """The picture at each time, a character a field, row by row."""

    def row(self, video_id: str) -> dict[str, Any]:
        """As a row of the table `looks`, without the columns of provenance."""
        return {
            "video_id": video_id,
            "duration_s": self.duration_s,
            "times_s": list(self.times_s),
            "hashes": list(self.hashes),
        }


def fingerprint_video(path: Path) -> Fingerprint:
    """Decode a video and take its fingerprint: the same on every machine, for whatever frames are sampled.

    Raises:
        FrameError: the file cannot be opened, or is no video.
    """
    with Video(path) as video:
        duration_s = video.duration_s()
        # blocks stay visible at their edges, which these fields do not show: a fifth of the time of H.264
        video.decoder.options = {"skip_loop_filter": "all"}
        steps, shown = _shown(video, duration_s)
    if not steps:
        return Fingerprint(duration_s, (), ())
    views = [shown, *_without_border(shown)]
    times_s = tuple(step * STEP_S for step in steps)
    return Fingerprint(
        duration_s, times_s * len(views), tuple(fields_as_text(one) for view in views for one in _fields(view))
    )


def pictures_of(hashes: Sequence[str]) -> NDArray[np.uint8]:
    """The pictures of a fingerprint, [n, SIDE, SIDE], 0 to LEVELS - 1."""
    codes = np.frombuffer("".join(hashes).encode("ascii"), np.uint8)
    return _decoding()[codes].reshape(len(hashes), SIDE, SIDE)


def _shown(video: Video, duration_s: float) -> tuple[list[int], NDArray[np.uint8]]:
    """Steps of the grid with all their pictures, [n, _A_STEP, _THUMBNAIL_SIDE, _THUMBNAIL_SIDE]."""
    timeline = video.timeline
    steps: list[int] = []
    pictures: list[list[NDArray[np.uint8]]] = []
    for part in _parts(min(duration_s, timeline.end_s)):
        numbers = [[timeline.shown_at((step + n / _A_STEP) * STEP_S) for n in range(_A_STEP)] for step in part]
        wanted = {number for of_step in numbers for number in of_step}
        first = min(map(timeline.decoded_from, wanted))
        thumbnails: dict[int, NDArray[np.uint8]] = {}
        for frame in video.frames(first, max(wanted), wanted):
            if frame.pts in wanted:
                thumbnails[frame.pts] = grey_thumbnail(frame, _THUMBNAIL_SIDE)
        for step, of_step in zip(part, numbers, strict=True):
            if all(number in thumbnails for number in of_step):
                steps.append(step)
                pictures.append([thumbnails[number] for number in of_step])
    return steps, np.array(pictures, dtype=np.uint8)


def _parts(end_s: float) -> Iterator[range]:
    """Steps to look at, by parts that are decoded in one go; the last of them may reach beyond the end."""
    last = int(end_s / STEP_S)
    starts_s = [part * _EVERY_S for part in range(_PARTS)]
    for start_s in starts_s:
        length_s = _WHOLLY_S if start_s == 0 else _PART_S
        steps = range(int(start_s / STEP_S), min(int((start_s + length_s) / STEP_S), last))
        if steps:
            yield steps


def _without_border(shown: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The pictures without the rim that has one colour throughout, as large as before; none if there is no rim."""
    top, bottom = _inside(shown, along=2)
    left, right = _inside(shown, along=3)
    size = (bottom - top, right - left)
    if size == (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE) or min(size) < _LEAST_INSIDE * _THUMBNAIL_SIDE:
        return []
    inner = shown[:, :, top:bottom, left:right].reshape(-1, *size)
    grown = [cv2.resize(one, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), interpolation=cv2.INTER_LINEAR_EXACT) for one in inner]
    return [np.array(grown, dtype=np.uint8).reshape(shown.shape)]


def _inside(shown: NDArray[np.uint8], along: int) -> tuple[int, int]:
    """First and behind the last of the rows (along axis 2) or columns (3) that vary over their length and the ad."""
    by_line = np.moveaxis(shown, along, 0).reshape(_THUMBNAIL_SIDE, -1)
    lines = np.flatnonzero(by_line.std(axis=1) > _FLAT_DEVIATION)
    return (int(lines[0]), int(lines[-1]) + 1) if len(lines) else (0, 0)


def _fields(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean pictures in fields, [n, SIDE, SIDE], 0 to LEVELS - 1: whole numbers only, the same on every machine."""
    squares = shown.reshape(-1, _A_STEP, SIDE + 1, _FIELD, SIDE + 1, _FIELD).sum(axis=(1, 3, 5), dtype=np.int64)
    fields = squares[:, :-1, :-1] + squares[:, 1:, :-1] + squares[:, :-1, 1:] + squares[:, 1:, 1:]
    return (fields * LEVELS // (256 * 4 * _A_STEP * _FIELD**2)).astype(np.uint8)


def fields_as_text(fields: NDArray[np.uint8]) -> str:
    """A picture of a fingerprint as it is stored: the reverse of `pictures_of`."""
    return "".join(_GREYS[level] for level in fields.ravel())


@cache
def _decoding() -> NDArray[np.uint8]:
    """Level by character code."""
    levels = np.zeros(128, dtype=np.uint8)
    levels[np.frombuffer(_GREYS.encode("ascii"), np.uint8)] = np.arange(LEVELS)
    return levels


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


def differing_bits(one: str, other: str) -> int:
    """In how many bits two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


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
