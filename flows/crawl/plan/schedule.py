"""On which day a crawl will be finished: its work laid out over the days of the quota. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

LONGEST_DAYS = 365
"""A crawl that takes longer is not laid out to its end."""
DAY_S = 86_400.0
_CRUMB = 1e-6
"""Less of a video than this is what floating point leaves of one."""

Outcome = Literal["nothing", "finished", "longer", "never"]
"""`nothing` was left to do; `longer` than a year; `never`, as what a day holds is nothing."""


@dataclass(frozen=True)
class Lot:
    """Ads that go through the crawl together: all are listed, then their comments are read, then their videos fetched.

    Once a part of the comments is read, as large a part of the videos can be fetched.
    """

    list_units: int = 0
    """Units that listing takes before its first search."""
    searches: int = 0
    """Calls of `search.list`; each one costs a unit besides, for describing what it found."""
    reading_units: int = 0
    """Units for taking the ads and reading their comments."""
    videos: int = 0


@dataclass(frozen=True)
class Pace:
    """What a day holds, and what is left of this one; every key's quota together."""

    searches: int
    units: int
    searches_today: int
    units_today: int
    seconds_today: float
    """Until the day ends."""
    seconds_per_video: float
    """Of all lanes together."""
    pause_s: float = 0.0
    """How long the videos still have to rest."""

    def faster(self, searches: int, units: int) -> Pace:
        """The same with so much more a day, today too."""
        return replace(
            self,
            searches=self.searches + searches,
            units=self.units + units,
            searches_today=self.searches_today + searches,
            units_today=self.units_today + units,
        )


@dataclass(frozen=True)
class Day:
    """What is done on one day."""

    searches: int
    units: int
    videos: float


@dataclass(frozen=True)
class Timetable:
    """The days of a crawl, today first."""

    outcome: Outcome
    days: tuple[Day, ...]


def lay_out(lots: Sequence[Lot], pace: Pace) -> Timetable:
    """Lay the work out over days, in the crawl's order: listing before reading, and lot after lot in each of them."""
    under_way = [_UnderWay(lot) for lot in lots]
    days: list[Day] = []
    pause_s = pace.pause_s
    while not all(lot.is_over for lot in under_way):
        if len(days) > LONGEST_DAYS:
            return Timetable("longer", tuple(days))
        today = not days
        day_s = pace.seconds_today if today else DAY_S
        day = _spend_day(
            under_way,
            searches=pace.searches_today if today else pace.searches,
            units=pace.units_today if today else pace.units,
            videos=max(0.0, day_s - pause_s) / pace.seconds_per_video,
        )
        if not today and pause_s <= 0 and day == Day(0, 0, 0.0):
            return Timetable("never", tuple(days))
        pause_s = max(0.0, pause_s - day_s)
        days.append(day)
    return Timetable("finished" if days else "nothing", tuple(days))


def days_alone(needed: float, today: float, a_day: float) -> int | None:
    """Days besides today that one kind of work takes if nothing else holds it up; None when it never ends."""
    if needed <= today:
        return 0
    return math.ceil((needed - today) / a_day) if a_day > 0 else None


@dataclass
class _UnderWay:
    """A lot and how much of it is done."""

    lot: Lot
    listed: int = 0
    searched: int = 0
    read: int = 0
    fetched: float = 0.0

    @property
    def is_listed(self) -> bool:
        return self.listed == self.lot.list_units and self.searched == self.lot.searches

    @property
    def is_over(self) -> bool:
        return self.is_listed and self.read == self.lot.reading_units and not self.videos_waiting

    @property
    def videos_waiting(self) -> float:
        """Videos that can be fetched now."""
        if not self.is_listed:
            return 0.0
        to_read = self.lot.reading_units
        ready = self.lot.videos * self.read // to_read if to_read else self.lot.videos
        waiting = ready - self.fetched
        return waiting if waiting > _CRUMB else 0.0


def _spend_day(lots: Sequence[_UnderWay], *, searches: int, units: int, videos: float) -> Day:
    left_searches, left_units, left_videos = searches, units, videos
    for lot in lots:
        listed = min(lot.lot.list_units - lot.listed, left_units)
        lot.listed += listed
        left_units -= listed
        if lot.listed < lot.lot.list_units:
            continue
        searched = min(lot.lot.searches - lot.searched, left_searches, left_units)
        lot.searched += searched
        left_searches -= searched
        left_units -= searched
    for lot in lots:
        read = min(lot.lot.reading_units - lot.read, left_units) if lot.is_listed else 0
        lot.read += read
        left_units -= read
    for lot in lots:
        fetched = min(lot.videos_waiting, left_videos)
        lot.fetched += fetched
        left_videos -= fetched
    return Day(searches - left_searches, units - left_units, videos - left_videos)
