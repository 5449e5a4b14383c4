"""Requests that the sandbox received, and the quota that each key has left."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

Counts = dict[str, dict[str, int]]


class Ledger:
    """Counts every request of the API before it is answered; a search is a search, anything else a unit."""

    def __init__(self, keys: tuple[str, ...], searches_per_day: int, units_per_day: int) -> None:
        self._lock = threading.Lock()
        self._limits = {"searches": searches_per_day, "units": units_per_day}
        self._counts: Counts = {key: {"searches": 0, "units": 0} for key in keys}
        self._before_today: Counts = {}
        self._requests: list[tuple[str, dict[str, str], str]] = []
        self._media_requests: list[tuple[str, dict[str, str], str]] = []
        self._in_flight = 0
        self.max_in_flight = 0
        """Most requests of the API that were being answered at one moment."""

    @contextmanager
    def receive(self, path: str, parameters: Mapping[str, str], key: str) -> Iterator[bool]:
        """Count a request for as long as it is being answered; tells whether the key's day had room for it."""
        budget = "searches" if path.endswith("/search") else "units"
        with self._lock:
            self._requests.append((path, dict(parameters), key))
            counts = self._counts.setdefault(key, {"searches": 0, "units": 0})
            counts[budget] += 1
            today = counts[budget] - self._before_today.get(key, {}).get(budget, 0)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            yield today <= self._limits[budget]
        finally:
            with self._lock:
                self._in_flight -= 1

    def receive_media(self, path: str, parameters: Mapping[str, str], wanted: str) -> None:
        """Note a request of the site."""
        with self._lock:
            self._media_requests.append((path, dict(parameters), wanted))

    def new_day(self) -> None:
        """Midnight in Pacific time: every key has its whole quota again."""
        with self._lock:
            self._before_today = {key: dict(counts) for key, counts in self._counts.items()}

    @property
    def counts(self) -> Counts:
        """Requests of the API received so far, refused ones too: by key, `searches` and `units`."""
        with self._lock:
            return {key: dict(counts) for key, counts in self._counts.items()}

    @property
    def today(self) -> Counts:
        """The same since the last `new_day`."""
        before = self._before_today
        return {
            key: {budget: number - before.get(key, {}).get(budget, 0) for budget, number in counts.items()}
            for key, counts in self.counts.items()
        }

    @property
    def requests(self) -> list[tuple[str, dict[str, str], str]]:
        """Every request of the API in order: path, parameters, key."""
        with self._lock:
            return list(self._requests)

    @property
    def media_requests(self) -> list[tuple[str, dict[str, str], str]]:
        """Every request of a watch page or a file in order: path, parameters, `Range`."""
        with self._lock:
            return list(self._media_requests)
