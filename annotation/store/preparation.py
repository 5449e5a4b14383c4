"""Preparation of reviewers: read the guidelines, and answer the examples of the training round.

None of it is an event of the round, and none of it counts anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import func, insert, select

from annotation.errors import NotPossibleError, SubmissionError
from annotation.events import CHOICES, Choice
from annotation.rounds import Entry, RoundOptions
from annotation.store import schema
from annotation.store.database import Database
from annotation.store.round_store import entry_of, round_of
from annotation.training import Answer, Standing, standing

_READ = schema.acknowledged.c
_EXAMPLES = schema.training_examples.c
_ANSWERS = schema.training_answers.c


class Preparation:
    """Preparation of the people of one store; threads share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acknowledge(self, person_id: str, version: str, *, now: datetime | None = None) -> None:
        """Somebody has read the guidelines of that version; saying so again changes nothing."""
        known = (_READ.person_id == person_id, _READ.version == version)
        with self._database.write() as connection:
            if connection.execute(select(_READ.at).where(*known)).first() is None:
                row = {"person_id": person_id, "version": version, "at": now or datetime.now(UTC)}
                connection.execute(insert(schema.acknowledged).values(row))

    def has_acknowledged(self, person_id: str, version: str) -> bool:
        """Somebody has said that they read the guidelines of that version."""
        query = select(_READ.at).where(_READ.person_id == person_id, _READ.version == version)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def examples(self, round_id: int) -> list[Entry]:
        """The examples of a round's training, with their answers."""
        query = select(schema.training_examples).where(_EXAMPLES.round_id == round_id).order_by(_EXAMPLES.position)
        with self._database.read() as connection:
            return [entry_of(row) for row in connection.execute(query)]

    def count_answers(self, round_id: int) -> int:
        """Count the answers to a round's examples."""
        query = select(func.count()).where(_ANSWERS.round_id == round_id)
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def standing(self, round_id: int, person_id: str, options: RoundOptions) -> Standing:
        """Training standing of one reviewer."""
        return self.standings(round_id, [person_id], options)[person_id]

    def standings(self, round_id: int, people: Iterable[str], options: RoundOptions) -> dict[str, Standing]:
        """Training standings of these reviewers."""
        examples = self.examples(round_id)
        given: dict[str, list[Answer]] = {person_id: [] for person_id in people}
        query = select(schema.training_answers).where(_ANSWERS.round_id == round_id, _ANSWERS.person_id.in_(given))
        with self._database.read() as connection:
            for row in connection.execute(query):
                given[row.person_id].append(Answer(row.attempt, row.example_id, row.choice, row.at))
        return {
            person_id: standing(examples, answers, options.training_share, seed=round_id, person=person_id)
            for person_id, answers in given.items()
        }

    def answer(
        self,
        round_id: int,
        person_id: str,
        example_id: str,
        attempt: int,
        choice: Choice,
        options: RoundOptions,
        *,
        now: datetime | None = None,
    ) -> Choice:
        """Keep an answer, and return the one that counts: of two to the same example in one attempt, the first.

        Raises:
            SubmissionError: there is no such choice.
            NotPossibleError: the example is not asked in that attempt, or the round is closed.
        """
        if choice not in CHOICES:
            raise SubmissionError(f"choice {choice!r}; expected one of {', '.join(CHOICES)}")
        if example_id not in {example.id for example in self.examples(round_id)}:
            raise NotPossibleError("this example is not in the training (any more)")
        of_person = (_ANSWERS.round_id == round_id, _ANSWERS.person_id == person_id)
        same = (*of_person, _ANSWERS.attempt == attempt, _ANSWERS.example_id == example_id)
        current = self.standing(round_id, person_id, options)
        with self._database.write() as connection:
            given: Choice | None = connection.scalar(select(_ANSWERS.choice).where(*same))
            if given is not None:
                return given
            begun_anew = current.next_id is None and not current.passed and attempt == current.attempt + 1
            if attempt != current.attempt and not begun_anew:
                raise NotPossibleError("this attempt is over; load the page again")
            if not round_of(connection, round_id).is_open:
                raise NotPossibleError("the round is closed")
            row = {
                "round_id": round_id,
                "person_id": person_id,
                "attempt": attempt,
                "example_id": example_id,
                "choice": choice,
                "at": now or datetime.now(UTC),
            }
            connection.execute(insert(schema.training_answers).values(row))
            return choice
