"""What an ad looks like over its length, at moments that do not depend on its id: by this re-uploads are found.

The frames of two uploads of one ad are drawn at different moments, so they cannot be compared. What can be: every
picture that had to be decoded on the way to the frames, one for each half second, and a few key frames.
Two uploads have enough half seconds in common, and next to nothing is decoded for the purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flows.frames.display import grey_thumbnail
from flows.frames.hashing import LOOK_THUMBNAIL, is_blank, look_hash
from flows.frames.passes import key_frame
from flows.frames.video import Video

LOOKS_VERSION = "1"
"""Raise it when hashes or moments change: looks of different versions are not compared."""
SLOT_S = 0.5
_MOST_SLOTS = 120
"""A minute of pictures tells an ad from another; a longer one is not looked at more closely."""
_KEY_FRAMES = 2
_ENOUGH = 5
"""With so many looks on the way to the frames no others are decoded."""


@dataclass(frozen=True)
class Look:
    """A picture of an ad as its fingerprint has it."""

    time_s: float
    hash: str


@dataclass
class Looks:
    """Collects an ad's looks from the frames that it is shown."""

    _by_slot: dict[int, Look | None] = field(default_factory=dict)
    """By half second; None where the picture is blank and says nothing."""

    def see(self, frame: Any, time_s: float) -> None:
        """Take in a frame if it is the first in its half second."""
        slot = int(time_s // SLOT_S)
        if slot in self._by_slot or len(self._by_slot) >= _MOST_SLOTS:
            return
        grey = grey_thumbnail(frame, LOOK_THUMBNAIL)
        self._by_slot[slot] = None if is_blank(grey) else Look(time_s, look_hash(grey))

    def fill(self, video: Video, duration_s: float) -> None:
        """Unless enough was seen, add the key frames nearest to two moments evenly over the ad."""
        keys_s = video.key_times_s
        if not keys_s or len(self._by_slot) >= _ENOUGH:
            return
        even_s = [(part + 0.5) / _KEY_FRAMES * duration_s for part in range(_KEY_FRAMES)]
        nearest = {min(range(len(keys_s)), key=lambda number: abs(keys_s[number] - at_s)) for at_s in even_s}
        for number in sorted(nearest):
            if int(keys_s[number] // SLOT_S) not in self._by_slot and (frame := key_frame(video, number)) is not None:
                self.see(frame, video.time_of(frame))

    def all(self) -> tuple[Look, ...]:
        """What was collected, in the order of time."""
        return tuple(sorted((look for look in self._by_slot.values() if look), key=lambda look: look.time_s))
