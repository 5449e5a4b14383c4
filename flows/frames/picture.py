"""A decoded frame as a screen shows it: its colours, upright, in its aspect, in eight bits.

High dynamic range is tone-mapped: light above the white of print and subtitles (203 cd/m2 by ITU-R BT.2408) is rolled
off instead of clipped, and the wide colours of BT.2020 are brought to those of BT.709.
"""

from __future__ import annotations

import enum
import struct
from fractions import Fraction
from functools import cache
from typing import Any

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import Colorspace, Interpolation
from numpy.typing import NDArray

from flows.errors import FrameError

Picture = NDArray[np.uint8]
"""An image as OpenCV holds it: [height, width, 3], blue first."""

# a header may claim any size, and the picture is allocated before it is decoded: 8K is a third of this
MAX_PIXELS = 100_000_000
# no shortcuts of the processor at hand: the same pixels on every machine. Colours are not interpolated between pixels
# (FULL_CHR_H_INT): JPEG would average them again, and it takes twice as long
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_UNTOLD = 2
"""Colour properties that a file does not tell."""
_HD_HEIGHT = 720
# a pixel five times as wide as high is a damaged header, not a format
_MOST_STRETCHED = 4
_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0
"""Light that most content is graded for; brighter light becomes white."""
_KNEE = 0.75
"""Share of the screen's light up to which nothing is changed."""
_LEVELS = 65_536
# linear BT.2020 to linear BT.709, both with white D65 (ITU-R BT.2087)
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)


class Transfer(enum.IntEnum):
    """Transfer functions from code values to light; the numbers are those of ITU-T H.273."""

    PQ = 16
    HLG = 18

    @classmethod
    def of(cls, code: int) -> Transfer | None:
        """The transfer that a frame states, None if it is an ordinary one."""
        return cls(code) if code in tuple(cls) else None


def shown_picture(frame: Any, pixel_aspect: Fraction | None, max_side: int | None = None) -> Picture:
    """Convert a frame of PyAV.

    Args:
        frame: as decoded, in whatever format.
        pixel_aspect: width of a pixel by its height; None or 0 where the file does not tell.
        max_side: larger pictures are scaled down to this longer side; None keeps every size.

    Raises:
        FrameError: it is larger than anything we decode.
        ValueError: its format cannot be converted; or another error of PyAV.
    """
    if frame.width * frame.height > MAX_PIXELS:
        raise FrameError(f"a frame has {frame.width}x{frame.height} pixels; at most {MAX_PIXELS:,} are converted")
    return _upright(_resized(_colours(frame), pixel_aspect, max_side), frame)


def grey_thumbnail(frame: Any, side: int) -> NDArray[np.uint8]:
    """The lightness of a frame in few pixels, upright, [side, side]: what a fingerprint needs, at little cost."""
    small = cv2.resize(reduced(_luma(frame), 2 * side), (side, side), interpolation=cv2.INTER_AREA)
    return _upright(np.asarray(small, dtype=np.uint8), frame)


def _upright(picture: NDArray[np.uint8], frame: Any) -> NDArray[np.uint8]:
    """Turn and mirror a picture [height, width, ...] as the frame's display matrix says: by quarters, in eight ways."""
    # the frame's own container refers to the frame, which would then stay until the garbage is collected
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if matrix is not None:
        # the point (x, y) is shown at (ax + cy, bx + dy): nine numbers of 32 bits, a b u c d v and the last row
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix)[:36])
        if abs(a) + abs(d) < abs(b) + abs(c):
            picture, a, d = picture.swapaxes(0, 1), c, b
        picture = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(picture)


def _luma(frame: Any) -> NDArray[np.uint8]:
    if not frame.format.name.startswith(("yuv4", "nv12")) or frame.format.components[0].bits != 8:
        return np.asarray(frame.to_ndarray(format="gray", interpolation=_EXACT, threads=1))
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


def _colours(frame: Any) -> Picture:
    source = Colorspace.ITU709 if frame.colorspace == _UNTOLD and frame.height >= _HD_HEIGHT else None
    transfer = Transfer.of(frame.color_trc)
    if transfer is None:
        return np.asarray(
            frame.to_ndarray(format="bgr24", interpolation=_EXACT, threads=1, src_colorspace=source), dtype=np.uint8
        )
    deep = frame.to_ndarray(format="rgb48le", interpolation=_EXACT, threads=1, src_colorspace=source)
    return tone_mapped(deep, transfer)


def _resized(picture: Picture, pixel_aspect: Fraction | None, max_side: int | None) -> Picture:
    height, width = picture.shape[:2]
    stretch = float(pixel_aspect or 1)
    shown_width = width * stretch if 1 / _MOST_STRETCHED <= stretch <= _MOST_STRETCHED else float(width)
    longer = max(height, shown_width)
    scale = max_side / longer if max_side is not None and longer > max_side else 1.0
    size = (max(1, round(shown_width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return picture
    grows = size[0] > width
    return np.asarray(
        cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR if grows else cv2.INTER_AREA), dtype=np.uint8
    )


def reduced(picture: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """A picture halved as long as its shorter side stays this long: ten times as fast as averaging parts of pixels."""
    while min(picture.shape[:2]) >= 2 * least:
        height, width = (length // 2 for length in picture.shape[:2])
        half = cv2.resize(picture[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        picture = np.asarray(half, dtype=np.uint8)
    return picture


def tone_mapped(deep: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """Convert a picture.

    Args:
        deep: [height, width, 3], red first, 16 bits a value.
        transfer: how its values stand for light.

    Returns:
        [height, width, 3], blue first, 8 bits a value.
    """
    # by the brightest of the three, so that hues stay
    light = _light(transfer)[deep] @ _TO_BT709.T
    brightest = light.max(axis=2, keepdims=True)
    light *= _rolled_off(brightest) / np.maximum(brightest, 1e-6)
    shown = _codes()[(np.clip(light, 0.0, 1.0) * (_LEVELS - 1)).astype(np.uint16)]
    return np.ascontiguousarray(shown[..., ::-1])


def _rolled_off(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light of 0 to the peak as 0 to 1: as it is up to the knee, then ever slower."""
    above = np.clip(light - _KNEE, 0.0, _PEAK_NITS / _WHITE_NITS - _KNEE)
    room, rest = 1.0 - _KNEE, _PEAK_NITS / _WHITE_NITS - _KNEE
    # begins at the knee with slope 1 and is 1 at the peak
    bent = above / (1.0 + above * (1.0 / room - 1.0 / rest))
    return np.where(light <= _KNEE, light, _KNEE + bent).astype(np.float32)


@cache
def _light(transfer: Transfer) -> NDArray[np.float32]:
    """Linear light by 16-bit code value; 1.0 is the white of print."""
    code = np.arange(_LEVELS, dtype=np.float64) / (_LEVELS - 1)
    if transfer is Transfer.PQ:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:  # ARIB STD-B67: scene light, then the system gamma of a screen of 1,000 cd/m2
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = 1000 * scene**1.2
    return (nits / _WHITE_NITS).astype(np.float32)


@cache
def _codes() -> NDArray[np.uint8]:
    """8-bit code value by linear light in 65,536 steps: the inverse of a screen's gamma (ITU-R BT.1886)."""
    light = np.arange(_LEVELS, dtype=np.float64) / (_LEVELS - 1)
    return np.round(255 * light ** (1 / 2.4)).astype(np.uint8)
