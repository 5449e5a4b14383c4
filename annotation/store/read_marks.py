"""Read positions of people in discussions: kept in the store, so that they apply on all their devices."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from annotation.store import schema
from annotation.store.database import Database

_MARKS = schema.read_marks.c


class ReadMarks:
    """The read marks of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, person_id: str, round_id: int) -> dict[str, int]:
        """Number of contributions that a person has seen in each discussion, by entry; unopened ones are left out."""
        query = select(_MARKS.entry_id, _MARKS.seen).where(_MARKS.person_id == person_id, _MARKS.round_id == round_id)
        with self._database.read() as connection:
            return {row.entry_id: row.seen for row in connection.execute(query)}

    def set(self, person_id: str, round_id: int, entry_id: str, seen: int) -> None:
        """Remember that a person has seen so many; a page that is behind another one takes nothing back."""
        mark = (_MARKS.person_id == person_id) & (_MARKS.round_id == round_id) & (_MARKS.entry_id == entry_id)
        with self._database.write() as connection:
            before = connection.scalar(select(_MARKS.seen).where(mark))
            if before is None:
                row = {"person_id": person_id, "round_id": round_id, "entry_id": entry_id, "seen": seen}
                connection.execute(insert(schema.read_marks).values(row))
            elif seen > before:
                connection.execute(update(schema.read_marks).where(mark).values(seen=seen))
