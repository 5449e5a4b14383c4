"""The period that is looked at, in UTC, and its weeks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from data_catalog.printing import printable
from flows.errors import MonitorError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPAN = re.compile(r"([1-9]\d{0,4})([dw])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
DAY_US = 86_400_000_000
_DAYS_TO_MONDAY = 3
"""The epoch was a Thursday: so many days after a Monday."""


@dataclass(frozen=True)
class Period:
    """From `since` up to and without `until`."""

    since: datetime
    until: datetime


def parse_period(since: str, now: datetime) -> Period:
    """The period up to now that begins so long ago (`30d`, `2w`), or with a date or time.

    Args:
        since: days or weeks of 24 hours a day; or a date, whose begin in UTC counts, or a time, in UTC unless it says
            otherwise.
        now: with its time zone.

    Raises:
        MonitorError: it is none of these, or not before now.
    """
    now = now.astimezone(UTC)
    if span := _SPAN.fullmatch(since.strip()):
        number = int(span[1]) * (7 if span[2] == "w" else 1)
        return Period(max(_EPOCH, now - timedelta(days=number)), now)
    try:
        given = datetime.fromisoformat(since.strip())
    except ValueError:
        raise MonitorError(
            f"--since {printable(since)!r}: expected days or weeks such as 30d or 2w, or a date or time such as "
            "2026-10-01 or 2026-10-01T08:30+02:00"
        ) from None
    begin = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    if not _EPOCH <= begin < now:
        raise MonitorError(f"--since {since.strip()}: expected a time before now, {now:%Y-%m-%d %H:%M} UTC, since 1970")
    return Period(begin, now)


def microseconds(at: datetime) -> int:
    """A time as microseconds since 1970, without rounding."""
    return (at - _EPOCH) // _MICROSECOND


def time_of(at_us: int) -> datetime:
    """The time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=int(at_us))


def week_of(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the weeks, from Monday 0:00 UTC on, that times in microseconds since 1970 lie in."""
    return (at_us // DAY_US + _DAYS_TO_MONDAY) // 7


def monday_of(week: int) -> datetime:
    """The Monday that a numbered week begins with."""
    return _EPOCH + timedelta(days=7 * int(week) - _DAYS_TO_MONDAY)
