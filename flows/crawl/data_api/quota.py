"""Quota ledger in one SQLite file, and the keys that spend it: every call is booked before it is sent.

The Data API counts by days of Pacific time, and it counts requests, not successes. So does the ledger: a request is
booked before it leaves, whatever its answer will be. Threads and processes share the file, and it outlives both.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flows.errors import CrawlError, KeyRefusedError, QuotaExhaustedError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from flows.crawl.data_api.faults import Fault

log = logging.getLogger("ytb_ads")

Budget = Literal["searches", "units"]

GET_A_KEY = (
    "make one in Google's console (https://console.cloud.google.com: enable the YouTube Data API v3, then "
    "Credentials, API key) and set it as YTB_ADS__CRAWL__API_KEY"
)
_KEY = re.compile(r"[\x21-\x7e]+")

BUSY_S = 30.0
"""Longest wait for another process that is writing; a booking takes a fraction of a millisecond."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS spending (
        day TEXT NOT NULL,
        key_name TEXT NOT NULL,
        budget TEXT NOT NULL,
        spent INTEGER NOT NULL DEFAULT 0,
        exhausted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (day, key_name, budget)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS pauses (
        name TEXT NOT NULL PRIMARY KEY,
        until TEXT NOT NULL,
        reason TEXT NOT NULL
    ) WITHOUT ROWID""",
)

# One statement, so that no other thread or process comes between the look at what is left and the booking.
_SPEND = """
    INSERT INTO spending (day, key_name, budget, spent)
    SELECT :day, :key_name, :budget, :amount WHERE :amount <= :limit
    ON CONFLICT (day, key_name, budget) DO UPDATE SET spent = spent + excluded.spent
    WHERE NOT exhausted AND spent + excluded.spent <= :limit
