"""The rounds of a store: opened, listed, closed; at most one is open."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from annotation.errors import RoundError
from annotation.protocol import Rule
from annotation.rounds import DrawnRound, Entry, RoundOptions
from annotation.store import schema
from annotation.store.database import Database

_ROUNDS = schema.rounds.c
_ENTRIES = schema.entries.c
_EVENTS = schema.events.c


@dataclass(frozen=True)
class Round:
    """A round that people judge, or have judged."""

    id: int
    rule: Rule
    seed: int
    n_entries: int
    opened_at: datetime
    closed_at: datetime | None
    options: RoundOptions

    @property
    def is_open(self) -> bool:
        """Votes are taken."""
        return self.closed_at is None


class Rounds:
    """The rounds of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, drawn: DrawnRound, *, now: datetime | None = None) -> Round:
        """Open a round: what it shows is frozen from here on.

        Raises:
            RoundError: another round is open, or this one is empty.
        """
        if not drawn.entries:
            raise RoundError("a round without entries: there is nothing to judge")
        row = {
            "rule": json.dumps(asdict(drawn.settings.rule)),
            "seed": drawn.settings.seed,
            "n_entries": len(drawn.entries),
            "opened_at": now or datetime.now(UTC),
            "options": json.dumps(asdict(drawn.settings.options)),
        }
        with self._database.write() as connection:
            still_open = connection.scalar(select(_ROUNDS.id).where(_ROUNDS.closed_at.is_(None)))
            if still_open is not None:
                raise RoundError(f"round {still_open} is open; close it first: ytb-ads annotate close-round")
            round_id = connection.execute(insert(schema.rounds).values(row).returning(_ROUNDS.id)).scalar_one()
            connection.execute(
                insert(schema.entries),
                [_entry_row(round_id, place, entry) for place, entry in enumerate(drawn.entries)],
            )
            if drawn.training:
                rows = [_entry_row(round_id, place, example) for place, example in enumerate(drawn.training)]
                connection.execute(insert(schema.training_examples), rows)
            return round_of(connection, round_id)

    def close(self, round_id: int, *, now: datetime | None = None, after_event: int | None = None) -> Round:
        """End a round; closing it again changes nothing.

        Args:
            round_id: which round.
            now: the moment of its end.
            after_event: leave it open where another event than this is the last by now, or somebody holds it.

        Raises:
            RoundError: there is no such round.
        """
        with self._database.write() as connection:
            if after_event is not None:
                last = connection.scalar(select(func.max(_EVENTS.id)).where(_EVENTS.round_id == round_id)) or 0
                ends = schema.round_ends.c
                held = connection.scalar(select(ends.held_by).where(ends.round_id == round_id))
                if last != after_event or held is not None:
                    return round_of(connection, round_id)
            connection.execute(
                update(schema.rounds)
                .where(_ROUNDS.id == round_id, _ROUNDS.closed_at.is_(None))
                .values(closed_at=now or datetime.now(UTC))
            )
            return round_of(connection, round_id)

    def withdraw(self, video_ids: Iterable[str], *, now: datetime | None = None) -> int:
        """Take ads out of all rounds, with everything that was said of them, for good; returns how many entries went.

        Pages that still show one are refused when they submit.
        """
        gone = 0
        with self._database.write() as connection:
            for video_id in dict.fromkeys(video_ids):
                of_ad = _ENTRIES.video_id == video_id
                found = connection.execute(select(_ENTRIES.round_id, _ENTRIES.id).where(of_ad)).all()
                for round_id, each in found:
                    row = {"round_id": round_id, "entry_id": each, "at": now or datetime.now(UTC)}
                    connection.execute(insert(schema.withdrawn).values(row))
                    connection.execute(
                        delete(schema.events).where(_EVENTS.round_id == round_id, _EVENTS.entry_id == each)
                    )
                    marks = schema.read_marks.c
                    connection.execute(
                        delete(schema.read_marks).where(marks.round_id == round_id, marks.entry_id == each)
                    )
                    fewer = {"n_entries": _ROUNDS.n_entries - 1}
                    connection.execute(update(schema.rounds).where(_ROUNDS.id == round_id).values(fewer))
                connection.execute(delete(schema.entries).where(of_ad))
                _withdraw_examples(connection, video_id)
                gone += len(found)
        self._database.empty_log()
        return gone

    def count_entries_of(self, video_id: str) -> int:
        """Count the entries that show an ad, in all rounds."""
        query = select(func.count()).where(_ENTRIES.video_id == video_id)
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def current(self) -> Round | None:
        """The round that is open."""
        return next((each for each in self.all() if each.is_open), None)

    def get(self, round_id: int) -> Round:
        """One round.

        Raises:
            RoundError: there is no such round.
        """
        with self._database.read() as connection:
            return round_of(connection, round_id)

    def all(self) -> list[Round]:
        """All rounds, the oldest first."""
        with self._database.read() as connection:
            return [_round(row) for row in connection.execute(select(schema.rounds).order_by(_ROUNDS.id))]

    def entries(self, round_id: int) -> dict[str, Entry]:
        """A round's entries by id, in the order in which they were drawn; tells repeats and gold apart."""
        with self._database.read() as connection:
            return entries_of(connection, round_id)


def round_of(connection: Connection, round_id: int) -> Round:
    """One round as this transaction sees it.

    Raises:
        RoundError: there is no such round.
    """
    row = connection.execute(select(schema.rounds).where(_ROUNDS.id == round_id)).first()
    if row is None:
        raise RoundError(f"there is no round {round_id}")
    return _round(row)


def open_round(connection: Connection) -> Round:
    """The round that is open, as this transaction sees it.

    Raises:
        RoundError: none is.
    """
    row = connection.execute(select(schema.rounds).where(_ROUNDS.closed_at.is_(None))).first()
    if row is None:
        raise RoundError("no round is open, and entries are those of a round; `ytb-ads build --review human` opens one")
    return _round(row)


def entries_of(connection: Connection, round_id: int) -> dict[str, Entry]:
    """A round's entries by id, in the order in which they were drawn, as this transaction sees them."""
    query = select(schema.entries).where(_ENTRIES.round_id == round_id).order_by(_ENTRIES.position)
    return {row.id: entry_of(row) for row in connection.execute(query)}


def _round(row: Row[Any]) -> Round:
    values = dict(row._mapping)
    rule, options = (json.loads(values.pop(name) or "{}") for name in ("rule", "options"))
    return Round(rule=Rule(**rule), options=RoundOptions(**options), **values)


def _entry_row(round_id: int, position: int, entry: Entry) -> dict[str, Any]:
    lists = {name: json.dumps(getattr(entry, name)) for name in ("frame_ids", "comment_ids")}
    return {**asdict(entry), **lists, "round_id": round_id, "position": position}


def _withdraw_examples(connection: Connection, video_id: str) -> None:
    """Remove an ad from the training of all rounds, with the answers to it."""
    examples, answers = schema.training_examples.c, schema.training_answers.c
    for row in connection.execute(select(examples.round_id, examples.id).where(examples.video_id == video_id)).all():
        given = (answers.round_id == row.round_id, answers.example_id == row.id)
        connection.execute(delete(schema.training_answers).where(*given))
    connection.execute(delete(schema.training_examples).where(examples.video_id == video_id))


def entry_of(row: Row[Any]) -> Entry:
    """An entry from its row."""
    return Entry(
        id=row.id,
        video_id=row.video_id,
        frame_ids=tuple(json.loads(row.frame_ids)),
        comment_ids=tuple(json.loads(row.comment_ids)),
        kind=row.kind,
        repeats=row.repeats,
        known=row.known,
    )
