"""Read a video with as little decoding as possible: one pass for exact moments, or single key frames.

Most frames in front of a moment must be decoded, since later ones are drawn from them; but the frames that no other
frame is drawn from, about half of those of H.264, are skipped unless they are the ones on the screen. Which ones
that are is known from the times of the packets before anything is decoded.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from flows.frames.video import TAIL_S, Video

_ANOTHER_PICTURE_S = 1.0
"""So long after a key frame a picture is likely to be another one."""


def decoded_frames(video: Video, moments_s: Sequence[float]) -> Iterator[tuple[Any, list[float]]]:
    """Frames in front of sorted moments as they are decoded, and at which of the moments each is on the screen.

    Moments with the same key frame before them share one reading. A damaged file may leave moments without a frame:
    `Video.find` settles those.
    """
    timeline = video.timeline
    # what is shown last stays, but not far beyond the end of the data
    shown = {moment_s: timeline.shown_at(moment_s) for moment_s in moments_s if moment_s <= timeline.end_s + TAIL_S}
    for first, of_key in groupby(shown, key=lambda moment_s: timeline.decoded_from(shown[moment_s])):
        moments_of: dict[int, list[float]] = {}
        for moment_s in of_key:
            moments_of.setdefault(shown[moment_s], []).append(moment_s)
        for frame in video.frames(first, max(moments_of), moments_of):
            yield frame, moments_of.get(frame.pts, [])


def key_frame(video: Video, number: int) -> Any:
    """The key frame with this number in `video.key_times_s`; None if it cannot be decoded."""
    packet = video.timeline.keys[number]
    return next(video.frames(packet, packet), None)


def nearest_keys(
    keys_s: Sequence[float], moments_s: Sequence[float], bounds_s: tuple[float, float]
) -> dict[float, int]:
    """Snap sorted moments to key frames, each taken once, none outside the bounds.

    Where key frames are fewer than moments, those moments are left out that are reached soonest from the key frame
    before them, but not so soon that they would show its picture again.

    Returns:
        Number of a key frame by moment, in the order of both.
    """
    free = [number for number, at_s in enumerate(keys_s) if bounds_s[0] <= at_s < bounds_s[1]]

    def behind_s(moment_s: float) -> tuple[bool, float]:
        before = bisect.bisect_right(keys_s, moment_s)
        decoded_s = moment_s - keys_s[before - 1] if before else moment_s
        return decoded_s < _ANOTHER_PICTURE_S, decoded_s

    left_out = sorted(moments_s, key=behind_s)[: max(0, len(moments_s) - len(free))]
    snapped = [moment_s for moment_s in moments_s if moment_s not in left_out]
    chosen: list[int] = []
    for moment_s in snapped:
        nearest = min(free, key=lambda number: abs(keys_s[number] - moment_s))
        free.remove(nearest)
        chosen.append(nearest)
    return dict(zip(snapped, sorted(chosen), strict=True))
