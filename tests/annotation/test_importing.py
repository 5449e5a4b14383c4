"""Votes from files: everybody's last word stands, whatever the order in which files come."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotation.desks import ReviewerDesk
from annotation.events import CHOICES, Choice, Flag, Vote
from annotation.interchange.votes import Imported, Judgement, Refused, import_judgements
from annotation.store import Store, open_store
from annotation.store.round_store import Round
from tests.annotation.store_builders import SHOWN, desk, entries, invite, key, open_round

ENTRY = entries(1)[0]


def row(choice: Choice, minute: int, *, entry: str = ENTRY.id, reviewer: str = "Ann", line: int = 1) -> Judgement:
    at = SHOWN + timedelta(minutes=minute)
    return Judgement(None, entry, "", reviewer, Vote(choice), at - timedelta(seconds=5), at, "sha256:0", line)


@pytest.fixture
def round_(store: Store) -> Round:
    invite(store, "Ann")
    return open_round(store, 1)


def ann(store: Store, round_: Round) -> ReviewerDesk:
    person = store.people.find("Ann")
    assert person is not None
    return desk(store, person, round_)


def test_a_file_that_comes_back_after_a_newer_one_says_that_it_changes_nothing(store: Store, round_: Round) -> None:
    first, second = [row("positive", 0)], [row("negative", 1)]
    assert import_judgements(store, round_.id, first) == Imported(1, 0, ())
    assert import_judgements(store, round_.id, second) == Imported(1, 0, ())
    again = import_judgements(store, round_.id, [row("positive", 0, line=7)])
    (refused,) = again.refused
    assert (again.taken, again.known, refused.line) == (0, 0, 7)
    assert "Ann said something else here" in refused.reason
    assert ann(store, round_).entry(ENTRY.id).vote == Vote("negative")


def test_a_vote_that_was_taken_back_since_is_not_brought_back(store: Store, round_: Round) -> None:
    import_judgements(store, round_.id, [row("positive", 0)])
    ann(store, round_).undo(ENTRY.id, key=key(), shown_at=SHOWN)
    found = import_judgements(store, round_.id, [row("positive", 0)])
    assert "took their vote back" in found.refused[0].reason
    assert ann(store, round_).entry(ENTRY.id).vote is None


def test_a_flag_is_no_word_on_the_vote(store: Store, round_: Round) -> None:
    ann(store, round_).flag(ENTRY.id, Flag("broken_picture"), key=key(), shown_at=SHOWN)
    assert import_judgements(store, round_.id, [row("positive", 0)]) == Imported(1, 0, ())
    assert ann(store, round_).entry(ENTRY.id).vote == Vote("positive")


@pytest.mark.parametrize("written", ["jose\u0301 NÚÑEZ", " José Núñez "])
def test_a_name_is_found_however_a_program_wrote_its_letters(store: Store, round_: Round, written: str) -> None:
    invite(store, "José Núñez")
    assert import_judgements(store, round_.id, [row("positive", 0, reviewer=written)]).taken == 1


def test_what_was_refused_is_refused_again_in_the_same_file(store: Store, round_: Round) -> None:
    rows: list[Judgement | Refused] = [
        Refused(1, "torn"),
        row("positive", 0, reviewer="Bob", line=2),
        row("positive", 0, reviewer="Bob", line=3),
    ]
    assert [each.line for each in import_judgements(store, round_.id, rows).refused] == [1, 2, 3]


def test_a_vote_of_somebody_who_was_shut_out_is_refused_by_name(store: Store, round_: Round) -> None:
    person = store.people.find("Ann")
    assert person is not None
    store.people.revoke(person.id)
    (refused,) = import_judgements(store, round_.id, [row("positive", 0)]).refused
    assert "Ann is shut out" in refused.reason


def test_one_vote_too_many_does_not_keep_the_others_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.interchange.votes._AT_ONCE", 5)
    round_ = open_round(store, 12)
    for person in invite(store, *(f"R{n}" for n in range(6))):
        rows = [row("positive", 0, entry=entry.id, reviewer=person.name, line=n) for n, entry in enumerate(entries(12))]
        told: list[int] = []
        found = import_judgements(store, round_.id, rows, advance=told.append)
        assert (found.taken, len(found.refused)) == ((0, 12) if person.name == "R5" else (12, 0))
        assert sum(told) == 12
    assert len(store.events(round_.id)) == 5 * 12


@settings(max_examples=15, deadline=None)
@example(votes=[("negative", 0), ("negative", 2), ("positive", 1)])
@given(votes=st.lists(st.tuples(st.sampled_from(CHOICES), st.integers(0, 5)), min_size=1, max_size=4))
def test_in_whatever_order_files_come_the_last_word_stands(
    tmp_path_factory: pytest.TempPathFactory, votes: list[tuple[Choice, int]]
) -> None:
    minutes = [minute for _, minute in votes]
    latest = {choice for choice, minute in votes if minute == max(minutes)}
    store = open_store(tmp_path_factory.mktemp("store") / "store.sqlite3")
    invite(store, "Ann")
    for order in list(permutations(votes))[:6]:
        round_ = open_round(store, 1)
        for choice, minute in order:
            import_judgements(store, round_.id, [row(choice, minute)])
        vote = ann(store, round_).entry(ENTRY.id).vote
        store.rounds.close(round_.id)
        assert vote is not None
        assert vote.choice in latest
    store.close()