"""


@dataclass(frozen=True)
class Pause:
    """A pause until a moment, and its reason."""

    until: datetime
    reason: str


def utc_now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


@cache
def _pacific() -> ZoneInfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        raise CrawlError(
            "this machine knows no time zones, and the quota is counted in days of Pacific time; "
            "install them: pip install tzdata"
        ) from None


def pacific_day(now: datetime) -> date:
    """Day of the quota that a moment belongs to."""
    if now.tzinfo is None:
        raise ValueError(f"{now.isoformat()} has no time zone; the quota's day cannot be told")
    return now.astimezone(_pacific()).date()


def next_reset(now: datetime) -> datetime:
    """The next midnight in Pacific time, in UTC: when the quota of the next day begins."""
    # On the two days of the year when the clocks change this is 23 and 25 hours after the last midnight.
    tomorrow = pacific_day(now) + timedelta(days=1)
    return datetime.combine(tomorrow, time_of_day(), _pacific()).astimezone(UTC)


def key_name(key: str) -> str:
    """Short digest that identifies a key in the ledger and in messages."""
    return hashlib.sha256(b"ytb-ads key " + key.encode()).hexdigest()[:10]


class Ledger:
    """Spending by Pacific day, key and budget, and pauses."""

    def __init__(self, path: Path, *, limits: Mapping[Budget, int], now: Callable[[], datetime] = utc_now) -> None:
        """Open the ledger, or begin it.

        Args:
            path: the file; its folder is made.
            limits: what a key may spend in a day, by budget.
            now: the clock.

        Raises:
            CrawlError: the file cannot be written, or is no ledger.
        """
        self.path = path
        self.limits = dict(limits)
        self.now = now
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CrawlError(
                f"{path.parent} cannot be made for the quota ledger: {error.strerror}{_ELSEWHERE}"
            ) from None
        with self._told():
            self._file = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                _prepare(self._file)
            except sqlite3.Error:
                self._file.close()
                raise

    def spend(self, key: str, budget: Budget, amount: int = 1, *, day: date | None = None) -> bool:
        """Book a call that is about to be sent.

        Args:
            key: the key that the call is made with.
            budget: what it is counted against.
            amount: its cost.
            day: Pacific day, by default today.

        Returns:
            Whether it was booked. If not, the day is spent, nothing was written, and the call must not be sent.
        """
        if amount < 1:
            raise ValueError(f"amount = {amount}: a call costs at least 1")
        row = self._row(key, budget, day) | {"amount": amount, "limit": self.limits[budget]}
        return self._write(_SPEND, row) == 1

    def give_back(self, key: str, budget: Budget, amount: int = 1, *, day: date | None = None) -> None:
        """Strike out a booking whose call certainly never left: no connection could be made."""
        self._write(
            "UPDATE spending SET spent = spent - :amount"
            " WHERE day = :day AND key_name = :key_name AND budget = :budget AND spent >= :amount",
            self._row(key, budget, day) | {"amount": amount},
        )

    def exhaust(self, key: str, budget: Budget, *, day: date | None = None) -> None:
        """Record that the server calls the day's quota spent, whatever was counted here.

        `day` is the day on which the refused call was sent: its answer may come after midnight.
        """
        self._write(
            "INSERT INTO spending (day, key_name, budget, exhausted) VALUES (:day, :key_name, :budget, 1)"
            " ON CONFLICT (day, key_name, budget) DO UPDATE SET exhausted = 1",
            self._row(key, budget, day),
        )

    def left(self, key: str, budget: Budget) -> int:
        """Quota left today."""
        spent, exhausted = self._today(key, budget)
        return 0 if exhausted else max(0, self.limits[budget] - spent)

    def spent(self, key: str, budget: Budget) -> int:
        """Quota spent today."""
        return self._today(key, budget)[0]

    def pause(self, name: str, until: datetime, reason: str) -> None:
        """Pause `name` until a moment; of two pauses the longer one applies."""
        until = until.astimezone(UTC)
        self._write(
            "INSERT INTO pauses (name, until, reason) VALUES (:name, :until, :reason)"
            " ON CONFLICT (name) DO UPDATE SET until = excluded.until, reason = excluded.reason"
            " WHERE excluded.until > until",
            {"name": name, "until": until.isoformat(timespec="microseconds"), "reason": reason},
        )

    def paused(self, name: str) -> Pause | None:
        """The pause of `name`; None when there is none."""
        rows = self._read("SELECT until, reason FROM pauses WHERE name = :name", {"name": name})
        pauses = [Pause(datetime.fromisoformat(until), reason) for until, reason in rows]
        return next((pause for pause in pauses if pause.until > self.now()), None)

    def resume(self, name: str) -> None:
        """End the pause of `name`."""
        self._write("DELETE FROM pauses WHERE name = :name", {"name": name})

    def take_over(self, other: Path) -> None:
        """Merge a copy of this ledger from elsewhere: of each count and pause the larger one applies."""
        with self._told(), closing(sqlite3.connect(other)) as file:
            spending = file.execute("SELECT day, key_name, budget, spent, exhausted FROM spending").fetchall()
            pauses = file.execute("SELECT name, until, reason FROM pauses").fetchall()
        for row in spending:
            self._write(
                "INSERT INTO spending (day, key_name, budget, spent, exhausted)"
                " VALUES (:day, :key_name, :budget, :spent, :exhausted)"
                " ON CONFLICT (day, key_name, budget) DO UPDATE"
                " SET spent = max(spent, excluded.spent), exhausted = max(exhausted, excluded.exhausted)",
                dict(zip(("day", "key_name", "budget", "spent", "exhausted"), row, strict=True)),
            )
        for name, until, reason in pauses:
            self.pause(name, datetime.fromisoformat(until), reason)

    def copy_to(self, path: Path) -> None:
        """Write the ledger as it is to another file."""
        self._write("VACUUM INTO :path", {"path": str(path)})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _row(self, key: str, budget: Budget, day: date | None) -> dict[str, Any]:
        day = day or pacific_day(self.now())
        return {"day": day.isoformat(), "key_name": key_name(key), "budget": budget}

    def _today(self, key: str, budget: Budget) -> tuple[int, bool]:
        rows = self._read(
            "SELECT spent, exhausted FROM spending WHERE day = :day AND key_name = :key_name AND budget = :budget",
            self._row(key, budget, None),
        )
        return (rows[0][0], bool(rows[0][1])) if rows else (0, False)

    def _write(self, statement: str, values: dict[str, Any]) -> int:
        with self._told(), self._lock:
            return self._file.execute(statement, values).rowcount

    def _read(self, statement: str, values: dict[str, Any]) -> list[Any]:
        with self._told(), self._lock:
            return self._file.execute(statement, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise CrawlError(f"the quota ledger {self.path} cannot be used: {error}{_ELSEWHERE}") from None


_ELSEWHERE = "; make it writable, or name another file in [crawl.quota] as `ledger`"


def _prepare(file: sqlite3.Connection) -> None:
    """Set the file up for many writers, and make the tables where they are missing."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            file.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # Whoever comes while another process makes the switch is turned away at once, whatever the timeout.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    # A commit is in the operating system's hands when it returns, so a killed process loses none. Only a power cut
    # can take the last ones, and then the server's own count still stops us; waiting for the disk at each call costs
    # fifteen times as much.
    file.execute("PRAGMA synchronous = NORMAL")
    for table in _TABLES:
        file.execute(table)


