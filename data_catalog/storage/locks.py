"""Locks below a catalog's root: a file lock on a local disk, a lease on an object store.

A lease is an object that its holder rewrites every few seconds, each time on condition that nobody else has. Whoever
finds one that was not rewritten for a while takes it over, on the same condition. The store's clock determines how old
it is, so the clocks of two hosts may differ. Nothing is ever deleted: a lease that was given back says so.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from filelock import FileLock, Timeout

from data_catalog.errors import LockHeldError, StorageError
from data_catalog.storage.places import Place, StorePath

LEASE_S = 30.0
"""Time after which a lease that was not renewed is free."""
_LOOK_S = 1.0

log = logging.getLogger("ytb_ads")


class Held:
    """A lock that is held."""

    def check(self) -> None:
        """Check that the lock is still held, before an action that only one process may do at a time.

        Raises:
            StorageError: this process stood still for so long that another one has taken over.
        """


@contextmanager
def lock(place: Place, *, wait: bool = False, waiting: Callable[[str], None] = lambda holder: None) -> Iterator[Held]:
    """Hold the lock of that name; the lock of a process that was killed is free at once, or when its lease has run out.

    On a store nobody can tell at once whether a holder lives: without `wait`, one that renews its lease meanwhile does,
    and one that does not is waited for until the lease has run out.

    Args:
        place: the lock's file.
        wait: wait until it is free.
        waiting: told once who holds it, before it is waited for.

    Raises:
        LockHeldError: another process holds it.
        OSError: it cannot be written.
        StorageError: the store cannot be used.
    """
    if isinstance(place, StorePath):
        with _leased(place, wait, waiting) as lease:
            yield lease
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(place)
    try:
        held.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise LockHeldError(f"{place}: another process holds the lock") from None
        waiting("another process")
        held.acquire()
    try:
        yield Held()
    finally:
        held.release()


@contextmanager
def _leased(place: StorePath, wait: bool, waiting: Callable[[str], None]) -> Iterator[Held]:
    lease = _Lease(place)
    told = False
    first_seen = None
    while holder := lease.held_by():
        first_seen = first_seen or lease.seen
        if not wait and lease.seen != first_seen:
            raise LockHeldError(f"{place}: {holder} holds the lock, and is at work")
        if not told:
            waiting(holder)
            told = True
        time.sleep(_LOOK_S)
    renewing = threading.Thread(target=lease.renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        lease.ended.set()
        renewing.join()
        lease.give_back()


class _Lease(Held):
    def __init__(self, place: StorePath) -> None:
        self.ended = threading.Event()
        self._place = place
        self._me = f"{socket.gethostname()}, process {os.getpid()}"
        self._id = uuid.uuid4().hex
        self._term = 0
        self._tag: str | None = None
        self.seen: str | None = None
        """Tag of the lease of another holder, when it was last looked at."""
        self._valid_until = 0.0

    def check(self) -> None:
        if self._tag is None or time.monotonic() > self._valid_until:
            raise StorageError(
                f"{self._place}: this process lost its lease, as it stood still or met no server for {LEASE_S:.0f} s; "
                "another one may be at work, run again"
            )

    def held_by(self) -> str | None:
        """Take the lease if it is free; who holds it, if it is not."""
        if self._write(None):
            return None
        found = self._place.head()
        if found is None:
            return self.held_by()
        self.seen = found["e_tag"]
        record = json.loads(self._place.read_bytes())
        if not record.get("released") and self._age_s(found["last_modified"]) <= LEASE_S:
            return str(record["holder"])
        return None if self._write(found["e_tag"]) else str(record["holder"])

    def renew(self) -> None:
        """Rewrite it until it ends or is another's."""
        while self._tag is not None and not self.ended.wait(LEASE_S / 3):
            try:
                if not self._write(self._tag):
                    self._tag = None
                    log.warning("%s: the lease was taken over by another process", self._place)
            except StorageError as error:
                log.warning("the lease cannot be renewed: %s", error)

    def give_back(self) -> None:
        """Say that it is free; a store that cannot be reached hears it by the lease's end."""
        if self._tag is None:
            return
        try:
            self._write(self._tag, released=True)
        except StorageError as error:
            log.warning("the lease ends by itself in %.0f s: %s", LEASE_S, error)

    def _write(self, instead_of: str | None, *, released: bool = False) -> bool:
        """Write it as mine, if it is still the one with that tag."""
        started = time.monotonic()
        # the term makes every record another one: stores tag equal bytes equally
        self._term += 1
        record = {"holder": self._me, "id": self._id, "term": self._term, "released": released}
        data = json.dumps(record).encode()
        tag = self._place.put(data, only=instead_of)
        if tag is None and (found := self._place.head()) and self._place.read_bytes() == data:
            tag = found["e_tag"]  # written, but the answer was lost and the request repeated
        if tag is None:
            return False
        self._tag, self._valid_until = tag, started + LEASE_S
        return True

    def _age_s(self, written: datetime) -> float:
        clock = self._place.parent / f"{self._place.name}.clock"
        clock.write_bytes(self._id.encode())
        now = clock.head()
        return (now["last_modified"] - written).total_seconds() if now else 0.0
