"""Discussions in the store: what is exported of them, for whom they wait, and that a repeat does not spoil them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from annotation.errors import NotPossibleError, SubmissionError
from annotation.events import Remark, Ruling, Stance, Vote
from annotation.interchange.argilla import argilla_records
from annotation.interchange.label_studio import label_studio_tasks
from annotation.interchange.prodigy import prodigy_tasks
from annotation.interchange.round_rows import RoundRow, round_rows
from annotation.interchange.table_files import threads_table, write_table
from annotation.outcomes import reviews
from annotation.protocol import Rule
from annotation.rounds import Entry
from annotation.store import Store
from annotation.store.people import Person
from annotation.store.round_store import Round
from annotation.threads import Contribution, contributions, newly_unread
from data_catalog.catalog import Catalog
from tests.annotation.store_builders import SHOWN, desk, entries, invite, key, open_round, verifier_desk

AGAIN = "0000000000000001"


def discussed(store: Store) -> tuple[Round, str, list[Person], Person]:
    """A round of one ad that comes twice, with its original in discussion."""
    (original,) = entries(1)
    repeat = Entry(AGAIN, original.video_id, original.frame_ids, original.comment_ids, "repeat", original.id)
    round_ = open_round(store, 1, Rule(n_reviewers=2), [repeat])
    people, (verifier,) = invite(store, "Ann", "Bob"), invite(store, "Vera", role="verifier")
    for person, choice in zip(people, ("positive", "negative"), strict=True):
        desk(store, person, round_).vote(original.id, Vote(choice), key=key(), shown_at=SHOWN)  # type: ignore[arg-type]
    return round_, original.id, people, verifier


def call(store: Store, round_: Round, verifier: Person, entry: str, remark: str = "why?") -> None:
    own = verifier_desk(store, verifier, round_)
    own.discuss(entry, Remark(remark), seen=own.entry(entry).revision, key=key(), shown_at=SHOWN)


def test_a_repeat_is_asked_of_nobody_once_its_original_was_discussed(store: Store) -> None:
    round_, original, (ann, bob), vera = discussed(store)
    desk(store, ann, round_).vote(AGAIN, Vote("negative"), key=key(), shown_at=SHOWN)
    assert [each.entry_id for each in desk(store, bob, round_).upcoming()] == [AGAIN]
    call(store, round_, vera, original)
    assert desk(store, bob, round_).upcoming() == []
    assert desk(store, bob, round_).progress().total == 1
    for person in (ann, bob):
        with pytest.raises(NotPossibleError):
            desk(store, person, round_).vote(AGAIN, Vote("positive"), key=key(), shown_at=SHOWN)
    with pytest.raises(NotPossibleError):
        desk(store, ann, round_).undo(AGAIN, key=key(), shown_at=SHOWN)
    own = verifier_desk(store, vera, round_)
    own.undo(original, seen=own.entry(original).revision, key=key(), shown_at=SHOWN)
    assert desk(store, bob, round_).upcoming() == [], "it may have been read before it was taken back"


def test_the_store_refuses_an_exclusion_without_a_reason(store: Store) -> None:
    round_, original, _, vera = discussed(store)
    call(store, round_, vera, original)
    own = verifier_desk(store, vera, round_)
    for empty in ("", " \n\t"):
        with pytest.raises(SubmissionError, match="needs a reason"):
            own.exclude(original, Remark(empty), seen=own.entry(original).revision, key=key(), shown_at=SHOWN)
    assert own.entry(original).state.state == "in_discussion"


def test_a_read_mark_never_goes_back_and_goes_with_its_ad(store: Store) -> None:
    round_, original, (ann, bob), _ = discussed(store)
    for seen in (3, 1):
        store.read_marks.set(ann.id, round_.id, original, seen)
    store.read_marks.set(bob.id, round_.id, original, 2)
    assert store.read_marks.of(ann.id, round_.id) == {original: 3}
    assert store.read_marks.of(bob.id, round_.id) == {original: 2}
    store.rounds.withdraw(["v0"])
    assert store.read_marks.of(ann.id, round_.id) == {}


def test_everybody_is_told_once_until_they_have_read(store: Store) -> None:
    round_, original, (ann, bob), vera = discussed(store)
    everybody = [ann, bob, vera, *invite(store, "Cid"), *invite(store, "Ada", role="admin")]
    seen: dict[str, int] = {}

    def told() -> list[str]:
        with store.ledger.reading(round_.id) as book:
            return [each.name for each in newly_unread(book.events[original], round_.rule, everybody, seen)]

    assert told() == [], "a vote is no word in a discussion"
    call(store, round_, vera, original, "")
    assert told() == ["Ann", "Bob"]
    desk(store, ann, round_).write(original, "the music", key=key(), shown_at=SHOWN)
    assert told() == ["Vera"], "Bob has not read what he was told of"
    seen[bob.id] = 2
    desk(store, ann, round_).take_stance(original, Stance("negative"), key=key(), shown_at=SHOWN)
    assert told() == ["Bob"]
    own = verifier_desk(store, vera, round_)
    own.settle(original, Ruling("negative"), seen=own.entry(original).revision, key=key(), shown_at=SHOWN)
    assert told() == []


def said(store: Store) -> list[Contribution]:
    """A discussion with everything in it."""
    round_, original, (ann, bob), vera = discussed(store)
    call(store, round_, vera, original)
    desk(store, ann, round_).write(original, "=the music", key=key(), shown_at=SHOWN)
    desk(store, bob, round_).write(original, "a slip", key=key(), shown_at=SHOWN)
    desk(store, bob, round_).undo(original, key=key(), shown_at=SHOWN)
    desk(store, ann, round_).take_stance(original, Stance("negative"), key=key(), shown_at=SHOWN)
    own = verifier_desk(store, vera, round_)
    own.settle(original, Ruling("negative", "all agree"), seen=own.entry(original).revision, key=key(), shown_at=SHOWN)
    names = {person.id: person.name for person in store.people.all()}
    return contributions(store.events(round_.id), store.rounds.entries(round_.id), names)


def test_messages_stances_and_outcomes_are_in_every_table(store: Store, tmp_path: Path) -> None:
    table = threads_table(said(store))
    for suffix in ("csv", "parquet", "json"):
        write_table(table, tmp_path / f"threads.{suffix}")
    rows = pq.read_table(tmp_path / "threads.parquet").to_pylist()
    told = [(row["person"], row["kind"], row["label"], row["text"]) for row in rows]
    assert told == [
        ("Vera", "discuss", None, "why?"),
        ("Ann", "message", None, "=the music"),
        ("Ann", "stance", "negative", ""),
        ("Vera", "settle", "negative", "all agree"),
    ]
    assert [each["text"] for each in json.loads((tmp_path / "threads.json").read_text("utf-8"))] == [
        text for *_, text in told
    ]
    with (tmp_path / "threads.csv").open(encoding="utf-8", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)][1] == "'=the music", "no spreadsheet runs it"
    assert [each.verdict for each in reviews(store)] == [
        "positive",
        "negative",
        "now:negative",
        "settled:negative",
    ]


def test_every_other_tools_file_holds_the_discussion(store: Store, tmp_path: Path) -> None:
    n_said = len(said(store))

    def rows(with_votes: bool = True) -> list[RoundRow]:
        return list(round_rows(store, Catalog(tmp_path / "catalog"), 1, with_votes=with_votes))

    (task, _), (record, _) = label_studio_tasks(rows(), str), argilla_records(rows(), str)
    lines = [each for each in prodigy_tasks(rows(), str) if each["meta"]["entry_id"] == entries(1)[0].id]
    told = [
        task["meta"]["discussion"],
        list(map(json.loads, record["metadata"]["discussion"])),
        *(each["discussion"] for each in lines),
    ]
    assert [len(each) for each in told] == [n_said] * (2 + len(lines))
    for thread in told:
        assert [(each["person"], each["kind"], each["label"]) for each in thread][2:] == [
            ("Ann", "stance", "negative"),
            ("Vera", "settle", "negative"),
        ]
    assert "the music" not in json.dumps(task["data"]), "annotators of Label Studio see it"
    assert [row.told for row in rows(with_votes=False)] == [{}, {}]
