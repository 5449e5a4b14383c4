"""A video file read exactly: the picture that is on the screen at a given moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from flows.errors import FrameError

Picture = NDArray[np.uint8]
"""An image as OpenCV holds it: [height, width, 3], blue first."""

# no shortcuts of the processor at hand: the same pixels on every machine
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
# a moment this far behind the last picture lies in a part that is missing, not on a still that stays
_TAIL_S = 1.0
# a header may claim any size, and the picture is allocated before it is decoded: 8K is a third of this
MAX_PIXELS = 100_000_000
# what PyAV raises over a damaged file; ValueError and OverflowError come from absurd header values
_FAULTS = (av.FFmpegError, OSError, ValueError, OverflowError)


@dataclass(frozen=True)
class _Around:
    """Frames on both sides of a moment; None where there is none."""

    shown: Any
    """The frame on the screen at the moment."""
    earlier: Any
    """The latest frame up to the moment that is not taken; `shown` itself if that is free."""
    later: Any
    """The first frame behind the moment that is not taken."""
    at_end: bool
    """No frame behind the moment was met: the data ended."""


class Video:
    """The picture track of a file, opened for reading; use it in a `with` statement.

    Raises:
        FrameError: the file cannot be opened, is no video, or has no picture track.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # only the file itself: a playlist or a network address inside it is not followed
            self._container: Any = av.open(str(path), metadata_errors="replace", options={"protocol_whitelist": "file"})
        except _FAULTS as error:
            raise FrameError(f"{path}: not a readable video: {error}") from error
        tracks = [track for track in self._container.streams.video if not track.disposition & Disposition.attached_pic]
        if not tracks or tracks[0].codec_context is None:
            self._container.close()
            raise FrameError(f"{path}: no picture track that can be decoded")
        self._track: Any = tracks[0]
        size = self._track.codec_context.width * self._track.codec_context.height
        if size > MAX_PIXELS:
            self._container.close()
            raise FrameError(f"{path}: claims {size:,} pixels a picture; at most {MAX_PIXELS:,} are decoded")
        self._track.codec_context.thread_count = 1
        stated = self._track.start_time
        self._start = Fraction(0) if stated is None else stated * self._track.time_base
        self._end_s: float | None = None
        """Where the data was found to end, once it has been read from start to end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def duration_s(self) -> float:
        """Length of the pictures: as the file states it or, where it does not, as decoding shows it.

        Raises:
            FrameError: nothing can be decoded.
        """
        if self._track.duration:
            return float(self._track.duration * self._track.time_base)
        if self._container.duration:
            return float(self._container.duration / av.time_base)
        for frame in self._decode(None):
            self._end_s = self._time_s(frame) + self._shown_for_s(frame)
        if self._end_s is None:
            raise FrameError(f"{self.path}: no frame can be decoded")
        return self._end_s

    def frame_at(self, timestamp_s: float, taken: Collection[float] = ()) -> tuple[float, Picture] | None:
        """The picture shown at a moment, with the time at which it came up.

        If that picture is among those taken (given by their times) the next free one stands in, or else the
        latest free one before it. None when the data ends before the moment or has no further picture.

        Raises:
            FrameError: the picture was decoded but cannot be converted.
        """
        around = self._look(timestamp_s, taken, self._decode(timestamp_s))
        if around.shown is None or (around.earlier is None and around.later is None):
            # the seek landed behind the moment, or every picture since the key frame is taken
            if self._end_s is not None and timestamp_s > self._end_s + _TAIL_S:
                return None
            around = self._look(timestamp_s, taken, self._decode(None))
        if around.at_end and around.shown is not None:
            self._end_s = self._time_s(around.shown) + self._shown_for_s(around.shown)
            if timestamp_s > self._end_s + _TAIL_S:
                return None
        free = around.shown if around.shown is around.earlier else around.later
        frame = free or around.earlier or around.later
        return None if frame is None else (self._time_s(frame), self._picture(frame))

    def _look(self, timestamp_s: float, taken: Collection[float], frames: Iterator[Any]) -> _Around:
        shown = earlier = None
        for frame in frames:
            time_s = self._time_s(frame)
            free = time_s not in taken
            if time_s > timestamp_s:
                if free or (shown is not None and earlier is shown):
                    return _Around(shown, earlier, frame if free else None, at_end=False)
            else:
                shown = frame
                earlier = frame if free else earlier
        return _Around(shown, earlier, None, at_end=True)

    def _decode(self, timestamp_s: float | None) -> Iterator[Any]:
        """Intact frames from the key frame before a moment (None: from the start) until the data ends.

        Damage is passed over as the decoder passes over it; what it costs shows in the moments not reached.
        """
        try:
            offset = 0 if timestamp_s is None else int((timestamp_s + float(self._start)) * av.time_base)
            self._container.seek(offset, backward=True)
            for packet in self._container.demux(self._track):
                for frame in _frames_of(packet):
                    if frame.pts is not None and not frame.is_corrupt:
                        yield frame
        except _FAULTS:
            return

    def _time_s(self, frame: Any) -> float:
        return round(float(frame.pts * frame.time_base - self._start), 6)

    def _shown_for_s(self, frame: Any) -> float:
        if frame.duration:
            return float(frame.duration * frame.time_base)
        return float(1 / self._track.average_rate) if self._track.average_rate else 0.0

    def _picture(self, frame: Any) -> Picture:
        if frame.width * frame.height > MAX_PIXELS:
            raise FrameError(
                f"{self.path}: the frame at {self._time_s(frame):g} s has {frame.width}x{frame.height} pixels"
            )
        try:
            upright: Picture = frame.to_ndarray(format="bgr24", interpolation=_EXACT, threads=1)
        except _FAULTS as error:
            raise FrameError(
                f"{self.path}: the frame at {self._time_s(frame):g} s cannot be converted: {error}"
            ) from error
        # the camera was held sideways: metadata tells by how many quarter turns
        return np.ascontiguousarray(np.rot90(upright, round(frame.rotation / 90) % 4))


def _frames_of(packet: Any) -> list[Any]:
    try:
        return list(packet.decode())
    except av.InvalidDataError:
        return []
