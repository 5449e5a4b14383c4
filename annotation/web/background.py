"""A process beside the server that measures and draws rounds, so that no vote waits for a number."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING

from annotation.outcomes import PersonProgress, RoundStatus, progress, round_status
from annotation.store import Store, open_store
from data_catalog.catalog import Catalog

if TYPE_CHECKING:
    from annotation.agreement import Agreement

_NICE = 10
"""Whoever votes goes first where both want the processor."""


@dataclass(frozen=True)
class Source:
    """Source of a server's numbers: store and catalog."""

    store: str = field(repr=False)
    """May hold a password."""
    catalog: str
    storage_options: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Measured:
    """A round as it was at a moment."""

    round_id: int
    version: str
    """Names the state that was asked for."""
    at: datetime
    """When its log was read."""
    status: RoundStatus
    progress: list[PersonProgress]
    agreement: Agreement
    names: dict[str, str]
    """By person."""
    pictures: dict[str, bytes] = field(repr=False)
    """`plots.PICTURES` as SVG."""


def measure(source: Source, round_id: int, version: str) -> Measured:
    """Measure and draw a round.

    Raises:
        RoundError: there is no such round.
    """
    from annotation.agreement_tables import read_agreement
    from annotation.plots import PICTURES, draw

    store, catalog = _opened(source)
    at = datetime.now(UTC)
    names = {person.id: person.name for person in store.people.all()}
    found = read_agreement(store, catalog, round_id)
    by_name = sorted(found.balance, key=lambda person: (names[person].casefold(), person))
    # plots and tables go by this order
    found = replace(found, balance={person: found.balance[person] for person in by_name})
    everybody = progress(store, round_id)
    return Measured(
        round_id=round_id,
        version=version,
        at=at,
        status=round_status(store, round_id),
        progress=everybody,
        agreement=found,
        names=names,
        pictures={name: draw(name, found, names) for name in PICTURES},
    )


class Beside:
    """The process, begun when something is first asked of it, and anew when it was killed."""

    def __init__(self) -> None:
        self._pool: Executor | None = None
        self._lock = threading.Lock()

    def measure(self, source: Source, round_id: int, version: str) -> Future[Measured]:
        """Ask for `measure`; returns at once."""
        with self._lock:
            try:
                return self._running().submit(measure, source, round_id, version)
            except BrokenProcessPool:
                self._pool = None
                return self._running().submit(measure, source, round_id, version)

    def close(self) -> None:
        """End the process once it has done what it is at."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _running(self) -> Executor:
        if self._pool is None:
            # not forked: a copy of a server with threads may hold a lock that nobody lets go
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)
        return self._pool


BESIDE = Beside()
"""One is enough for a process, whatever it serves."""


def _begin() -> None:
    # Ctrl-C reaches every process of a terminal; the server ends this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    threading.Thread(target=_end_with_the_server, daemon=True).start()


def _end_with_the_server() -> None:
    server = parent_process()
    if server is not None:
        connection.wait([server.sentinel])
        os._exit(0)  # it was killed: nobody will ask this process for anything again


@lru_cache(maxsize=2)
def _opened(source: Source) -> tuple[Store, Catalog]:
    """Kept open: the store's book of a round is then only brought up to date."""
    store = open_store(source.store, must_exist=True)
    return store, Catalog(source.catalog, storage_options=dict(source.storage_options) or None)
