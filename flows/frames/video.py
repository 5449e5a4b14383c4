"""A video file opened for reading: its picture track, the track's duration, and the picture at a moment."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import av
from av.format import Flags
from av.stream import Disposition

from flows.errors import FrameError, TooLongError
from flows.frames.picture import MAX_PIXELS, Picture, shown_picture
from flows.frames.timeline import Packets, Timeline

# a moment this far behind the last picture lies in a part that is missing, not on a still that stays
TAIL_S = 1.0
# what PyAV raises over a damaged file; ValueError and OverflowError come from absurd header values
FAULTS = (av.FFmpegError, OSError, ValueError, OverflowError)
# how far before a moment reading begins where the frames from its key frame on do not settle it; last: the start
_FURTHER_BACK_S = (0.0, 10.0, 60.0, float("inf"))
# ten minutes and more: nobody waits for ten hours to be decoded from their start
_MOST_FRAMES = 20_000
# decoders that can be told for every packet to pass over what no other is drawn from; libdav1d listens only as it opens
_SKIPPING = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8"}
# codecs whose key frames containers flag rightly; those of H.263+ are not
_FLAGGED = {*_SKIPPING, "av1", "libaom-av1", "libdav1d", "libvpx", "libvpx-vp9", "vp9"}
# a track with so many times fewer pictures than another of the file is a poster, or thumbnails to seek by
_THUMBNAILS_SHARE = 10
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


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

    Args:
        path: the file.
        longest_s: a file that states a longer duration is not read.

    Raises:
        FrameError: the file cannot be opened, is no video, or has no picture track.
        TooLongError: it is longer than asked for.
    """

    def __init__(self, path: Path, longest_s: float = math.inf) -> None:
        self.path = path
        self._longest_s = longest_s
        try:
            self._container = self._opened()
        except FAULTS as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            size = path.stat().st_size if path.is_file() else 0
            raise FrameError(f"{path}: cannot be opened as a video ({size:,} bytes): {why}") from error
        try:
            self._refuse_long((self._container.duration or 0) / av.time_base)
            self._choose_track()
        except FrameError:
            self._container.close()
            raise
        # as many processes as cores decode as many ads: threads inside them would only wait for each other
        self.decoder.thread_count = 1
        if self.decoder.name not in _FLAGGED and not self.decoder.codec.intra_only and not self.timeline.is_counted:
            self._find_keys()
        self._end_s = self.timeline.end_s
        """End of the data, as far as it can be decoded."""

    def _opened(self) -> Any:
        # without the protocol, a name with a colon would be taken for an address
        return av.open(f"file:{self.path}", metadata_errors="replace", options=_options(self.path))

    def _choose_track(self) -> None:
        """Choose as players do: no poster and no thumbnails, and of several films the default or else the first."""
        tracks = {
            track.index: track
            for track in self._container.streams.video
            if not track.disposition & _NO_VIDEO and track.codec_context is not None
        }
        if not tracks:
            sound = "; sound alone" if self._container.streams.audio else ""
            raise FrameError(f"{self.path}: no picture track that can be decoded{sound}")
        packets = {index: Packets() for index in tracks}
        try:
            for packet in self._container.demux(list(tracks.values())):
                if packet.size:
                    packets[packet.stream_index].add(packet)
        except FAULTS:
            pass  # what comes before the damage is there

        most = max(map(len, packets.values()))
        films = [track for track in tracks.values() if _THUMBNAILS_SHARE * len(packets[track.index]) >= most]
        self._track: Any = max(films, key=lambda track: bool(track.disposition & Disposition.default))
        self._packets = packets[self._track.index]
        self.decoder: Any = self._track.codec_context
        size = self.decoder.width * self.decoder.height
        if size > MAX_PIXELS:
            raise FrameError(f"{self.path}: claims {size:,} pixels a picture; at most {MAX_PIXELS:,} are decoded")
        rate = self._track.average_rate
        self._is_broadcast = bool(self._container.format.flags & Flags.ts_discont.value)
        self._new_timeline = partial(
            Timeline,
            time_base=self._track.time_base,
            still_s=float(1 / rate) if rate else 0.0,
            is_broadcast=self._is_broadcast,
            reorders=self.decoder.has_b_frames and self._container.format.name == "avi",
        )
        try:
            self.timeline = self._new_timeline(self._packets)
        except ValueError as error:
            raise FrameError(f"{self.path}: no frame can be decoded") from error

    def _find_keys(self) -> None:
        """Ask the decoder which frames are key frames, where containers are known to flag others, too."""
        keys = {frame.pts for frame in self.frames(0) if frame.key_frame}
        self._packets.is_key = bytearray(number in keys for number in range(len(self._packets)))
        self.timeline = self._new_timeline(self._packets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def duration_s(self) -> float:
        """Length of the pictures: as their packets show it.

        What the file states is taken where that ends with the last picture, too, and where the file's end is missing.

        Raises:
            FrameError: it is no length.
            TooLongError: it is longer than asked for.
        """
        duration_s = self.timeline.end_s
        if self._track.duration:
            stated_s = float(self._track.duration * self._track.time_base)
        else:
            stated_s = float((self._container.duration or 0) / av.time_base)
        stays_s = duration_s - self.timeline.last_s
        ends_together = not self._is_broadcast and -stays_s < stated_s - duration_s <= min(stays_s, TAIL_S)
        if ends_together or self._is_cut_short():
            duration_s = stated_s
        if not 0 < duration_s < float("inf"):
            raise FrameError(f"{self.path}: states a duration of {duration_s:g} s")
        self._refuse_long(duration_s)
        return duration_s

    def _refuse_long(self, duration_s: float) -> None:
        if duration_s > self._longest_s:
            raise TooLongError(f"{self.path}: {duration_s:,.0f} s long; at most {self._longest_s:g} s are sampled")

    def _is_cut_short(self) -> bool:
        """Tell whether the file ends before what its own header says."""
        size = self.path.stat().st_size
        if "mp4" not in self._container.format.name:
            return _matroska_end(self.path) > size
        entries = self._track.index_entries
        return len(entries) > 0 and entries[-1].pos + entries[-1].size > size

    @property
    def key_times_s(self) -> list[float]:
        """Times of the key frames, sorted."""
        return self.timeline.key_times_s

    def frames(self, first: int, last: int | None = None, wanted: Container[int] | None = None) -> Iterator[Any]:
        """Decode packets one after the other into intact frames; damage is passed over as the decoder does.

        Args:
            first: number of the packet to begin with, a key frame's.
            last: number of the last one; None for all.
            wanted: packets whose frames are asked for; of the others, those that no other is drawn from may be missing.
                None: all are.
        """
        if self.timeline.is_counted:
            yield from self._counted(first, last)
            return
        skips = wanted is not None and self.decoder.name in _SKIPPING
        for number, packet in self._packets_from(first):
            if last is not None and number > last:
                break
            self.decoder.skip_frame = "NONREF" if skips and number not in (wanted or ()) else "DEFAULT"
            yield from self._decoded(packet)
        yield from self._decoded(None)

    def _counted(self, first: int, last: int | None) -> Iterator[Any]:
        """As `frames`, where the decoder alone knows the order: the n-th picture that it gives has the n-th time."""
        self.decoder.skip_frame = "DEFAULT"
        packets = chain((packet for _, packet in self._packets_from(first)), [None])
        pictures = chain.from_iterable(map(self._decoded, packets))
        for number, frame in enumerate(islice(pictures, None if last is None else last + 1 - first), first):
            frame.pts = number
            yield frame

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            frames = self.decoder.decode(packet)
        except FAULTS:
            return []
        return [frame for frame in frames if not frame.is_corrupt and frame.pts is not None]

    def _packets_from(self, first: int) -> Iterator[tuple[int, Any]]:
        """Packets with their numbers from one on, until the data ends or cannot be read further."""
        try:
            for number, packet in self._sought(first):
                if number >= first:
                    # the decoder hands it on to the frame
                    packet.pts, packet.dts = number, None
                    yield number, packet
        except FAULTS:
            return

    def _sought(self, first: int) -> Iterator[tuple[int, Any]]:
        """Packets with their numbers from one on or from an earlier one."""
        # the decoder forgets what it has read
        self.decoder.flush_buffers()
        if self._is_broadcast:  # a time may be there twice, and a frame may begin in the middle of a packet
            self._container.seek(0, unsupported_byte_offset=True)
        else:
            self._container.seek(self._packets.ticks(first), stream=self._track)
        packets = self._demuxed()
        begun = next(packets, None)
        # a seek is as good as the file's index
        places = self._packets.places
        if begun is not None and places.count(begun.pos) == 1 and (number := places.index(begun.pos)) <= first:
            return enumerate(chain([begun], packets), number)
        index = self._track.index
        self._container.close()
        self._container = self._opened()
        self._track = self._container.streams[index]
        return enumerate(self._demuxed())

    def _demuxed(self) -> Iterator[Any]:
        return (packet for packet in self._container.demux(self._track) if packet.size)

    def time_of(self, frame: Any) -> float:
        """Time at which a frame of this video comes up on the screen."""
        return self.timeline.times_s[frame.pts]

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
            if timestamp_s > self._end_s + TAIL_S:
                return None
            around = self._look(timestamp_s, taken, timestamp_s - back_s)
            if around.at_end and around.shown is not None:
                self._end_s = self.timeline.ends_s(around.shown.pts)
            if around.shown is not None and (around.earlier is not None or around.later is not None):
                break  # otherwise the seek went too far, or every frame since the key frame is taken
        if timestamp_s > self._end_s + TAIL_S:
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
        frames = self.frames(self.timeline.decoded_from(self.timeline.shown_at(from_s)))
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


def _matroska_end(path: Path) -> int:
    """Place at which a Matroska or WebM file ends by its own header; 0 if it does not tell or is something else."""
    with path.open("rb") as file:
        if file.read(4) != b"\x1a\x45\xdf\xa3":
            return 0
        file.seek(_ebml_size(file), os.SEEK_CUR)
        if file.read(4) != b"\x18\x53\x80\x67":
            return 0
        size = _ebml_size(file)
        return file.tell() + size if size else 0


def _ebml_size(file: IO[bytes]) -> int:
    """Read the size of an element: as many bytes as its leading zero bits say; 0 if it is unknown."""
    first = file.read(1)[0]
    length = 8 - first.bit_length()
    bits = 7 * (length + 1)
    size = int.from_bytes(bytes([first]) + file.read(length)) & ((1 << bits) - 1)
    return 0 if size == (1 << bits) - 1 else size


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
