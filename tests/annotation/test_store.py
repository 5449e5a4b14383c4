"""The log of events: nothing lost, nothing twice, nothing changed; on SQLite, and on PostgreSQL where there is one."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.engine import Engine

from annotation import outcomes
from annotation.desks import ReviewerDesk, VerifierDesk
from annotation.errors import (
    AccessError,
    KeyReusedError,
    NotPossibleError,
    OutdatedError,
    RoleError,
    RoundClosedError,
    StoreError,
    SubmissionError,
)
from annotation.events import Choice, Event, Remark, Ruling, Vote
from annotation.protocol import EntryState, Rule, by_entry, fold, live_events
from annotation.rounds import Entry, entry_id
from annotation.store import Store, open_store, schema
from annotation.store.database import Database
from tests.annotation.store_builders import (
    GUIDELINE,
    SHOWN,
    desk,
    entries,
    invite,
    key,
    open_round,
    process_that_judges,
    reviewers,
    states,
    verifier_desk,
    vote_all,
)

SPLIT: list[Choice] = ["positive", "positive", "uncertain", "negative", "negative"]
FIRST = entries(1)[0].id


def folded(log: list[Event], rule: Rule) -> dict[str, EntryState]:
    return {entry: fold(events, rule) for entry, events in by_entry(log).items()}


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every SQL statement that is run, in capitals."""
    noted: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        noted.append(statement.upper())

    event.listen(Engine, "before_cursor_execute", note)
    yield noted
    event.remove(Engine, "before_cursor_execute", note)


def test_an_entry_goes_all_the_way_and_no_event_is_updated_or_deleted(store: Store, statements: list[str]) -> None:
    people, verifier = reviewers(store), invite(store, "Vera", role="verifier")[0]
    round_ = open_round(store, count=2)
    vote_all(store, round_, people, SPLIT, FIRST)
    vote_all(store, round_, people, ["negative"] * 5, entries(2)[1].id)
    judge = verifier_desk(store, verifier, round_)
    waiting = judge.queue()[0]
    assert [each.vote.choice for each in waiting.votes] == SPLIT
    judge.discuss(FIRST, Remark("irony?"), seen=waiting.revision, key=key(), shown_at=SHOWN)
    desk(store, people[0], round_).write(FIRST, "I think so", key=key(), shown_at=SHOWN)
    discussed = judge.entry(judge.discussions()[0].entry_id)
    assert [(said.name, said.text) for said in discussed.messages] == [("Vera", "irony?"), ("Reviewer 0", "I think so")]
    assert not outcomes.round_status(store, round_.id).complete
    judge.settle(FIRST, Ruling("negative", "irony"), seen=discussed.revision, key=key(), shown_at=SHOWN)
    assert outcomes.round_status(store, round_.id).complete
    found = {verdict.video_id: verdict.decision for verdict in outcomes.verdicts(store)}
    assert {video: decision and (decision.label, decision.decided_by) for video, decision in found.items()} == {
        "v0": ("negative", "discussion"),
        "v1": ("negative", "reviewers"),
    }
    assert {review.verdict for review in outcomes.reviews(store) if review.video_id == "v0"} == {
        "positive",
        "negative",
        "uncertain",
        "settled:negative",
    }
    store.rounds.close(round_.id)
    assert {each.split()[0] for each in statements if "EVENTS" in each} == {"INSERT", "SELECT"}


def test_a_submission_sent_again_is_stored_once_and_answered_the_same(store: Store) -> None:
    person, round_ = reviewers(store, 1)[0], open_round(store)
    own, same = desk(store, person, round_), key()
    first = own.vote(FIRST, Vote("positive", "x\x00y"), key=same, shown_at=SHOWN)
    assert own.vote(FIRST, Vote("positive", "x\x00y"), key=same, shown_at=SHOWN) == first
    store.rounds.close(round_.id)
    assert own.vote(FIRST, Vote("positive", "x\x00y"), key=same, shown_at=SHOWN) == first, "also after the end"
    with pytest.raises(KeyReusedError, match="draw a key for each"):
        own.vote(FIRST, Vote("negative"), key=same, shown_at=SHOWN)
    with pytest.raises(RoundClosedError, match="closed"):
        own.vote(FIRST, Vote("positive"), key=key(), shown_at=SHOWN)
    assert len(store.events(round_.id)) == 1


