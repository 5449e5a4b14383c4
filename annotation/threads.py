"""What was said in a discussion, with the names of those who said it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from annotation.protocol import Message, Role
from annotation.store.people import Person


@dataclass(frozen=True)
class Said:
    """One message as a page shows it."""

    name: str
    role: Role
    text: str
    at: datetime
    own: bool
    """By whoever looks."""


def said(messages: Iterable[Message], people: Mapping[str, Person], own: str) -> tuple[Said, ...]:
    """Messages with names, in the order in which they were written."""
    return tuple(
        Said(
            name=people[message.person_id].name,
            role=people[message.person_id].role,
            text=message.text,
            at=message.at,
            own=message.person_id == own,
        )
        for message in messages
    )
