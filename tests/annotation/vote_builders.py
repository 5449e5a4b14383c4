"""Logs of votes without a store: who chose what, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from annotation.events import Choice, Event, Kind, Nothing, Payload, Vote
from annotation.rounds import Entry

START = datetime(2026, 11, 26, 12, tzinfo=UTC)


def event(
    number: int,
    entry_id: str,
    person_id: str,
    payload: Payload,
    kind: Kind = "vote",
    seconds: float = 10.0,
    supersedes: int | None = None,
) -> Event:
    shown_at = START + timedelta(minutes=number)
    return Event(
        id=number,
        key=f"key-{number:08}",
        round_id=1,
        entry_id=entry_id,
        person_id=person_id,
        kind=kind,
        payload=payload,
        shown_at=shown_at,
        submitted_at=shown_at + timedelta(seconds=seconds),
        guideline="sha256:0",
        supersedes=supersedes,
    )


def undo(number: int, of: Event) -> Event:
    return event(number, of.entry_id, of.person_id, Nothing(), kind="undo", supersedes=of.id)


def log(votes: Mapping[str, Mapping[str, Choice]]) -> list[Event]:
    """A vote per entry and person, in that order."""
    told = [(entry_id, person, choice) for entry_id, own in votes.items() for person, choice in own.items()]
    return [event(number, entry_id, person, Vote(choice)) for number, (entry_id, person, choice) in enumerate(told, 1)]


def ordinary(entry_ids: Sequence[str]) -> dict[str, Entry]:
    """Entries that show the ad of the same name, two frames each."""
    return {each: Entry(each, f"ad-{each}", (f"ad-{each}:0", f"ad-{each}:1"), ()) for each in entry_ids}