def test_the_same_submission_from_many_threads_is_stored_once(store: Store) -> None:
    person, round_ = reviewers(store, 1)[0], open_round(store)
    own, same = desk(store, person, round_), key()
    together = threading.Barrier(8)

    def send(_: int) -> object:
        together.wait()
        return own.vote(FIRST, Vote("positive"), key=same, shown_at=SHOWN)

    with ThreadPoolExecutor(8) as threads:
        receipts = set(threads.map(send, range(8)))
    assert len(receipts) == len(store.events(round_.id)) == 1


def test_of_two_tabs_the_later_vote_counts_and_both_are_kept(store: Store) -> None:
    person, round_ = reviewers(store, 1)[0], open_round(store, rule=Rule(n_reviewers=1))
    for choice in ("positive", "negative"):
        desk(store, person, round_).vote(FIRST, Vote(choice), key=key(), shown_at=SHOWN)
    first, second = store.events(round_.id)
    assert (first.supersedes, second.supersedes) == (None, first.id)
    assert states(store, round_.id)[FIRST].label == "negative"


def test_an_undo_gives_back_the_state_before_and_keeps_what_was_undone(store: Store) -> None:
    people, round_ = reviewers(store), open_round(store)
    vote_all(store, round_, people[:4], ["positive"] * 4, FIRST)
    before = states(store, round_.id)
    own = desk(store, people[4], round_)
    entry = own.entry(FIRST)
    own.vote(FIRST, Vote("positive"), key=key(), shown_at=SHOWN)
    assert states(store, round_.id)[FIRST].state == "agreed"
    assert own.last_judged() == FIRST
    own.undo(FIRST, key=key(), shown_at=SHOWN)
    assert states(store, round_.id) == before
    assert own.entry(FIRST) == entry
    assert [each.entry_id for each in own.upcoming()] == [FIRST], "it comes again at once"
    assert len(store.events(round_.id)) == 6
    with pytest.raises(NotPossibleError, match="nothing of yours to take back"):
        own.undo(FIRST, key=key(), shown_at=SHOWN)


def test_a_verifier_does_not_decide_on_what_has_changed_meanwhile(store: Store) -> None:
    people, verifier = reviewers(store), invite(store, "Vera", role="verifier")[0]
    round_ = open_round(store)
    vote_all(store, round_, people, SPLIT, FIRST)
    judge = verifier_desk(store, verifier, round_)
    shown = judge.entry(FIRST)
    own = desk(store, people[2], round_)
    own.vote(FIRST, Vote("uncertain", "sorry: I mean it"), key=key(), shown_at=SHOWN)
    with pytest.raises(OutdatedError, match="look at it again"):
        judge.decide(FIRST, Ruling("positive"), seen=shown.revision, key=key(), shown_at=SHOWN)
    assert judge.entry(FIRST).state.state == "needs_verifier"
    judge.decide(FIRST, Ruling("positive"), seen=judge.entry(FIRST).revision, key=key(), shown_at=SHOWN)
    with pytest.raises(NotPossibleError):
        own.undo(FIRST, key=key(), shown_at=SHOWN)
    assert judge.last_acted() == FIRST
    judge.undo(FIRST, seen=judge.entry(FIRST).revision, key=key(), shown_at=SHOWN)
    assert [entry.entry_id for entry in judge.queue()] == [FIRST]


def test_processes_that_judge_at_once_lose_nothing_and_a_reader_misses_nothing(location: str) -> None:
    """Numbers of events that became visible out of order would be skipped for ever by whoever follows the log."""
    store = open_store(location)
    people, count = reviewers(store, 4), 15
    round_ = open_round(store, count=count, rule=Rule(n_reviewers=len(people)))
    running = [process_that_judges(location, person, round_) for person in people]
    while any(process.poll() is None for process in running):
        states(store, round_.id)
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * len(people), [errors for _, errors in said]
    acknowledged = {line.split()[0] for output, _ in said for line in output.splitlines()}
    log = store.events(round_.id)
    assert len(acknowledged) == len(people) * count
    assert {each.key for each in log} == acknowledged
    assert {each.state for each in states(store, round_.id).values()} == {"agreed"}
    assert states(store, round_.id) == folded(log, round_.rule), "what is kept in memory has missed nothing"
    store.close()


