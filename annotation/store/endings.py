"""Marks that decide, besides the log, when a round ends: its announcement, a hold, and unfinished actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from annotation.store import schema
from annotation.store.database import Database

_ENDS = schema.round_ends.c
_HANDS = schema.hands.c


@dataclass(frozen=True)
class EndMarks:
    """Marks of a round's end."""

    after_event: int | None = None
    """The last event when the end was announced."""
    announced_at: datetime | None = None
    held_by: str | None = None
    """Id of whoever holds the round open."""
    held_at: datetime | None = None
    """When it was last held, or let go."""
    hands_at: datetime | None = None
    """When somebody last had something in hand."""


class Endings:
    """The marks of one store's rounds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, round_id: int) -> EndMarks:
        """The marks of a round."""
        with self._database.read() as connection:
            row = connection.execute(select(schema.round_ends).where(_ENDS.round_id == round_id)).first()
            hands_at = connection.scalar(select(func.max(_HANDS.at)).where(_HANDS.round_id == round_id))
        if row is None:
            return EndMarks(hands_at=hands_at)
        return EndMarks(row.after_event, row.announced_at, row.held_by, row.held_at, hands_at)

    def announce(self, round_id: int, after_event: int, *, now: datetime | None = None) -> None:
        """Note that people are told of the end from now on."""
        self._set(round_id, after_event=after_event, announced_at=now or datetime.now(UTC))

    def hold(self, round_id: int, person_id: str, *, now: datetime | None = None) -> None:
        """Keep a round from ending by itself."""
        self._set(round_id, held_by=person_id, held_at=now or datetime.now(UTC))

    def resume(self, round_id: int, *, now: datetime | None = None) -> None:
        """Let it end after all; the time until then begins anew."""
        self._set(round_id, held_by=None, held_at=now or datetime.now(UTC))

    def has_in_hand(self, round_id: int, person_id: str, *, now: datetime | None = None) -> None:
        """Note that somebody is in the middle of something."""
        row = {"round_id": round_id, "person_id": person_id, "at": now or datetime.now(UTC)}
        with self._database.write() as connection:
            mine = (_HANDS.round_id == round_id) & (_HANDS.person_id == person_id)
            connection.execute(delete(schema.hands).where(mine))
            connection.execute(insert(schema.hands).values(row))

    def _set(self, round_id: int, **values: Any) -> None:
        with self._database.write() as connection:
            changed = connection.execute(update(schema.round_ends).where(_ENDS.round_id == round_id).values(values))
            if not changed.rowcount:
                connection.execute(insert(schema.round_ends).values(round_id=round_id, **values))
