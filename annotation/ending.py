"""End of a round: when everything is judged, its pages count down; it does not close during unfinished actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from annotation.outcomes import active_reviewers
from annotation.store import Store

HANDS_S = 30.0
"""Seconds after a person's last unfinished action for which a round is not closed."""


@dataclass(frozen=True)
class Ending:
    """When an open round ends, if nothing is done."""

    complete: bool
    """Everything is judged, and all that can still be asked."""
    at: datetime | None
    """None while something is to be judged, or somebody holds the round open."""
    held_by: str | None
    """Id of whoever holds it."""
    last_event: int
    """Number of the last event that this takes into account."""


def read_ending(store: Store, round_id: int, *, quiet_s: float) -> Ending:
    """When a round ends.

    Args:
        store: where the round is.
        round_id: which round.
        quiet_s: seconds from the last thing that was done, or from the announcement, to the end.

    Raises:
        RoundError: there is no such round.
    """
    reviewers, marks = active_reviewers(store), store.endings.of(round_id)
    with store.ledger.reading(round_id) as book:
        complete = book.is_settled() and not book.repeats_due(reviewers)
        last_event = book.last
        done = [events[-1].submitted_at for events in book.events.values() if events] if complete else []
    if not complete or marks.held_by is not None:
        return Ending(complete, None, marks.held_by, last_event)
    # an import can bring in old votes as the last ones: the announcement counts, too
    announced = marks.announced_at if marks.after_event == last_event else None
    quiet_since = [*done, *(at for at in (announced, marks.held_at) if at is not None)]
    began = max(quiet_since, default=store.rounds.get(round_id).opened_at)
    at = began + timedelta(seconds=quiet_s)
    if marks.hands_at is not None:
        at = max(at, marks.hands_at + timedelta(seconds=HANDS_S))
    return Ending(complete, at, None, last_event)


def announce_ending(store: Store) -> None:
    """Begin the countdown of the open round if everything in it is judged."""
    current = store.rounds.current()
    if current is None:
        return
    end = read_ending(store, current.id, quiet_s=0.0)
    if end.complete and store.endings.of(current.id).after_event != end.last_event:
        store.endings.announce(current.id, end.last_event)