def test_a_process_killed_between_votes_loses_nothing_it_acknowledged(location: str) -> None:
    store = open_store(location)
    person, round_ = reviewers(store, 1)[0], open_round(store, count=400)
    process = process_that_judges(location, person, round_, pause_s=0.002)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(20)]
    process.kill()
    # not communicate(): it would pass over what readline() has read ahead
    said += process.stdout.readlines()
    process.communicate()
    acknowledged = [line.split()[0] for line in said if line.endswith("\n")]
    stored = [each.key for each in store.events(round_.id)]
    # a vote that was stored when the kill came may not have been acknowledged yet, never the other way round
    assert stored[: len(acknowledged)] == acknowledged
    assert len(stored) - len(acknowledged) in (0, 1)
    assert len(stored) < 400, "it was killed on its way"
    own = desk(store, person, round_)
    assert own.progress().done == len(stored)
    own.vote(own.upcoming()[0].entry_id, Vote("positive"), key=key(), shown_at=SHOWN)
    store.close()


def test_no_more_votes_are_taken_than_the_rule_asks_for(store: Store) -> None:
    people, round_ = reviewers(store, 6), open_round(store)
    together = threading.Barrier(6)

    def judge(number: int) -> bool:
        own = desk(store, people[number], round_)
        together.wait()
        try:
            own.vote(FIRST, Vote("positive"), key=key(), shown_at=SHOWN)
        except NotPossibleError:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(judge, range(6))) == 5
    assert len(store.events(round_.id)) == 5


def test_what_is_malformed_is_refused_and_nothing_of_it_stored(store: Store) -> None:
    person, round_ = reviewers(store, 1)[0], open_round(store)
    own = desk(store, person, round_)
    with pytest.raises(SubmissionError, match="no frame 'v9:0'"):
        own.vote(FIRST, Vote("positive", excluded_frames=("v9:0",)), key=key(), shown_at=SHOWN)
    with pytest.raises(SubmissionError, match="time zone"):
        own.vote(FIRST, Vote("positive"), key=key(), shown_at=datetime(2026, 11, 26))  # noqa: DTZ001
    for bad in ("short", "x" * 65, "semi;colon;", "nul\x00nul\x00", "\ud800" * 10):
        with pytest.raises(SubmissionError, match="8 to 64 letters"):
            own.vote(FIRST, Vote("positive"), key=bad, shown_at=SHOWN)
    for unknown in ("", "0" * 16, "\x00", "\ud800", "x" * 100_000):
        with pytest.raises(NotPossibleError, match="has no entry"):
            own.vote(unknown, Vote("positive"), key=key(), shown_at=SHOWN)
    assert store.events(round_.id) == []


def test_hostile_notes_come_back_as_they_can_be_kept(store: Store) -> None:
    person, round_ = reviewers(store, 1)[0], open_round(store)
    note = "\u202e<script>alert('x')</script>\x00\ud800 \U0001f600 ' ; DROP TABLE events; --"
    desk(store, person, round_).vote(FIRST, Vote("uncertain", note), key=key(), shown_at=SHOWN)
    kept = states(store, round_.id)[FIRST].votes[person.id].note
    assert kept == note.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


def test_roles_are_checked_and_whoever_was_shut_out_stays_out(store: Store) -> None:
    reviewer, verifier = reviewers(store, 1)[0], invite(store, "Vera", role="verifier")[0]
    round_ = open_round(store)
    with pytest.raises(RoleError, match="for the role verifier"):
        verifier_desk(store, reviewer, round_)
    with pytest.raises(RoleError, match="for the role reviewer"):
        desk(store, verifier, round_)
    own = desk(store, reviewer, round_)
    store.people.revoke(reviewer.id)
    with pytest.raises(AccessError):
        own.vote(FIRST, Vote("positive"), key=key(), shown_at=SHOWN)
    assert store.events(round_.id) == []


def test_a_reviewers_desk_is_the_same_whatever_the_others_voted(store: Store) -> None:
    people = reviewers(store)
    verifier = invite(store, "Vera", role="verifier")[0]
    shown = []
    for choices in (["positive"] * 4, ["uncertain", "negative", "positive", "negative"], []):
        round_ = open_round(store, count=3)
        for entry in entries(3):
            vote_all(store, round_, people[: len(choices)], choices, entry.id)  # type: ignore[arg-type]
        own = desk(store, people[4], round_)
        own.vote(own.upcoming()[0].entry_id, Vote("positive"), key=key(), shown_at=datetime.now(UTC))
        progress = own.progress()
        of_any_round = [replace(each, round_id=0) for each in [*own.upcoming(), *(own.entry(e.id) for e in entries(3))]]
        shown.append((of_any_round, own.discussions(), (progress.done, progress.total)))
        store.rounds.close(round_.id)
    assert shown[0] == shown[1] == shown[2]
    assert verifier.role == "verifier"
    assert not {"state", "votes", "kind", "known", "repeats", "label"} & _fields_within(shown[0])


