"""Waiting times of reviewers: 6 people judge a round of 5,000 entries at once, in threads as the page serves them.

    python -m benchmarks.annotation [--entries 5000] [--people 6] [--votes 100] [--pause 0.1] [--store FILE|URL]

Before the clock starts, every reviewer has judged half of the round.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import insert

from annotation.desks import ReviewerDesk, VerifierDesk
from annotation.events import Choice, Vote, dump
from annotation.protocol import Rule
from annotation.rounds import DrawnRound, Entry, RoundSettings, entry_id, order_for
from annotation.store import Store, open_store, schema
from annotation.store.database import Database
from annotation.store.people import Person
from annotation.store.round_store import Round

CHOICES: tuple[Choice, ...] = ("positive", "positive", "negative")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--votes", type=int, default=100, help="by each person, while the others vote too")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds that a person thinks about a vote")
    parser.add_argument("--store", help="default: a new SQLite file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(
            asked.store or str(Path(folder) / "store.sqlite3"), asked.entries, asked.people, asked.votes, asked.pause
        )


def measure(location: str, n_entries: int, n_people: int, votes: int, pause_s: float) -> None:
    """Judge half of the round, let all reviewers vote at once, and read the verifier's queue."""
    store = open_store(location)
    shown = [Entry(entry_id(0, f"v{n}"), f"v{n}", tuple(f"v{n}:{i}" for i in range(5)), ()) for n in range(n_entries)]
    round_ = store.rounds.open(DrawnRound(RoundSettings(Rule(n_reviewers=n_people)), tuple(shown)))
    people = [store.people.invite(f"Reviewer {secrets.token_hex(4)}", "reviewer").person for _ in range(n_people)]
    verifier = store.people.invite(f"Verifier {secrets.token_hex(4)}", "verifier").person
    fill(location, round_, people, shown)
    began = time.perf_counter()
    desk = VerifierDesk(store, verifier, round_.id, "g")
    waiting = len(desk.queue())
    say("first look, everything folded", [time.perf_counter() - began])
    with ThreadPoolExecutor(n_people) as threads:
        runs = list(threads.map(lambda person: judge(store, person, round_, votes, pause_s), people))
    say("next entry and the one after", [each for run in runs for each in run[0]])
    say("submit, until it is on the disk", [each for run in runs for each in run[1]])
    say("progress of one person", [each for run in runs for each in run[2]])
    queue = []
    for _ in range(20):
        began = time.perf_counter()
        desk.queue(limit=20)
        queue.append(time.perf_counter() - began)
    say(f"verifier's queue, 20 of {waiting}", queue)
    kept = len(store.events(round_.id)) - n_people * (n_entries // 2)
    print(f"{kept} of {n_people * votes} votes kept")


def judge(
    store: Store, person: Person, round_: Round, votes: int, pause_s: float
) -> tuple[list[float], list[float], list[float]]:
    """Vote repeatedly; return the seconds of looking, submitting and counting."""
    desk = ReviewerDesk(store, person, round_.id, "g")
    marks: tuple[list[float], list[float], list[float]] = ([], [], [])
    for number in range(votes):
        began = time.perf_counter()
        entry = desk.upcoming()[0]
        looked = time.perf_counter()
        vote = Vote(CHOICES[number % len(CHOICES)], "a note")
        desk.vote(entry.entry_id, vote, key=secrets.token_urlsafe(16), shown_at=datetime.now(UTC))
        voted = time.perf_counter()
        desk.progress()
        for times, seconds in zip(marks, (looked - began, voted - looked, time.perf_counter() - voted), strict=True):
            times.append(seconds)
        time.sleep(pause_s)
    return marks


def fill(location: str, round_: Round, people: list[Person], shown: list[Entry]) -> None:
    """Write half of all votes in one transaction, so that a used store is measured."""
    now = datetime.now(UTC)
    rows = [
        {
            "key": secrets.token_urlsafe(16),
            "round_id": round_.id,
            "entry_id": each,
            "person_id": person.id,
            "kind": "vote",
            "payload": dump(Vote(CHOICES[place % len(CHOICES)])),
            "shown_at": now,
            "submitted_at": now,
            "guideline": "g",
        }
        for person in people
        for place, each in enumerate(order_for(person.id, round_.seed, shown)[: len(shown) // 2])
    ]
    database = Database(location)
    with database.write() as connection:
        connection.execute(insert(schema.events), rows)
    database.close()


def say(what: str, seconds: list[float]) -> None:
    """Print one line of figures."""
    most = f", 95 % below {quantiles(seconds, n=20)[-1] * 1000:.1f} ms" if len(seconds) > 1 else ""
    print(f"{what}: median {median(seconds) * 1000:.1f} ms{most}")


if __name__ == "__main__":
    main()
