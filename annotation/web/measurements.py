"""A round measured and drawn for the dashboard: once for every state of its log, however many people look."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from annotation.outcomes import PersonProgress, RoundStatus, progress, round_status
from annotation.store import Store
from data_catalog.catalog import Catalog

if TYPE_CHECKING:
    from annotation.agreement import Agreement

_KEPT = 4
"""States kept, so that a page's pictures are of the same state as its tables while people go on judging."""


@dataclass(frozen=True)
class Measured:
    """A round as it was when its log had come so far."""

    version: str
    """Names that state."""
    status: RoundStatus
    progress: list[PersonProgress]
    agreement: Agreement
    names: dict[str, str]
    """By person."""
    _drawn: dict[str, bytes] = field(default_factory=dict, repr=False)


class Measurements:
    """Measures the rounds of a store; threads share it, and whoever comes while it measures waits for the same.

    Args:
        store: where the votes are.
        catalog: labels and categories of the ads.
    """

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store, self._catalog = store, catalog
        self._measured: OrderedDict[str, Measured] = OrderedDict()
        self._lock = threading.Lock()

    def now(self, round_id: int) -> Measured:
        """A round as it stands.

        Raises:
            RoundError: there is no such round.
        """
        with self._lock:
            version = self._version(round_id)
            if version not in self._measured:
                self._measured[version] = self._measure(round_id, version)
                while len(self._measured) > _KEPT:
                    self._measured.popitem(last=False)
            return self._measured[version]

    def at(self, round_id: int, version: str) -> Measured:
        """A round as it stood at this version while that is kept; else as it stands.

        Raises:
            RoundError: there is no such round.
        """
        with self._lock:
            kept = self._measured.get(version)
        return kept if kept is not None else self.now(round_id)

    def picture(self, measured: Measured, name: str) -> bytes:
        """One of `plots.PICTURES` as PNG."""
        from annotation.plots import draw

        with self._lock:
            if name not in measured._drawn:
                measured._drawn[name] = draw(name, measured.agreement, measured.progress, measured.names)
            return measured._drawn[name]

    def _version(self, round_id: int) -> str:
        """Changes with the round's log, and with who was invited."""
        with self._store.ledger.reading(round_id) as book:
            log = (book.last, len(book.entries))
        people = [(person.id, person.name, person.revoked_at) for person in self._store.people.all()]
        return hashlib.sha256(repr((round_id, log, people)).encode("utf-8", "replace")).hexdigest()[:16]

    def _measure(self, round_id: int, version: str) -> Measured:
        # what measures and draws takes a second to load, and a server that nobody asks for it needs none of it
        from annotation.agreement_tables import read_agreement

        names = {person.id: person.name for person in self._store.people.all()}
        found = read_agreement(self._store, self._catalog, round_id)
        by_name = sorted(found.balance, key=lambda person: (names[person].casefold(), person))
        return Measured(
            version=version,
            status=round_status(self._store, round_id),
            progress=progress(self._store, round_id),
            # plots and tables go by this order
            agreement=replace(found, balance={person: found.balance[person] for person in by_name}),
            names=names,
        )
