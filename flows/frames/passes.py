"""Ways through a video that decode as little as they can: one pass for exact moments, single key frames.

Most frames in front of a moment must be decoded, since later ones are drawn from them; but the frames that no other
frame is drawn from, about half of those of H.264, are skipped unless they are the ones on the screen. Which ones
that are is known from the times of the packets before anything is decoded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from flows.frames.video import FAULTS, TAIL_S, Video


def decoded_frames(video: Video, moments_s: Sequence[float]) -> Iterator[tuple[Any, list[float]]]:
    """Frames in front of sorted moments as they are decoded, and at which of the moments each is on the screen.

    Moments with the same key frame before them share one reading. A file that is damaged or tells no times may leave
    moments without a frame: `Video.find` settles those.
    """
    for number, of_key in groupby(moments_s, key=video.key_before):
        # of a file without an index it is not known who could share
        for together in [list(of_key)] if number >= 0 else [[moment_s] for moment_s in of_key]:
            yield from _Reading(video, together).frames()


def key_frame(video: Video, number: int) -> Any:
    """The key frame with this number in `video.key_times_s`; None if it cannot be decoded."""
    keys_s = video.key_times_s
    # halfway to the next one: a seek looks at times of decoding here and at those of showing there
    inside_s = (keys_s[number] + keys_s[number + 1]) / 2 if number + 1 < len(keys_s) else keys_s[number] + 1.0
    video.decoder.skip_frame = "DEFAULT"
    try:
        for packet in video.packets_from(max(0.0, inside_s)):
            return next(iter([*video.frames_of(packet), *video.frames_of(None)]), None)
    except FAULTS:
        return None
    return None


def nearest_keys(
    keys_s: Sequence[float], moments_s: Sequence[float], bounds_s: tuple[float, float]
) -> dict[float, int]:
    """Snap sorted moments to key frames, each taken once, none outside the bounds.

    Returns:
        Number of a key frame by moment, in the order of both; moments that find none free are left out.
    """
    free = [number for number, at_s in enumerate(keys_s) if bounds_s[0] <= at_s < bounds_s[1]]
    chosen: list[int] = []
    for moment_s in moments_s[: len(free)]:
        nearest = min(free, key=lambda number: abs(keys_s[number] - moment_s))
        free.remove(nearest)
        chosen.append(nearest)
    return dict(zip(moments_s, sorted(chosen), strict=False))


class _Reading:
    """One reading from the key frame before the first of some moments to the last of them."""

    def __init__(self, video: Video, moments_s: Sequence[float]) -> None:
        self._video = video
        self._moments_s = moments_s
        self._shown: list[float | None] = [None] * len(moments_s)
        """Of every moment, the latest time up to it that a packet read so far has."""
        self._settled = 0
        """Number of moments that lie before all that is still to be read."""
        self._end_s = 0.0

    def frames(self) -> Iterator[tuple[Any, list[float]]]:
        """Decode; ends early at the first damage."""
        try:
            yield from self._frames()
        except FAULTS:
            return

    def _frames(self) -> Iterator[tuple[Any, list[float]]]:
        waiting: deque[Any] = deque()
        for packet in self._video.packets_from(self._moments_s[0]):
            if packet.dts is None or not self._note(packet):
                return
            waiting.append(packet)
            # a packet waits while it is the latest before a moment: one that is still to come may be later
            latest = set(self._shown[self._settled :])
            while waiting and self._video.time_s(waiting[0]) not in latest:
                yield from self._decode(waiting.popleft())
            if self._settled == len(self._moments_s):
                break
        else:
            self._settle_at_end()
        needed = sum(self._video.time_s(packet) in self._shown for packet in waiting)
        while needed:
            packet = waiting.popleft()
            needed -= self._video.time_s(packet) in self._shown
            yield from self._decode(packet)
        yield from self._decode(None)

    def _note(self, packet: Any) -> bool:
        """See which moments a packet may be shown at; False if the reading began behind its first moment."""
        time_s, decoded_s = self._video.time_s(packet), self._video.seconds(packet.dts)
        assert time_s is not None  # noqa: S101 - it has a time of decoding
        self._end_s = max(self._end_s, time_s + self._video.shown_for_s(packet))
        for index in range(self._settled, len(self._moments_s)):
            known = self._shown[index]
            if time_s <= self._moments_s[index] and (known is None or time_s > known):
                self._shown[index] = time_s
        while self._settled < len(self._moments_s) and decoded_s > self._moments_s[self._settled]:
            self._settled += 1
        return self._shown[0] is not None

    def _settle_at_end(self) -> None:
        """No packet is left: what is shown last stays, but not far beyond the end of the data."""
        for index in range(self._settled, len(self._moments_s)):
            if self._moments_s[index] > self._end_s + TAIL_S:
                self._shown[index] = None
        self._settled = len(self._moments_s)

    def _decode(self, packet: Any) -> list[tuple[Any, list[float]]]:
        wanted = packet is None or self._video.time_s(packet) in self._shown[: self._settled]
        self._video.decoder.skip_frame = "DEFAULT" if wanted else "NONREF"
        # the decoder gives frames later than it takes packets, so what is shown is asked of the frame itself
        return [(frame, self._shown_at(self._video.time_of(frame))) for frame in self._video.frames_of(packet)]

    def _shown_at(self, time_s: float) -> list[float]:
        settled = zip(self._moments_s[: self._settled], self._shown, strict=False)
        return [moment_s for moment_s, shown_s in settled if shown_s == time_s]
