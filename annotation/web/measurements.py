"""The newest numbers of a round: computed beside the server, once for every state that somebody looks at."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

from annotation.store import Store
from annotation.web.background import Measured, Source

log = logging.getLogger("ytb_ads")

_KEPT = 4
"""Versions kept, so that a page's pictures are of the same state as its tables while newer ones are computed."""


class Measuring(Protocol):
    """Who computes; `Beside` in a server."""

    def measure(self, source: Source, round_id: int, version: str) -> Future[Measured]:
        """Begin to measure a round."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of a round that are available at the time of a request."""

    measured: Measured | None = None
    """None: nothing was computed yet."""
    behind: bool = False
    """Something was done since, and newer numbers are being computed."""
    failed: str = ""
    """Reason why the latest numbers could not be computed."""


class Measurements:
    """The rounds of a store in numbers; threads share it.

    Args:
        store: where the votes are.
        source: the same store and the catalog, for the process that computes.
        measuring: computes.
    """

    def __init__(self, store: Store, source: Source, measuring: Measuring) -> None:
        self._store, self._source, self._measuring = store, source, measuring
        self._newest: dict[int, Numbers] = {}
        self._under_way: dict[int, Future[Measured]] = {}
        self._kept: OrderedDict[str, Measured] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, round_id: int) -> Numbers:
        """The newest numbers, at once; newer ones are asked for if anything was done since.

        Raises:
            RoundError: there is no such round.
        """
        version = self._version(round_id)
        with self._lock:
            known = self._newest.get(round_id, Numbers())
            if known.measured is not None and known.measured.version == version:
                return known
            if round_id in self._under_way:
                return replace(known, behind=True)
            future = self._under_way[round_id] = self._measuring.measure(self._source, round_id, version)
        # outside of the lock: of a future that is done already the callback runs here
        future.add_done_callback(lambda done: self._take(round_id, done))
        return replace(known, behind=True)

    def peek(self, round_id: int) -> Numbers:
        """Available numbers of a round, without requesting newer ones."""
        with self._lock:
            known = self._newest.get(round_id, Numbers())
            return replace(known, behind=round_id in self._under_way)

    def wait(self, round_id: int, timeout_s: float = 60.0) -> Measured:
        """The numbers of a round as it stands.

        Raises:
            RoundError: there is no such round.
            TimeoutError: they take longer.
        """
        while (numbers := self.look(round_id)).behind or numbers.measured is None:
            with self._lock:
                future = self._under_way.get(round_id)
            if future is not None:
                future.result(timeout_s)
        return numbers.measured

    def at(self, round_id: int, version: str) -> Measured | None:
        """A round as it stood at this version while that is kept; else the newest numbers, if there are any."""
        with self._lock:
            return self._kept.get(version) or self._newest.get(round_id, Numbers()).measured

    def _take(self, round_id: int, future: Future[Measured]) -> None:
        """Keep what was computed, or why it could not be."""
        with self._lock:
            if self._under_way.get(round_id) is not future:
                return
            del self._under_way[round_id]
            if future.cancelled():
                return
            if (error := future.exception()) is not None:
                log.warning("round %d could not be measured: %s", round_id, error)
                known = self._newest.get(round_id, Numbers())
                self._newest[round_id] = replace(known, failed=f"{type(error).__name__}: {error}"[:300])
                return
            measured = future.result()
            self._newest[round_id] = Numbers(measured)
            self._kept[measured.version] = measured
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def _version(self, round_id: int) -> str:
        """Changes with the round's log, its parts for its people, its training, and who was invited."""
        with self._store.ledger.reading(round_id) as book:
            state = (book.last, len(book.entries), sorted(book.drawn_at.items()))
        people = [(person.id, person.name, person.revoked_at, person.level) for person in self._store.people.all()]
        trained = self._store.preparation.count_answers(round_id)
        return hashlib.sha256(repr((round_id, state, trained, people)).encode("utf-8", "replace")).hexdigest()[:16]
