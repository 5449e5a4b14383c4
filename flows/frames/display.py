"""A decoded frame as it is seen on a screen: its colours, upright, in its aspect, in eight bits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import Colorspace, Interpolation
from numpy.typing import NDArray

from flows.errors import FrameError
from flows.frames.hashing import reduced
from flows.frames.hdr import Transfer, tone_mapped

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
    picture = _resized(_colours(frame), pixel_aspect, max_side)
    # the camera was held sideways: metadata tells by how many quarter turns
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90) % 4))


def grey_thumbnail(frame: Any, side: int) -> NDArray[np.uint8]:
    """The lightness of a frame in few pixels, upright, [side, side]: what a fingerprint needs, at little cost."""
    small = cv2.resize(reduced(_luma(frame), 2 * side), (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(small, round(frame.rotation / 90) % 4)).astype(np.uint8, copy=False)


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
