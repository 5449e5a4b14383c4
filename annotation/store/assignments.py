"""Assignments of a round's entries to reviewers, with deadlines; without an assignment a reviewer judges all."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from annotation.assignment import Quota, count_missing, draw_subset
from annotation.errors import AnnotationError
from annotation.protocol import by_entry, votes_that_count
from annotation.store import schema
from annotation.store.database import Database
from annotation.store.people import Person, all_people
from annotation.store.round_store import Round, entries_of, round_of
from annotation.store.schema import event_of

_ASSIGNMENTS = schema.assignments.c


@dataclass(frozen=True)
class Assignment:
    """One reviewer's part of a round."""

    entry_ids: frozenset[str] | None = None
    """Without repeats, which follow their originals; None: the whole round."""
    deadline: datetime | None = None


_WHOLE = Assignment()


class Assignments:
    """The assignments of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, round_id: int) -> dict[str, Assignment]:
        """A round's assignments, by person."""
        with self._database.read() as connection:
            return assignments_of(connection, round_id)

    def deadlines(self, round_id: int) -> dict[str, datetime]:
        """Deadlines of a round, by person, where one is set."""
        query = select(_ASSIGNMENTS.person_id, _ASSIGNMENTS.deadline).where(_ASSIGNMENTS.round_id == round_id)
        with self._database.read() as connection:
            return {row.person_id: row.deadline for row in connection.execute(query) if row.deadline is not None}

    def assign(
        self, round_id: int, quotas: Mapping[str, Quota], *, incomplete: bool = False, now: datetime | None = None
    ) -> dict[str, Assignment]:
        """Give reviewers their parts of a round, all of them or none; everybody else's stay as they are.

        Args:
            round_id: which round.
            quotas: by person.
            incomplete: take it although entries are left with too few reviewers, as others are still to come.
            now: the moment.

        Raises:
            RoundError: there is no such round, or it is closed.
            AnnotationError: somebody is no reviewer, or entries would be left with too few reviewers.
        """
        with self._database.write() as connection:
            return assign(connection, round_id, quotas, incomplete=incomplete, now=now)


def assignments_of(connection: Connection, round_id: int) -> dict[str, Assignment]:
    """A round's assignments as this transaction sees them."""
    rows = connection.execute(select(schema.assignments).where(_ASSIGNMENTS.round_id == round_id))
    return {
        row.person_id: Assignment(None if row.entry_ids is None else frozenset(json.loads(row.entry_ids)), row.deadline)
        for row in rows
    }


def assign(
    connection: Connection,
    round_id: int,
    quotas: Mapping[str, Quota],
    *,
    incomplete: bool = False,
    now: datetime | None = None,
) -> dict[str, Assignment]:
    """`Assignments.assign` in a writer's transaction."""
    now = now or datetime.now(UTC)
    round_ = round_of(connection, round_id)
    if not round_.is_open:
        raise AnnotationError(f"round {round_id} is closed; nothing in it is assigned any more")
    people = {person.id: person for person in all_people(connection) if person.role == "reviewer"}
    if strange := [person_id for person_id in quotas if person_id not in people]:
        raise AnnotationError(f"{strange[0][:40]} is no reviewer; only reviewers have entries of their own")
    drawn = _drawn(connection, round_, people, quotas, now)
    for person_id in quotas:
        of_person = (_ASSIGNMENTS.round_id == round_id) & (_ASSIGNMENTS.person_id == person_id)
        connection.execute(delete(schema.assignments).where(of_person))
        connection.execute(insert(schema.assignments).values(_row(round_id, person_id, drawn[person_id], now)))
    short, votes = _missing(connection, round_, people, now)
    if short and not incomplete and any(not each.whole for each in quotas.values()):
        raise AnnotationError(
            f"{short:,} entries would have fewer than {round_.rule.n_reviewers} reviewers, and {votes:,} votes too few "
            "in all; give out more, invite more, or say --incomplete if others are still to come"
        )
    return drawn


def _drawn(
    connection: Connection, round_: Round, people: Mapping[str, Person], quotas: Mapping[str, Quota], now: datetime
) -> dict[str, Assignment]:
    entries = _to_judge(connection, round_.id)
    judged, before = _judged(connection, round_.id), assignments_of(connection, round_.id)
    able = _able(people, before, judged, entries, now)
    held = Counter(entry_id for person_id, own in able.items() if person_id not in quotas for entry_id in own)
    drawn = {}
    for person_id in (each for each in people if each in quotas):
        quota, had = quotas[person_id], before.get(person_id, _WHOLE).entry_ids or ()
        subset = draw_subset(
            entries,
            quota.count(len(entries)),
            held=held,
            judged=judged[person_id] & set(entries),
            had=had,
            seed=round_.seed,
            person_id=person_id,
        )
        held.update(subset)
        drawn[person_id] = Assignment(None if quota.whole else frozenset(subset), quota.deadline)
    return drawn


def _missing(connection: Connection, round_: Round, people: Mapping[str, Person], now: datetime) -> tuple[int, int]:
    """Entries with too few reviewers, and the votes that they lack."""
    entries, judged = _to_judge(connection, round_.id), _judged(connection, round_.id)
    assigned = assignments_of(connection, round_.id)
    able = _able(people, assigned, judged, entries, now)
    return count_missing(dict.fromkeys(entries, round_.rule.n_reviewers), able.values())


def _able(
    people: Mapping[str, Person],
    assigned: Mapping[str, Assignment],
    judged: Mapping[str, set[str]],
    entries: Collection[str],
    now: datetime,
) -> dict[str, set[str]]:
    """By person the entries that they have judged or will judge; somebody who was shut out judges no more."""
    return {
        person_id: judged[person_id] | (_theirs(assigned.get(person_id), entries) if person.may_enter(now) else set())
        for person_id, person in people.items()
    }


def _to_judge(connection: Connection, round_id: int) -> list[str]:
    return [entry.id for entry in entries_of(connection, round_id).values() if entry.kind != "repeat"]


def _judged(connection: Connection, round_id: int) -> dict[str, set[str]]:
    """The entries with a vote that counts, by person."""
    found: dict[str, set[str]] = defaultdict(set)
    query = select(schema.events).where(schema.events.c.round_id == round_id).order_by(schema.events.c.id)
    for entry_id, log in by_entry(event_of(row) for row in connection.execute(query)).items():
        for person_id in votes_that_count(log):
            found[person_id].add(entry_id)
    return found


def _theirs(assignment: Assignment | None, entries: Collection[str]) -> set[str]:
    return set(entries) if assignment is None or assignment.entry_ids is None else set(assignment.entry_ids)


def _row(round_id: int, person_id: str, assignment: Assignment, now: datetime) -> dict[str, Any]:
    ids = None if assignment.entry_ids is None else json.dumps(sorted(assignment.entry_ids))
    return {
        "round_id": round_id,
        "person_id": person_id,
        "entry_ids": ids,
        "deadline": assignment.deadline,
        "drawn_at": now,
    }
