"""A video file opened for reading: how long it is, where its key frames are, and what is shown at a moment."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.stream import Disposition

from flows.errors import FrameError
from flows.frames.picture import MAX_PIXELS, Picture, shown_picture

# a moment this far behind the last picture lies in a part that is missing, not on a still that stays
TAIL_S = 1.0
# what PyAV raises over a damaged file; ValueError and OverflowError come from absurd header values
FAULTS = (av.FFmpegError, OSError, ValueError, OverflowError)
# how far before a moment reading begins where the frames from its key frame on do not settle it; last: the start
_FURTHER_BACK_S = (0.0, 10.0, 60.0, float("inf"))
# ten minutes and more: nobody waits for ten hours to be decoded from their start
_MOST_FRAMES = 20_000


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
    """The picture track of a file; use it in a `with` statement.

    Raises:
        FrameError: the file cannot be opened, is no video, or has no picture track.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._container: Any = av.open(str(path), metadata_errors="replace", options=_options(path))
        except FAULTS as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            size = path.stat().st_size if path.is_file() else 0
            raise FrameError(f"{path}: cannot be opened as a video ({size:,} bytes): {why}") from error
        tracks = [track for track in self._container.streams.video if not track.disposition & Disposition.attached_pic]
        if not tracks or tracks[0].codec_context is None:
            sound = bool(self._container.streams.audio)
            self._container.close()
            raise FrameError(f"{path}: no picture track that can be decoded{'; sound alone' if sound else ''}")
        self._track: Any = tracks[0]
        self.decoder: Any = self._track.codec_context
        size = self.decoder.width * self.decoder.height
        if size > MAX_PIXELS:
            self._container.close()
            raise FrameError(f"{path}: claims {size:,} pixels a picture; at most {MAX_PIXELS:,} are decoded")
        # as many processes as cores decode as many ads: threads inside them would only wait for each other
        self.decoder.thread_count = 1
        self._start_ticks: int = self._track.start_time or 0
        base: Fraction = self._track.time_base
        self._base = (base.numerator, base.denominator)
        self._end_s: float | None = None
        """End of the data, once it has been read up to there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def duration_s(self) -> float:
        """Length of the pictures: as the file states it or, where it does not, as its packets show it.

        Raises:
            FrameError: there are no packets, or what is stated is no length.
        """
        if self._track.duration:
            duration_s = float(self._track.duration * self._track.time_base)
        elif self._container.duration:
            duration_s = float(self._container.duration / av.time_base)
        else:
            duration_s = self._length_of_packets_s()
        if not 0 < duration_s < float("inf"):
            raise FrameError(f"{self.path}: states a duration of {duration_s:g} s")
        return duration_s

    def _length_of_packets_s(self) -> float:
        ends_s = [
            time_s + self.shown_for_s(packet)
            for packet in self.packets_from(0.0)
            if (time_s := self.time_s(packet)) is not None
        ]
        if not ends_s:
            raise FrameError(f"{self.path}: no frame can be decoded")
        return max(ends_s)

    @cached_property
    def key_times_s(self) -> list[float]:
        """Times of the key frames, sorted, by the file's index; empty where it has none."""
        try:
            # of some containers the index is read when it is first needed
            self._container.seek(0)
        except FAULTS:
            return []
        ticks = {entry.timestamp for entry in self._track.index_entries if entry.is_keyframe}
        times_s = sorted(self.seconds(tick) for tick in ticks)
        # of mp4 files these are times of decoding; the first tells by how much they precede those of showing
        early_s = min(0.0, times_s[0]) if times_s else 0.0
        return [time_s - early_s for time_s in times_s]

    def key_before(self, timestamp_s: float) -> int:
        """Number of the last known key frame up to a moment; -1 if there is none."""
        return bisect.bisect_right(self.key_times_s, timestamp_s) - 1

    def packets_from(self, timestamp_s: float) -> Iterator[Any]:
        """Packets from the key frame before a moment until the data ends or cannot be read further."""
        try:
            # the decoder forgets what it has read
            ticks = round(Fraction(timestamp_s) / self._track.time_base) + self._start_ticks
            # the start is before whatever a file says it is
            ticks = ticks if timestamp_s > 0 else min(ticks, 0)
            self._container.seek(ticks, stream=self._track, backward=True)
            for packet in self._container.demux(self._track):
                if packet.size:
                    yield packet
        except FAULTS:
            return

    def frames_of(self, packet: Any) -> list[Any]:
        """Intact frames that a packet (None: the end) makes the decoder give.

        Raises:
            av.FFmpegError: the packet is damaged.
        """
        frames = self.decoder.decode(packet)
        return [frame for frame in frames if not frame.is_corrupt and self.time_s(frame) is not None]

    def time_s(self, timed: Any) -> float | None:
        """Time at which a frame or a packet's frame comes up on the screen; None if the file does not tell."""
        # some containers tell the order of decoding alone, and then it is that of showing too
        ticks = timed.dts if timed.pts is None else timed.pts
        return None if ticks is None else self.seconds(ticks)

    def time_of(self, frame: Any) -> float:
        """Time at which a frame of this video comes up on the screen."""
        time_s = self.time_s(frame)
        assert time_s is not None  # noqa: S101 - `frames_of` lets no other frame through
        return time_s

    def shown_for_s(self, timed: Any) -> float:
        """Seconds for which a frame or a packet's frame stays on the screen."""
        if timed.duration:
            numerator, denominator = self._base
            return float(timed.duration * numerator / denominator)
        return float(1 / self._track.average_rate) if self._track.average_rate else 0.0

    def frame_at(self, timestamp_s: float, taken: Collection[float] = ()) -> tuple[float, Picture] | None:
        """The picture shown at a moment, with the time at which it came up.

        If that picture is among those taken (given by their times) the next free one stands in, or else the
        latest free one before it. None when the data ends before the moment or has no further picture.

        Raises:
            FrameError: the picture was decoded but cannot be converted.
        """
        frame = self.find(timestamp_s, taken)
        return None if frame is None else (self.time_of(frame), self.picture_of(frame))

    def find(self, timestamp_s: float, taken: Collection[float] = ()) -> Any:
        """The frame that `frame_at` shows, with patience for damaged files: read anew from further and further back."""
        around = _Around(None, None, None, at_end=False)
        for back_s in _FURTHER_BACK_S:
            if self._end_s is not None and timestamp_s > self._end_s + TAIL_S:
                return None
            around = self._look(timestamp_s, taken, max(0.0, timestamp_s - back_s))
            if around.at_end and around.shown is not None:
                self._end_s = self.time_of(around.shown) + self.shown_for_s(around.shown)
            if around.shown is not None and (around.earlier is not None or around.later is not None):
                break  # otherwise the seek went too far, or every frame since the key frame is taken
        if self._end_s is not None and timestamp_s > self._end_s + TAIL_S:
            return None
        free = around.shown if around.shown is around.earlier else around.later
        return free or around.earlier or around.later

    def picture_of(self, frame: Any, max_side: int | None = None) -> Picture:
        """A frame as it is seen on a screen.

        Raises:
            FrameError: it cannot be converted.
        """
        try:
            # where the container does not tell it, the pictures may
            aspect = self._track.sample_aspect_ratio or self.decoder.sample_aspect_ratio
            return shown_picture(frame, aspect, max_side)
        except FAULTS as error:
            at_s = self.time_of(frame)
            raise FrameError(f"{self.path}: the frame at {at_s:g} s cannot be converted: {error}") from error

    def _look(self, timestamp_s: float, taken: Collection[float], from_s: float) -> _Around:
        shown = earlier = None
        frames = self._frames_from(from_s)
        for frame in islice(frames, _MOST_FRAMES):
            time_s = self.time_of(frame)
            free = time_s not in taken
            if time_s > timestamp_s:
                if free or (shown is not None and earlier is shown):
                    return _Around(shown, earlier, frame if free else None, at_end=False)
            else:
                shown = frame
                earlier = frame if free else earlier
        if next(frames, None) is not None:
            return _Around(None, None, None, at_end=False)
        return _Around(shown, earlier, None, at_end=True)

    def _frames_from(self, timestamp_s: float) -> Iterator[Any]:
        """Intact frames; damage is passed over as the decoder does, what it costs shows in the moments not reached."""
        self.decoder.skip_frame = "DEFAULT"
        for packet in self.packets_from(timestamp_s):
            yield from self._whole(packet)
        yield from self._whole(None)

    def _whole(self, packet: Any) -> list[Any]:
        try:
            return self.frames_of(packet)
        except FAULTS:
            return []

    def seconds(self, ticks: int) -> float:
        """Time of the track in seconds from its start."""
        # asked some thousand times an ad: several times as fast as with fractions, and as exact
        numerator, denominator = self._base
        return round((ticks - self._start_ticks) * numerator / denominator, 6)


def _options(path: Path) -> dict[str, str]:
    """Options for opening a file: the file alone is read, whatever playlist or address stands in it.

    FFmpeg decodes a first picture, since some containers do not tell what that tells: a quarter of the time of five
    key frames. MP4 tells everything.
    """
    only_this = {"protocol_whitelist": "file"}
    try:
        with path.open("rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"
    except OSError:  # opening it will say so
        return only_this
    return only_this | ({"skip_frame": "all"} if is_mp4 else {})


def size_shown(path: Path) -> tuple[int, int]:
    """Width and height of a file's first picture, the right way up.

    Raises:
        FrameError: there is none.
    """
    with Video(path) as video:
        first = video.frame_at(0.0)
    if first is None:
        raise FrameError(f"{path}: no picture can be decoded")
    height, width = first[1].shape[:2]
    return width, height
