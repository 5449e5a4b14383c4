"""Which key pays for the next call: the first that the server accepts and that has something left of its day."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from pydantic import SecretStr

from flows.crawl.data_api.faults import Fault
from flows.crawl.data_api.quota import Budget, Ledger, key_name, next_reset, pacific_day
from flows.errors import CrawlError, KeyRefusedError, QuotaExhaustedError

log = logging.getLogger("ytb_ads")

_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Booking:
    """One call that was written down, and now may be sent."""

    key: str = field(repr=False)
    budget: Budget
    day: date


class Keys:
    """The keys in their order, shared by all threads."""

    def __init__(self, keys: Sequence[SecretStr], ledger: Ledger) -> None:
        """Check the keys.

        Raises:
            CrawlError: there is none, or one that cannot be a key.
        """
        self._keys = _checked(keys)
        self._ledger = ledger
        self._refused: dict[str, Fault] = {}
        self._spent: set[tuple[str, Budget, date]] = set()

    def book(self, budget: Budget) -> Booking:
        """Write one call down, before it is sent.

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

    def redacted(self, fault: Fault) -> Fault:
        """A fault without any of the keys, which the server may have repeated."""
        for key in self._keys:
            fault = replace(fault, reason=fault.reason.replace(key, "key"), detail=fault.detail.replace(key, "(key)"))
        return fault

    def _why_refused(self) -> str:
        said = "; ".join(f"{key_name(key)}: {fault.detail}" for key, fault in self._refused.items())
        return (
            f"the Data API accepts no key ({said}); check in Google's console that the key exists, that the YouTube "
            "Data API v3 is enabled for its project, and that its restrictions let this machine use it"
        )


def _checked(keys: Sequence[SecretStr]) -> list[str]:
    plain = [key.get_secret_value() for key in keys]
    if not plain:
        raise CrawlError(
            "no key of the YouTube Data API is set; make one in Google's console (https://console.cloud.google.com: "
            "enable the YouTube Data API v3, then Credentials, API key) and set it as YTB_ADS__CRAWL__API_KEY"
        )
    for number, key in enumerate(plain, 1):
        if not _KEY.fullmatch(key):
            # Sent all the same, it would stand in the text of the error about the header.
            raise CrawlError(
                f"key {number} of {len(plain)} has a blank, a line break or a letter that no key has; copy it again"
            )
    return plain
