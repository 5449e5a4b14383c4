"""The ledger counts every call once, in Pacific days, whoever counts beside it and however they end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flows.crawl.data_api.quota import Budget, Ledger, Pause, key_name, next_reset, pacific_day
from flows.errors import CrawlError

KEY = "AIzaSyD-0123456789abcdefghijklmnopqrstu"
LIMITS: dict[Budget, int] = {"searches": 100, "units": 10_000}
NOON = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
PACIFIC = ZoneInfo("America/Los_Angeles")

moments = st.integers(946_684_800, 2_208_988_800).map(lambda second: datetime.fromtimestamp(second, UTC))


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog" / "quota.sqlite"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger(path, limits=LIMITS, now=clock)
    yield ledger
    ledger.close()


@pytest.mark.parametrize(
    ("now", "day", "reset"),
    [
        ("2026-01-15T07:59:59", date(2026, 1, 14), "2026-01-15T08:00:00"),
        ("2026-01-15T08:00:00", date(2026, 1, 15), "2026-01-16T08:00:00"),
        ("2026-07-15T06:59:59", date(2026, 7, 14), "2026-07-15T07:00:00"),
        ("2026-07-15T07:00:00", date(2026, 7, 15), "2026-07-16T07:00:00"),
        # The clocks go forward on 8 March 2026 and back on 1 November: days of 23 and of 25 hours.
        ("2026-03-08T08:00:00", date(2026, 3, 8), "2026-03-09T07:00:00"),
        ("2026-11-01T07:00:00", date(2026, 11, 1), "2026-11-02T08:00:00"),
    ],
)
def test_days_begin_at_midnight_in_pacific_time(now: str, day: date, reset: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert pacific_day(moment) == day
    assert next_reset(moment) == datetime.fromisoformat(reset).replace(tzinfo=UTC)


@given(moments)
def test_the_reset_is_the_first_moment_of_the_next_day(now: datetime) -> None:
    reset = next_reset(now)
    assert reset.tzinfo is UTC
    assert reset.astimezone(PACIFIC).time().isoformat() == "00:00:00"
    assert pacific_day(reset) == pacific_day(now) + timedelta(days=1)
    assert pacific_day(reset - timedelta(microseconds=1)) == pacific_day(now)
    assert timedelta(0) < reset - now <= timedelta(hours=25)


@given(moments, st.integers(-12 * 60, 14 * 60))
def test_a_moment_belongs_to_one_day_whatever_zone_it_is_told_in(now: datetime, minutes: int) -> None:
    elsewhere = now.astimezone(timezone(timedelta(minutes=minutes)))
    assert pacific_day(elsewhere) == pacific_day(now)
    assert next_reset(elsewhere) == next_reset(now)


def test_a_moment_without_a_zone_has_no_day() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        pacific_day(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_machine_without_time_zones_is_told_what_to_install() -> None:
    program = (
        "import sys; sys.modules['tzdata'] = None\n"
        "from flows.crawl.data_api.quota import pacific_day, utc_now\n"
        "from flows.errors import CrawlError\n"
        "try: pacific_day(utc_now())\n"
        "except CrawlError as error: print(error)\n"
    )
    environment = os.environ | {"PYTHONTZPATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "pip install tzdata" in done.stdout


def test_a_lower_limit_never_leaves_less_than_nothing(ledger: Ledger, path: Path, clock: Clock) -> None:
    ledger.spend(KEY, "units", 50)
    lower = Ledger(path, limits={"searches": 1, "units": 10}, now=clock)
    assert lower.left(KEY, "units") == 0
    assert not lower.spend(KEY, "units")


def test_calls_cost_something(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ledger.spend(KEY, "units", 0)


def test_an_answer_after_midnight_ends_the_day_of_its_call(ledger: Ledger, clock: Clock) -> None:
    asked_on = pacific_day(clock.now)
    clock.now = next_reset(clock.now)
    ledger.exhaust(KEY, "units", day=asked_on)
    assert ledger.left(KEY, "units") == 10_000
    clock.now = NOON
    assert ledger.left(KEY, "units") == 0


def test_a_call_that_never_left_is_struck_out_but_no_more_than_was_booked(ledger: Ledger) -> None:
    ledger.spend(KEY, "units", 2)
    ledger.give_back(KEY, "units")
    assert ledger.spent(KEY, "units") == 1
    ledger.give_back(KEY, "units", 2)
    ledger.give_back("another", "units")
    assert ledger.spent(KEY, "units") == 1


def test_the_key_is_nowhere_in_the_files(ledger: Ledger, path: Path) -> None:
    ledger.spend(KEY, "units")
    ledger.exhaust(KEY, "searches")
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert key_name(KEY).encode() in written
    assert KEY.encode() not in written
    assert not any(KEY[start : start + 8].encode() in written for start in range(len(KEY) - 8))


def test_a_pause_is_over_in_time_and_can_be_ended(ledger: Ledger, clock: Clock) -> None:
    assert ledger.paused("media") is None
    until = clock.now + timedelta(hours=24)
    ledger.pause("media", until, "asked whether we are a robot")
    assert ledger.paused("media") == Pause(until, "asked whether we are a robot")
    assert ledger.paused("comments") is None
    clock.now = until
    assert ledger.paused("media") is None
    clock.now = NOON
    ledger.resume("media")
    ledger.resume("media")
    assert ledger.paused("media") is None


def test_of_two_pauses_the_longer_one_stands_in_whatever_zone_it_is_told(ledger: Ledger, clock: Clock) -> None:
    until = clock.now + timedelta(hours=24)
    ledger.pause("media", until.astimezone(PACIFIC), "wall")
    ledger.pause("media", clock.now + timedelta(hours=1), "too fast")
    assert ledger.paused("media") == Pause(until, "wall")
    longer = until + timedelta(microseconds=1)
    ledger.pause("media", longer, "wall again")
    assert ledger.paused("media") == Pause(longer, "wall again")
    ledger.pause("media", (longer + timedelta(hours=1)).astimezone(PACIFIC), "and again")
    assert ledger.paused("media") == Pause(longer + timedelta(hours=1), "and again")


def test_pauses_and_spending_outlive_the_process(ledger: Ledger, path: Path, clock: Clock) -> None:
    ledger.spend(KEY, "units", 7)
    ledger.pause("media", clock.now + timedelta(hours=1), "wall")
    ledger.close()
    again = Ledger(path, limits=LIMITS, now=clock)
    assert again.spent(KEY, "units") == 7
    assert again.paused("media") is not None


class CountedByHand(RuleBasedStateMachine):
    """A ledger beside a dictionary that does the same, while days pass and the file is opened anew."""

    keys = st.sampled_from(["a", "b"])
    budgets = st.sampled_from(["searches", "units"])
    limits: dict[Budget, int] = {"searches": 5, "units": 12}  # noqa: RUF012 (hypothesis makes the instances)

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock(datetime(2026, 3, 7, 20, tzinfo=UTC))
        self.spent: dict[tuple[date, str, Budget], int] = {}
        self.exhausted: set[tuple[date, str, Budget]] = set()
        self.ledger = self.opened()

    def opened(self) -> Ledger:
        return Ledger(Path(self.folder.name) / "quota.sqlite", limits=self.limits, now=self.clock)

    def place(self, key: str, budget: Budget) -> tuple[date, str, Budget]:
        return pacific_day(self.clock.now), key, budget

    def left(self, key: str, budget: Budget) -> int:
        place = self.place(key, budget)
        return 0 if place in self.exhausted else self.limits[budget] - self.spent.get(place, 0)

    @rule(key=keys, budget=budgets, amount=st.integers(1, 6))
    def spend(self, key: str, budget: Budget, amount: int) -> None:
        booked = self.ledger.spend(key, budget, amount)
        assert booked == (amount <= self.left(key, budget))
        if booked:
            place = self.place(key, budget)
            self.spent[place] = self.spent.get(place, 0) + amount

    @rule(key=keys, budget=budgets)
    def exhaust(self, key: str, budget: Budget) -> None:
        self.ledger.exhaust(key, budget)
        self.exhausted.add(self.place(key, budget))

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.clock.now += timedelta(hours=hours)

    @rule()
    def open_again(self) -> None:
        self.ledger.close()
        self.ledger = self.opened()

    @invariant()
    def both_agree(self) -> None:
        for key in ("a", "b"):
            for budget in self.limits:
                assert self.ledger.left(key, budget) == self.left(key, budget)
                assert self.ledger.spent(key, budget) == self.spent.get(self.place(key, budget), 0)

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


CountedByHand.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
test_the_ledger_counts_as_one_would_by_hand = CountedByHand.TestCase


def test_threads_spend_no_more_than_the_day_holds(path: Path) -> None:
    ledger = Ledger(path, limits={"searches": 0, "units": 500})
    with ThreadPoolExecutor(8) as threads:
        booked = list(threads.map(lambda _: ledger.spend(KEY, "units"), range(1000)))
    assert booked.count(True) == ledger.spent(KEY, "units") == 500


SPENDER = """
import sys
from pathlib import Path
from flows.crawl.data_api.quota import Ledger
print("ready", flush=True)
sys.stdin.readline()
ledger = Ledger(Path(sys.argv[1]), limits={"searches": 0, "units": int(sys.argv[2])})
while ledger.spend("k", "units"):
    print("sent", flush=True)
