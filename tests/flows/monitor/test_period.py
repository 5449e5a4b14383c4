"""Periods and weeks are in UTC, whatever was given and wherever it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import MonitorError
from flows.monitor.period import microseconds, monday_of, parse_period, time_of, week_of

NOW = datetime(2026, 11, 30, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "begin"),
    [
        ("30d", datetime(2026, 10, 31, 15, 30, tzinfo=UTC)),
        ("2w", datetime(2026, 11, 16, 15, 30, tzinfo=UTC)),
        ("99999w", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-10-01", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01T08:30", datetime(2026, 10, 1, 8, 30, tzinfo=UTC)),
        ("2026-10-01T00:30+02:00", datetime(2026, 9, 30, 22, 30, tzinfo=UTC)),
        (" 20261001 ", datetime(2026, 10, 1, tzinfo=UTC)),
    ],
)
def test_a_period_begins_where_it_is_said_to(since: str, begin: datetime) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-9)))
    assert parse_period(since, NOW) == parse_period(since, elsewhere)
    assert (parse_period(since, NOW).since, parse_period(since, NOW).until) == (begin, NOW)


@pytest.mark.parametrize(
    "since",
    ["", "0d", "-3d", "30", "3 d", "30D", "1m", "tomorrow", "2026-13-01", "2027-01-01", "1969-12-31", "\x1b[31m"],
)
def test_what_is_no_begin_of_a_period_is_refused(since: str) -> None:
    with pytest.raises(MonitorError) as refused:
        parse_period(since, NOW)
    assert "\x1b" not in str(refused.value)


@given(st.timedeltas(timedelta(0), timedelta(days=90_000)))
def test_a_week_is_the_calendars(since_1970: timedelta) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + since_1970
    [week] = week_of(np.array([microseconds(at)])).tolist()
    monday = monday_of(week)
    assert monday.isocalendar()[:2] == at.isocalendar()[:2]
    assert (monday.weekday(), monday.hour, monday.minute) == (0, 0, 0)
    assert time_of(microseconds(at)) == at
