"""Close a round as soon as its last entry is settled, whoever settled it and through whichever process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from annotation.errors import AnnotationError
from annotation.outcomes import round_status
from annotation.store import Store

log = logging.getLogger("ytb_ads")

EVERY_S = 2.0
"""Between two looks; one reads what is new in the log, and nothing else."""


def close_if_settled(store: Store, *, quiet_s: float = 0.0) -> int | None:
    """Close the open round if all its entries have come to their end; its number if that closed it.

    Args:
        store: where people's words are.
        quiet_s: seconds for which nothing must have been done.
    """
    current = store.rounds.current()
    if current is None:
        return None
    now = round_status(store, current.id)
    if not now.complete or (now.last_at and datetime.now(UTC) - now.last_at < timedelta(seconds=quiet_s)):
        return None
    return store.rounds.close(current.id).id


@contextmanager
def watching(
    store: Store, closed: Callable[[int], None], *, quiet_s: float, every_s: float = EVERY_S
) -> Iterator[None]:
    """Watch the store's round for as long as the block runs.

    Args:
        store: where people's words are.
        closed: called with the number of a round that was closed.
        quiet_s: seconds for which nothing must have been done: until then, the last judgement can be taken back.
        every_s: time between two looks.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            try:
                if (round_id := close_if_settled(store, quiet_s=quiet_s)) is not None:
                    closed(round_id)
            except AnnotationError as error:  # a busy or restarting database: the next look may do better
                log.warning("the round could not be looked at: %s", error)

    watcher = threading.Thread(target=watch, name="round-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(timeout=10)