"""


def spender(path: Path, limit: int) -> subprocess.Popen[str]:
    """A process that waits for a line, then spends until the day is spent, and says so after each call."""
    command = [sys.executable, "-c", SPENDER, str(path), str(limit)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_that_open_a_new_ledger_at_once_spend_no_more_than_the_day_holds(path: Path) -> None:
    path.parent.mkdir()
    processes = [spender(path, 2000) for _ in range(4)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    sent = [process.communicate()[0].count("sent") for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sum(sent) == Ledger(path, limits={"searches": 0, "units": 2000}).spent("k", "units") == 2000


def test_a_killed_process_loses_nothing_of_what_it_sent(path: Path) -> None:
    path.parent.mkdir()
    with spender(path, 10**9) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("go\n")
        process.stdin.flush()
        for _ in range(200):
            assert process.stdout.readline() == "sent\n"
        process.send_signal(signal.SIGKILL)
        # Not by `communicate`, which passes over the lines that `readline` has taken into its buffer.
        sent = 200 + process.stdout.read().count("sent\n")
    # The last call may have been booked and not yet sent.
    assert Ledger(path, limits=LIMITS).spent("k", "units") - sent in (0, 1)


def test_a_booking_costs_less_than_a_fifth_of_a_millisecond(path: Path) -> None:
    ledger = Ledger(path, limits={"searches": 0, "units": 10**6})
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(200):
            ledger.spend(KEY, "units")
        rounds.append((time.process_time() - begun) / 200)
    # The best of five: what other work on the machine takes is no cost of ours.
    assert min(rounds) < 0.0002


def test_a_place_that_cannot_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CrawlError, match=r"cannot be made.*name another file in \[crawl.quota\]"):
        Ledger(tmp_path / "file" / "quota.sqlite", limits=LIMITS)
    with pytest.raises(CrawlError, match=r"unable to open.*name another file"):
        Ledger(tmp_path, limits=LIMITS)


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "quota.sqlite"
    path.write_text("something else entirely, and long enough not to be taken for an empty file\n" * 20)
    before = path.read_bytes()
    with pytest.raises(CrawlError, match="not a database"):
        Ledger(path, limits=LIMITS)
    assert path.read_bytes() == before


def test_a_locked_ledger_is_waited_for(ledger: Ledger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as thread:
        booked = thread.submit(ledger.spend, KEY, "units")
        time.sleep(0.1)
        assert not booked.done()
        other.execute("COMMIT")
        assert booked.result(timeout=10)