def test_repeats_and_gold_look_like_all_others_and_repeats_settle_nothing(store: Store) -> None:
    first = entries(1)[0]
    again = Entry(entry_id(0, "v0", again=True), "v0", first.frame_ids, first.comment_ids, "repeat", first.id)
    gold = Entry(entry_id(0, "g"), "g", ("g:0",), (), "gold", None, "positive")
    person, verifier = reviewers(store, 1)[0], invite(store, "Vera", role="verifier")[0]
    round_ = open_round(store, rule=Rule(n_reviewers=1), more=(again, gold))
    own, judge = desk(store, person, round_), verifier_desk(store, verifier, round_)
    assert own.progress().total == 3
    while upcoming := own.upcoming(1):
        own.vote(upcoming[0].entry_id, Vote("uncertain"), key=key(), shown_at=SHOWN)
    assert {entry.entry_id for entry in judge.queue()} == {first.id, gold.id}
    with pytest.raises(NotPossibleError, match="once more"):
        judge.decide(again.id, Ruling("positive"), seen=0, key=key(), shown_at=SHOWN)
    for entry in judge.queue():
        judge.decide(entry.entry_id, Ruling("negative"), seen=entry.revision, key=key(), shown_at=SHOWN)
    assert outcomes.round_status(store, round_.id).complete
    assert {verdict.entry_id for verdict in outcomes.verdicts(store)} == {first.id, gold.id}
    assert {review.video_id for review in outcomes.reviews(store)} == {"v0", "g"}
    assert len(outcomes.reviews(store)) == 4
    assert store.rounds.entries(round_.id)[gold.id] == gold


def test_progress_counts_what_was_done_and_leaves_pauses_out(store: Store) -> None:
    people, round_ = reviewers(store, 2), open_round(store, count=3)
    own = desk(store, people[0], round_)
    now = datetime.now(UTC)
    own.vote(own.upcoming()[0].entry_id, Vote("positive"), key=key(), shown_at=now)
    own.vote(own.upcoming()[0].entry_id, Vote("positive"), key=key(), shown_at=SHOWN.replace(year=2020))
    progress = own.progress()
    assert (progress.done, progress.total) == (2, 3)
    assert progress.median_s is not None
    assert progress.median_s < 60, "the vote of years is a pause"
    by_person = {each.person.id: (each.done, each.total) for each in outcomes.progress(store, round_.id)}
    assert by_person == {people[0].id: (2, 3), people[1].id: (0, 3)}


def test_a_store_is_found_again_by_another_process_with_all_that_was_in_it(location: str) -> None:
    store = open_store(location)
    people, round_ = reviewers(store), open_round(store)
    vote_all(store, round_, people, SPLIT, FIRST)
    before, log = states(store, round_.id), store.events(round_.id)
    store.close()
    again = open_store(location, must_exist=True)
    assert (states(again, round_.id), again.events(round_.id)) == (before, log)
    assert log[0].submitted_at.tzinfo is not None
    assert [each.guideline for each in live_events(log)] == [GUIDELINE] * 5
    again.close()


def test_opening_a_new_store_from_many_threads_makes_it_once(location: str) -> None:
    together = threading.Barrier(6)

    def open_it(_: int) -> None:
        together.wait()
        open_store(location).close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(open_it, range(6)))
    database = Database(location)
    with database.read() as connection:
        assert list(connection.scalars(select(schema.versions.c.version))) == [schema.VERSION]
    database.close()


def test_opening_a_store_again_does_not_take_the_first_ones_lock_away(tmp_path: Path) -> None:
    """Whoever closes a plain handle on the file takes SQLite's locks of the whole process away: another process

    then believes that it is the last one, and throws the log away that the first still reads.
    """
    location = str(tmp_path / "store.sqlite3")
    store = open_store(location)
    person, round_ = reviewers(store, 1)[0], open_round(store, count=5)
    log = tmp_path / "store.sqlite3-wal"
    before = log.stat().st_ino
    open_store(location).close()
    process = process_that_judges(location, person, round_)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert log.stat().st_ino == before
    assert len(store.events(round_.id)) == 5
    store.close()


