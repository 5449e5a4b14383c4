"""A reviewer's vote outside the store: one row, whatever the file's format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from annotation.events import Event, Vote
from annotation.protocol import live_events
from annotation.rounds import Entry


@dataclass(frozen=True)
class Judgement:
    """One reviewer's vote that counts, with where it came from."""

    round_id: int | None
    """None: the file does not say."""
    entry_id: str
    video_id: str
    reviewer: str
    """Name, or id."""
    vote: Vote
    shown_at: datetime
    submitted_at: datetime
    guideline: str
    line: int = 0
    """Where in the file it stood: line of a CSV, row of a Parquet file, task of a Label Studio file; 0 of the store."""


@dataclass(frozen=True)
class Refused:
    """A row that was not taken, and why."""

    line: int
    reason: str


def judgements(events: Iterable[Event], entries: Mapping[str, Entry], people: Mapping[str, str]) -> Iterator[Judgement]:
    """The votes that count, entry by entry.

    Args:
        events: a round's log, in its order.
        entries: the round's entries.
        people: names by id; whoever is not there goes by the id.
    """
    of_entry: dict[str, list[Event]] = {}
    for event in events:
        of_entry.setdefault(event.entry_id, []).append(event)
    for entry_id, log in of_entry.items():
        for event in {event.person_id: event for event in live_events(log) if event.kind == "vote"}.values():
            if isinstance(event.payload, Vote):
                yield Judgement(
                    round_id=event.round_id,
                    entry_id=entry_id,
                    video_id=entries[entry_id].video_id,
                    reviewer=people.get(event.person_id, event.person_id),
                    vote=event.payload,
                    shown_at=event.shown_at,
                    submitted_at=event.submitted_at,
                    guideline=event.guideline,
                )
