"""Small rounds, and people who judge them: in this process, or in processes of their own."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from annotation.desks import ReviewerDesk, VerifierDesk
from annotation.events import Choice, Vote
from annotation.protocol import EntryState, Rule
from annotation.rounds import DrawnRound, Entry, RoundSettings, entry_id
from annotation.store import Store, open_store
from annotation.store.people import Person
from annotation.store.round_store import Round

SHOWN = datetime(2026, 11, 26, 12, tzinfo=UTC)
GUIDELINE = "sha256:0"
ROOT = Path(__file__).resolve().parents[2]


def key() -> str:
    return secrets.token_urlsafe(16)


def entries(count: int) -> list[Entry]:
    return [Entry(entry_id(0, f"v{i}"), f"v{i}", (f"v{i}:0", f"v{i}:1"), (f"c{i}",)) for i in range(count)]


def open_round(store: Store, count: int = 1, rule: Rule | None = None, more: Sequence[Entry] = ()) -> Round:
    return store.rounds.open(DrawnRound(RoundSettings(rule=rule or Rule()), (*entries(count), *more)))


def invite(store: Store, *names: str, role: str = "reviewer") -> list[Person]:
    return [store.people.invite(name, role).person for name in names]  # type: ignore[arg-type]


def reviewers(store: Store, count: int = 5) -> list[Person]:
    return invite(store, *(f"Reviewer {number}" for number in range(count)))


def desk(store: Store, person: Person, round_: Round) -> ReviewerDesk:
    return ReviewerDesk(store, person, round_.id, GUIDELINE)


def verifier_desk(store: Store, person: Person, round_: Round) -> VerifierDesk:
    return VerifierDesk(store, person, round_.id, GUIDELINE)


def states(store: Store, round_id: int = 1) -> dict[str, EntryState]:
    """What became of every entry of a round so far, the untouched ones too."""
    with store.ledger.reading(round_id) as book:
        return {entry_id: book.state(entry_id) for entry_id in book.entries}


def vote_all(store: Store, round_: Round, people: Sequence[Person], choices: Sequence[Choice], entry: str) -> None:
    for person, choice in zip(people, choices, strict=True):
        desk(store, person, round_).vote(entry, Vote(choice), key=key(), shown_at=SHOWN)


def judge_everything(location: str, person_id: str, round_id: int, pause_s: float = 0.0) -> None:
    """What a process of its own does: judge to the end, and say of each vote on standard output that it is saved."""
    store = open_store(location)
    own = ReviewerDesk(store, store.people.get(person_id), round_id, GUIDELINE)
    while upcoming := own.upcoming(1):
        submission = key()
        own.vote(upcoming[0].entry_id, Vote("positive", note="n" * 50), key=submission, shown_at=datetime.now(UTC))
        sys.stdout.write(f"{submission} {upcoming[0].entry_id}\n")
        sys.stdout.flush()
        time.sleep(pause_s)
    store.close()


def process_that_judges(location: str, person: Person, round_: Round, pause_s: float = 0.0) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.annotation.store_builders",
        location,
        person.id,
        str(round_.id),
        str(pause_s),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


if __name__ == "__main__":
    judge_everything(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
