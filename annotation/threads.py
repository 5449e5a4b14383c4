"""Discussions as threads: contributions, unread marks, and the names of participants. Pure, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from annotation.events import Event, Kind, Remark, Ruling, Stance
from annotation.protocol import EntryState, Rule, State, fold, live_events
from annotation.rounds import Entry, RoundOptions
from annotation.store.people import Person

SAID: frozenset[Kind] = frozenset({"decision", "discuss", "message", "stance", "settle", "exclude"})
"""Kinds of events that a thread's readers see; a decision opens one where verifiers decide differently."""
THREAD_STATES: tuple[State, ...] = ("in_discussion", "settled", "excluded")
"""An entry is being discussed, or was to its end."""
_THREAD: tuple[Kind, ...] = ("discuss", "message", "stance", "settle", "exclude")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True)
class Contribution:
    """One message, stance or outcome of a discussion, as exports hold it."""

    round_id: int
    entry_id: str
    video_id: str
    person: str
    """Name, or id."""
    kind: Kind
    label: str | None
    """Of a stance, which may be `uncertain`, and of the consensus."""
    text: str
    """The message, the note beside the consensus, the reason of an exclusion."""
    shown_at: datetime
    submitted_at: datetime
    guideline: str


def is_thread(state: EntryState) -> bool:
    """An entry is being discussed, or was to its end."""
    return state.state in THREAD_STATES


def takes_part(state: EntryState, person: Person) -> bool:
    """Whoever voted or spoke, and every verifier; an admin does not."""
    spoke = any(message.person_id == person.id for message in state.messages)
    return person.role == "verifier" or (person.role == "reviewer" and (person.id in state.votes or spoke))


def may_read(state: EntryState, person: Person) -> bool:
    """While it goes on every reviewer and verifier; afterwards those who took part."""
    return is_thread(state) and (state.state == "in_discussion" or takes_part(state, person))


def count_said(events: Iterable[Event]) -> int:
    """Count all contributions to a thread, taken back or not: the number only grows, so it marks a position."""
    return sum(event.kind in SAID for event in events)


def is_unread(events: Sequence[Event], person_id: str, seen: int) -> bool:
    """Whether somebody else has contributed since a person saw the first `seen` contributions."""
    live = {event.id for event in live_events(events)}
    said = [event for event in events if event.kind in SAID]
    return any(event.id in live and event.person_id != person_id for event in said[seen:])


def newly_unread(
    events: Sequence[Event], rule: Rule, people: Iterable[Person], seen: Mapping[str, int]
) -> list[Person]:
    """Those whose thread has become unread by the last event: each is told once, until they have read it.

    Args:
        events: of one entry, in their order.
        rule: of the round.
        people: who may be told.
        seen: how far each has read, by person.
    """

    def unread(of: Sequence[Event], person: Person) -> bool:
        state = fold(of, rule)
        reads = is_thread(state) and takes_part(state, person)
        return reads and is_unread(of, person.id, seen.get(person.id, 0))

    return [each for each in people if unread(events, each) and not unread(events[:-1], each)]


def pseudonym(person: Person, round_id: int, seed: int) -> str:
    """A name that stays the same in one round and says nothing but the role, such as `Reviewer 7KQ`."""
    drawn = int(hashlib.sha256(f"{seed}:{round_id}:{person.id}".encode()).hexdigest(), 16)
    letters = "".join(_LETTERS[drawn // len(_LETTERS) ** place % len(_LETTERS)] for place in range(3))
    return f"{person.role.capitalize()} {letters}"


def shown_name(person: Person, round_id: int, seed: int, options: RoundOptions) -> str:
    """The name by which the others in a discussion know a person."""
    return person.name if options.discussion_names == "names" else pseudonym(person, round_id, seed)


def contributions(
    events: Iterable[Event], entries: Mapping[str, Entry], people: Mapping[str, str]
) -> list[Contribution]:
    """Contributions to the discussions that were not taken back, in order.

    Args:
        events: a round's log, in its order.
        entries: the round's entries.
        people: names by id; whoever is not there goes by the id.
    """
    return [
        Contribution(
            round_id=event.round_id,
            entry_id=event.entry_id,
            video_id=entries[event.entry_id].video_id,
            person=people.get(event.person_id, event.person_id),
            kind=event.kind,
            label=_label(event),
            text=_text(event),
            shown_at=event.shown_at,
            submitted_at=event.submitted_at,
            guideline=event.guideline,
        )
        for event in live_events(events)
        if event.kind in _THREAD
    ]


def _label(event: Event) -> str | None:
    if isinstance(event.payload, Stance):
        return event.payload.choice
    return event.payload.label if isinstance(event.payload, Ruling) else None


def _text(event: Event) -> str:
    if isinstance(event.payload, Ruling):
        return event.payload.note
    return event.payload.text if isinstance(event.payload, Remark) else ""
