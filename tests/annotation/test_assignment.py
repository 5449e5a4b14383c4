"""Parts of a round: as large as was said, enough reviewers for every entry, and the same whatever happens to others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.assignment import Quota, count_missing, draw_subset, parse_quota
from annotation.errors import AnnotationError, RoundError
from annotation.events import Vote
from annotation.outcomes import progress
from annotation.protocol import Rule
from annotation.store import Store
from annotation.store.people import Guest
from tests.annotation.store_builders import SHOWN, desk, entries, invite, key, open_round, reviewers

MANY = [f"e{number:02}" for number in range(40)]


def draw(
    count: int, held: Counter[str], person: str = "a", had: tuple[str, ...] = (), judged: tuple[str, ...] = ()
) -> list[str]:
    return draw_subset(MANY, count, held=held, judged=judged, had=had, seed=0, person_id=person)


@settings(max_examples=60)
@given(st.lists(st.integers(1, len(MANY)), min_size=1, max_size=8))
def test_parts_have_their_size_and_no_two_entries_differ_by_more_than_one_reviewer(counts: list[int]) -> None:
    held = Counter[str]()
    for number, count in enumerate(counts):
        subset = draw(count, held, f"p{number}")
        assert len(set(subset)) == count
        held.update(subset)
    of_entry = [held[each] for each in MANY]
    assert max(of_entry) - min(of_entry) <= 1
    assert min(of_entry) == sum(counts) // len(MANY)


def test_a_part_grows_and_shrinks_around_what_was_had_and_keeps_what_was_judged() -> None:
    first = draw(20, Counter())
    assert first == draw(20, Counter())
    assert first != draw(20, Counter(), "b")
    assert set(first) < set(draw(30, Counter(first), had=tuple(first)))
    fewer = draw(5, Counter(), had=tuple(first), judged=tuple(first[:3]))
    assert set(first[:3]) < set(fewer) < set(first)
    assert draw(1, Counter(), judged=("e01", "e02")) == ["e01", "e02"]


def test_entries_that_lack_reviewers_are_counted() -> None:
    assert count_missing({"a": 2, "b": 2, "c": 2}, [{"a", "b"}, {"b"}, ()]) == (2, 3)


@pytest.mark.parametrize(
    ("text", "quota"),
    [("300", Quota(entries=300)), (" 50% ", Quota(share=0.5)), ("12.5%", Quota(share=0.125)), ("ALL", Quota())],
)
def test_a_part_is_a_number_a_share_or_all(text: str, quota: Quota) -> None:
    assert parse_quota(text) == quota
    until = datetime(2026, 12, 15, 23, 59, 59, tzinfo=UTC)
    assert parse_quota(text, "2026-12-15") == replace(quota, deadline=until)


@pytest.mark.parametrize("text", ["0", "-3", "0%", "101%", "half", "1e3", "٣", "3.5"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(AnnotationError, match="expected a number such as 300"):
        parse_quota(text)


@pytest.mark.parametrize("day", ["15.12.2026", "2026-13-01", "tomorrow", "2026-12-15T10:00"])
def test_a_deadline_is_a_day(day: str) -> None:
    with pytest.raises(AnnotationError, match="such as 2026-12-15"):
        parse_quota("all", day)


def test_reviewers_are_asked_about_their_entries_and_the_repeats_of_these(store: Store) -> None:
    originals = entries(6)
    again = [replace(each, id=f"r{each.id[1:]}", kind="repeat", repeats=each.id) for each in originals]
    round_ = open_round(store, 6, Rule(n_reviewers=1), more=again)
    ann, bob = invite(store, "Ann", "Bob")
    assert len(desk(store, ann, round_).upcoming(99)) == 12
    drawn = store.assignments.assign(round_.id, {ann.id: Quota(entries=2), bob.id: Quota(share=2 / 3)})
    parts = [drawn[each.id].entry_ids or frozenset() for each in (ann, bob)]
    assert [len(part) for part in parts] == [2, 4]
    assert parts[0] | parts[1] == {each.id for each in originals}
    for person, part in zip((ann, bob), parts, strict=True):
        asked = {each.entry_id for each in desk(store, person, round_).upcoming(99)}
        assert asked == part | {each.id for each in again if each.repeats in part}
    assert [each.total for each in progress(store, round_.id)] == [4, 8]


def test_too_few_reviewers_are_refused_with_the_numbers_unless_others_are_to_come(store: Store) -> None:
    round_ = open_round(store, 10, Rule(n_reviewers=3))
    people = reviewers(store, 3)
    with pytest.raises(AnnotationError, match="6 entries would have fewer than 3 reviewers, and 6 votes too few"):
        store.assignments.assign(round_.id, {people[0].id: Quota(entries=4)})
    assert store.assignments.of(round_.id) == {}
    store.assignments.assign(round_.id, {people[0].id: Quota(entries=4)}, incomplete=True)
    store.assignments.assign(round_.id, {people[0].id: Quota()})
    with pytest.raises(AnnotationError, match="11 entries; the round has 10"):
        store.assignments.assign(round_.id, {people[0].id: Quota(entries=11)})


def test_votes_of_somebody_who_was_shut_out_count_and_their_part_does_not(store: Store) -> None:
    round_ = open_round(store, 2, Rule(n_reviewers=1))
    ann, bob = invite(store, "Ann", "Bob")
    desk(store, ann, round_).vote(entries(2)[0].id, Vote("positive"), key=key(), shown_at=SHOWN)
    store.people.revoke(ann.id)
    drawn = store.assignments.assign(round_.id, {bob.id: Quota(entries=1)})
    assert drawn[bob.id].entry_ids == frozenset([entries(2)[1].id])
    store.people.revoke(bob.id)
    with pytest.raises(AnnotationError, match="1 entries would"):
        store.assignments.assign(round_.id, {invite(store, "Cyd")[0].id: Quota(share=0.1)})


def test_the_others_keep_their_entries_when_somebody_comes_and_when_a_part_changes(store: Store) -> None:
    round_ = open_round(store, 12, Rule(n_reviewers=1))
    people = reviewers(store, 4)
    quotas = {each.id: Quota(entries=6) for each in people[:3]}
    store.assignments.assign(round_.id, quotas)
    before = store.assignments.of(round_.id)
    store.assignments.assign(round_.id, {people[3].id: Quota(entries=5), people[0].id: Quota(entries=9)})
    after = store.assignments.of(round_.id)
    assert {each: after[each] for each in (people[1].id, people[2].id)} == {
        each: before[each] for each in (people[1].id, people[2].id)
    }
    one, other = before[people[0].id].entry_ids, after[people[0].id].entry_ids
    assert one is not None
    assert other is not None
    assert one < other


def test_many_are_invited_with_their_parts_or_nobody(store: Store) -> None:
    guests = [Guest(n, f"Guest {n}", "reviewer", "master's", Quota(share=0.5)) for n in range(2, 6)]
    with pytest.raises(RoundError, match="no round is open"):
        store.invite_all(guests)
    round_ = open_round(store, 8, Rule(n_reviewers=2))
    with pytest.raises(AnnotationError, match="line 9: 'guest 2' is invited already"):
        store.invite_all([*guests, Guest(9, "guest 2", "verifier")])
    with pytest.raises(AnnotationError, match="4 entries would have fewer than 2 reviewers, and 4 votes"):
        store.invite_all(guests[:3])

    def lost(_invitations: object) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        store.invite_all(guests, lost)
    assert store.people.all() == []
    made = store.invite_all(guests)
    assert [store.people.admit(each.token).level for each in made] == ["master's"] * 4
    assert {len(each.entry_ids or ()) for each in store.assignments.of(round_.id).values()} == {4}
    store.rounds.close(round_.id)
    with pytest.raises(AnnotationError, match="is closed"):
        store.assignments.assign(round_.id, {made[0].person.id: Quota()})


def test_a_verifier_has_no_part(store: Store) -> None:
    round_, (vera,) = open_round(store), invite(store, "Vera", role="verifier")
    with pytest.raises(AnnotationError, match="is no reviewer"):
        store.assignments.assign(round_.id, {vera.id: Quota()})


def test_a_deadline_is_listed(store: Store) -> None:
    round_, (ann,) = open_round(store, 2), invite(store, "Ann")
    until = datetime(2026, 12, 15, 23, 59, 59, tzinfo=UTC)
    store.assignments.assign(round_.id, {ann.id: Quota(deadline=until)})
    assert desk(store, ann, round_).progress().deadline == until
    assert [each.deadline for each in progress(store, round_.id)] == [until]
