"""The training round: examples whose answers are known, judged with feedback until enough of them are right. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from annotation.events import Choice
from annotation.rounds import Entry, order_for


@dataclass(frozen=True)
class Answer:
    """A reviewer's answer to one example."""

    attempt: int
    """1 for the first time that they go through the examples."""
    example_id: str
    choice: Choice
    at: datetime


@dataclass(frozen=True)
class Standing:
    """Standing of a reviewer in their present attempt."""

    attempt: int
    right: int
    answered: int
    total: int
    needed: int
    """Right answers that let a reviewer start."""
    next_id: str | None
    """The example that comes next; None: the attempt is complete."""
    passed: bool
    """This attempt, or an earlier one, was good enough."""


def standing(examples: Sequence[Entry], answers: Iterable[Answer], share: float, *, seed: int, person: str) -> Standing:
    """A reviewer's standing; who has no examples to judge has passed.

    Args:
        examples: those of the round; answers to others, which were withdrawn since, do not count.
        answers: the reviewer's.
        share: of the answers that have to be right; an `uncertain` is not.
        seed: the round's, and
        person: whose order it is: another one in every attempt.
    """
    known = {example.id: example.known for example in examples}
    attempts: dict[int, dict[str, Choice]] = {}
    for answer in answers:
        if answer.example_id in known:
            attempts.setdefault(answer.attempt, {})[answer.example_id] = answer.choice
    needed = math.ceil(share * len(examples) - 1e-9)
    right = {
        attempt: sum(known[example_id] == choice for example_id, choice in given.items())
        for attempt, given in attempts.items()
    }
    passed = not examples or any(
        len(given) == len(examples) and right[attempt] >= needed for attempt, given in attempts.items()
    )
    now = max(attempts, default=1)
    given = attempts.get(now, {})
    order = order_for(f"{person}:{now}", seed, examples)
    return Standing(
        attempt=now,
        right=right.get(now, 0),
        answered=len(given),
        total=len(examples),
        needed=needed,
        next_id=next((example_id for example_id in order if example_id not in given), None),
        passed=passed,
    )