@dataclass(frozen=True)
class Booking:
    """One call that was booked and may be sent."""

    key: str = field(repr=False)
    budget: Budget
    day: date


class Keys:
    """The keys in their order: the first that the server accepts and that has quota left pays. Threads share them."""

    def __init__(self, keys: Sequence[SecretStr], ledger: Ledger) -> None:
        """Check the keys.

        Raises:
            CrawlError: there is none, or one that cannot be a key.
        """
        self._keys = _checked(keys)
        longest_first = sorted(self._keys, key=len, reverse=True)
        self._any_key = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
        self._ledger = ledger
        self._refused: dict[str, Fault] = {}
        self._spent: set[tuple[str, Budget, date]] = set()

    def book(self, budget: Budget) -> Booking:
        """Book one call before it is sent.

        Raises:
            QuotaExhaustedError: no key has anything left today.
            KeyRefusedError: the server accepts none of the keys.
        """
        day = pacific_day(self._ledger.now())
        for key in self._keys:
            if key not in self._refused and self._ledger.spend(key, budget, day=day):
                return Booking(key, budget, day)
        if len(self._refused) == len(self._keys):
            raise KeyRefusedError(self._why_refused())
        resumes_at = next_reset(self._ledger.now())
        whose = f"all {len(self._keys)} keys" if len(self._keys) > 1 else f"key {key_name(self._keys[0])}"
        raise QuotaExhaustedError(
            f"today's {budget} of {whose} are spent; the quota's next day begins at {resumes_at:%Y-%m-%d %H:%M} UTC",
            resumes_at,
        )

    def strike_out(self, booking: Booking) -> None:
        """Take back what was booked for a call that never left."""
        self._ledger.give_back(booking.key, booking.budget, day=booking.day)

    def is_turned_away(self, booking: Booking) -> bool:
        """Whether the server has said since the booking that the key is spent or refused."""
        return booking.key in self._refused or (booking.key, booking.budget, booking.day) in self._spent

    def exhaust(self, booking: Booking, fault: Fault) -> None:
        """Use the key no more today: the server says that its day is spent."""
        # Whatever the message names, the budget of this call is spent too, or it would be made again at once.
        budgets: set[Budget] = {booking.budget, "searches"} if "Search Queries" in fault.detail else {booking.budget}
        for budget in sorted(budgets):
            self._spent.add((booking.key, budget, booking.day))
            self._ledger.exhaust(booking.key, budget, day=booking.day)
        log.warning(
            "key %s: the server calls today's %s spent: %s",
            key_name(booking.key),
            " and ".join(sorted(budgets)),
            fault.detail,
        )

    def refuse(self, booking: Booking, fault: Fault) -> None:
        """Use the key no more in this run: the server does not accept it."""
        first_time = self._refused.setdefault(booking.key, fault) is fault
        if first_time and len(self._keys) > 1:
            log.warning("key %s is refused and no longer used in this run: %s", key_name(booking.key), fault.detail)

    def scrub(self, text: str) -> str:
        """A server's words without any of the keys, which it may have repeated."""
        return self._any_key.sub("(key)", text)

    def are_not_in(self, record: logging.LogRecord) -> bool:
        """Whether a log record of the HTTP client, which may repeat a server's words, contains none of the keys."""
        return not self._any_key.search(record.getMessage())

    def _why_refused(self) -> str:
        said = "; ".join(f"{key_name(key)}: {fault.detail}" for key, fault in self._refused.items())
        return (
            f"the Data API accepts no key ({said}); check in Google's console that the key exists, that the YouTube "
            "Data API v3 is enabled for its project, and that its restrictions let this machine use it"
        )


def _checked(keys: Sequence[SecretStr]) -> list[str]:
    plain = [key.get_secret_value() for key in keys]
    if not plain:
        raise CrawlError(f"no key of the YouTube Data API is set; {GET_A_KEY}")
    for number, key in enumerate(plain, 1):
        if not _KEY.fullmatch(key):
            # Sent all the same, it would stand in the text of the error about the header.
            raise CrawlError(
                f"key {number} of {len(plain)} has a blank, a line break or a letter that no key has; copy it again"
            )
    return plain