def test_a_store_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no annotation here"):
        open_store(tmp_path / "missing.sqlite3", must_exist=True)
    assert not (tmp_path / "missing.sqlite3").exists()
    (tmp_path / "text").write_text("not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match=r"text: cannot be opened .*not a database"):
        open_store(tmp_path / "text")
    with pytest.raises(StoreError, match="mysql: no database that the annotation knows"):
        open_store("mysql://localhost/x")
    for url in ("postgresql://me:hush-hush@127.0.0.1:1/none", "postgresql://me:hush-hush@[::1/none"):
        with pytest.raises(StoreError) as refused:
            open_store(url)
        assert "hush-hush" not in str(refused.value)


def test_a_store_of_another_version_is_left_alone(location: str) -> None:
    open_store(location).close()
    database = Database(location)
    with database.write() as connection:
        connection.execute(update(schema.versions).values(version=99))
    database.close()
    with pytest.raises(StoreError, match="version 99 of the store"):
        open_store(location)


def test_a_store_of_the_first_version_is_brought_up_to_date_and_keeps_everything(location: str) -> None:
    store = open_store(location)
    person, round_ = reviewers(store, 1)[0], open_round(store)
    vote_all(store, round_, [person], ["positive"], next(iter(store.rounds.entries(round_.id))))
    before = store.events(round_.id)
    store.close()
    database = Database(location)
    with database.write() as connection:
        for table, column in (("people", "level"), ("rounds", "options")):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(update(schema.versions).values(version=1))
    database.close()

    again = open_store(location)
    assert again.events(round_.id) == before
    assert again.rounds.current() == round_
    assert again.people.all() == [person]
    again.close()
    open_store(location).close()


def test_a_store_that_was_put_back_to_an_earlier_state_is_read_anew(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.sqlite3", tmp_path / "copy.sqlite3"
    store = open_store(path)
    (ann,), round_ = reviewers(store, 1), open_round(store, 2)
    own, (first, second) = desk(store, ann, round_), states(store)
    own.vote(first, Vote("positive"), key=key(), shown_at=SHOWN)
    with closing(sqlite3.connect(path)) as whole, closing(sqlite3.connect(copy)) as kept:
        whole.backup(kept)
    own.vote(second, Vote("negative"), key=key(), shown_at=SHOWN)
    own.vote(first, Vote("negative"), key=key(), shown_at=SHOWN)
    assert own.progress().done == 2
    with closing(sqlite3.connect(copy)) as kept, closing(sqlite3.connect(path)) as whole:
        kept.backup(whole)  # into the file that the program has open
    assert (own.progress().done, own.entry(first).vote, own.entry(second).vote) == (1, Vote("positive"), None)
    own.vote(second, Vote("uncertain"), key=key(), shown_at=SHOWN)  # under a number that was there before
    assert own.entry(second).vote == Vote("uncertain")
    store.close()


def test_a_store_whose_folder_became_a_file_is_said_to_be_away(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    store = open_store(folder / "store.sqlite3")
    folder.rename(tmp_path / "away")
    folder.touch()
    with pytest.raises(StoreError, match="removed or replaced"):
        store.rounds.all()
    store.close()


def test_the_file_is_for_its_owners_eyes_and_commits_reach_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.sqlite3"
    open_store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    database = Database(path)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


def _fields_within(value: object) -> set[str]:
    if isinstance(value, list | tuple):
        return set().union(*map(_fields_within, value))
    if not is_dataclass(value):
        return set()
    names = {field.name for field in fields(value)}
    return names.union(*(_fields_within(getattr(value, name)) for name in names))


def test_the_desks_offer_nothing_but_what_is_listed() -> None:
    public = {name for name in dir(ReviewerDesk) if not name.startswith("_")}
    seen = {"role", "upcoming", "entry", "last_judged", "vote", "undo", "write", "progress"}
    seen |= {"own", "annotate", "flag", "unflag"}
    seen |= {"discussions", "count_discussions", "count_unread", "thread", "mark_read", "take_stance"}
    assert public == seen, "whatever is added to a reviewer's desk must be looked at for what it gives away"
    assert "queue" in vars(VerifierDesk)
