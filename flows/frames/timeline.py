"""The timeline of a picture track, by its packets: when each picture comes up, and what is decoded to see it.

The packets are read once without decoding. What a container says of its length, its start and the times of its key
frames is of the whole file, or missing, or wrong; the packets are reliable in every container.
"""

from __future__ import annotations

import bisect
from array import array
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UNKNOWN = -(2**63)
"""A time that the file does not tell."""
_BACK_S, _AHEAD_S = 0.1, 10.0
"""A transport stream's clock was set anew where decoding times go back or ahead so far; ffmpeg has the same limits."""


class Packets:
    """Times and places of a track's packets, in the order of the file."""

    def __init__(self) -> None:
        self.pts, self.dts, self.durations, self.places = (array("q") for _ in range(4))
        self.is_key, self.is_shown = bytearray(), bytearray()

    def __len__(self) -> int:
        return len(self.pts)

    def add(self, packet: Any) -> None:
        """Note a packet of PyAV."""
        self.pts.append(_UNKNOWN if packet.pts is None else packet.pts)
        self.dts.append(_UNKNOWN if packet.dts is None else packet.dts)
        self.durations.append(packet.duration or 0)
        self.places.append(-1 if packet.pos is None else packet.pos)
        self.is_key.append(packet.is_keyframe)
        # an edit list cuts pictures off that others are drawn from
        self.is_shown.append(not packet.is_discard)

    def ticks(self, number: int) -> int:
        """A packet's time as the file has it."""
        return self.dts[number] if self.pts[number] == _UNKNOWN else self.pts[number]


class Timeline:
    """When the pictures of a track are on the screen; packets are named by their number in the file.

    Args:
        packets: of the track.
        time_base: seconds of a tick.
        still_s: how long a picture stays of which the file does not tell it.
        is_broadcast: the clock may wrap, jump or start anew, and the first pictures may lack what they are drawn from.
        reorders: the decoder gives pictures in another order, and the container has no times of showing.

    Raises:
        ValueError: no packet has a time.
    """

    def __init__(
        self, packets: Packets, time_base: Fraction, *, still_s: float, is_broadcast: bool, reorders: bool
    ) -> None:
        pts, dts, durations = (
            np.array(ticks, dtype=np.int64) for ticks in (packets.pts, packets.dts, packets.durations)
        )
        # where a container has times of decoding alone and FFmpeg sees no order of showing, it passes them on
        self.is_counted = reorders and bool((np.diff(pts) >= 0).all())
        """The decoder alone knows the order: the n-th picture that it gives from the start has the n-th time."""
        ticks = np.where((pts == _UNKNOWN) | (self.is_counted & (dts != _UNKNOWN)), dts, pts)
        is_key = np.array(packets.is_key, dtype=bool)
        shown = (ticks != _UNKNOWN) & np.array(packets.is_shown, dtype=bool)
        if not shown.any():
            raise ValueError("no packet has a time")
        durations = np.where(durations > 0, durations, round(still_s / time_base))
        if is_broadcast:
            ticks = ticks + _corrections(np.where(dts == _UNKNOWN, ticks, dts), durations, time_base)
            # whoever joins in sees nothing before the first key frame
            first = int(np.argmax(is_key))
            shown[:first] = False
            shown &= ticks >= ticks[first]
        start = int(ticks[shown].min())
        numerator, denominator = time_base.numerator, time_base.denominator
        self.times_s: list[float] = [
            # as exact as with fractions, and several times as fast
            round((tick - start) * numerator / denominator, 6) if is_shown else float("nan")
            for tick, is_shown in zip(ticks.tolist(), shown.tolist(), strict=True)
        ]
        """Time at which a packet's picture comes up, from the first picture of the track; NaN: never."""
        self._order: NDArray[np.intp] = np.flatnonzero(shown)[np.argsort(ticks[shown], kind="stable")]
        self._sorted_s = [self.times_s[number] for number in self._order]
        last = int(self._order[-1])
        self._stays_s = durations * float(time_base)
        self.end_s = float((int(ticks[last] + durations[last]) - start) * time_base)
        """End of the last picture: the length of the track."""
        self.last_s = self.times_s[last]
        """Time at which the last picture comes up."""
        self._keys = np.flatnonzero(shown & is_key & (not self.is_counted))

    def ends_s(self, number: int) -> float:
        """Time up to which the picture of a packet is stated to stay."""
        return self.times_s[number] + float(self._stays_s[number])

    @cached_property
    def keys(self) -> list[int]:
        """Packets of key frames, in the order of their times."""
        return sorted(self._keys.tolist(), key=self.times_s.__getitem__)

    @cached_property
    def key_times_s(self) -> list[float]:
        """Times of the key frames, sorted."""
        return [self.times_s[number] for number in self.keys]

    def shown_at(self, moment_s: float) -> int:
        """The packet whose picture is on the screen at a moment: the latest up to it, or the first of all."""
        return int(self._order[max(0, bisect.bisect_right(self._sorted_s, moment_s) - 1)])

    def decoded_from(self, number: int) -> int:
        """The key frame from which on is decoded for a picture; 0 where there is none before it."""
        # pictures shown before a key frame but stored behind it are drawn from the one before, too
        earlier = bisect.bisect_right(self.key_times_s, self.times_s[number])
        return next((key for key in reversed(self.keys[:earlier]) if key <= number), 0)


def _corrections(clock: NDArray[np.int64], durations: NDArray[np.int64], time_base: Fraction) -> NDArray[np.int64]:
    """Ticks to add to each packet's so that a clock that was set anew goes on where it had been."""
    known = np.flatnonzero(clock != _UNKNOWN)
    times = clock[known]
    expected = times[:-1] + durations[known][:-1]
    ahead_s = (times[1:] - expected) * float(time_base)
    # by the last time itself: two fields of one picture may share their duration
    back_s = (times[:-1] - times[1:]) * float(time_base)
    steps = np.where((back_s > _BACK_S) | (ahead_s > _AHEAD_S), expected - times[1:], 0)
    corrections = np.zeros(len(clock), dtype=np.int64)
    corrections[known[1:]] = steps
    return np.cumsum(corrections)
