"""Agreement: published examples, what is said where there is no number, and what may not change it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from annotation import agreement_tables as tables
from annotation.agreement import (
    NO_PAIR,
    NO_VARIETY,
    Agreement,
    Share,
    alpha,
    fleiss_kappa,
    measure,
    resampled_alphas,
)
from annotation.agreement_tables import agreement_as_json, read_agreement, render_agreement
from annotation.events import CHOICES, Choice, Flag, Ruling, Vote
from annotation.interchange.agreement_files import entries_table
from annotation.protocol import Rule
from annotation.rounds import Entry
from annotation.store import open_store
from data_catalog.catalog import Catalog
from tests.annotation.store_builders import SHOWN, desk, key, open_round, reviewers, states, vote_all
from tests.annotation.store_builders import entries as store_entries
from tests.annotation.vote_builders import event, log, ordinary, undo

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units
KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
# Fleiss (1971), table 1: thirty patients, six psychiatrists each, five diagnoses
FLEISS = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""


def krippendorffs_counts() -> np.ndarray:
    observers = [line.split() for line in KRIPPENDORFF.strip().splitlines()]
    return np.array([[[o[u] for o in observers].count(value) for value in "12345"] for u in range(12)])


def fleiss_counts() -> np.ndarray:
    return np.array([[int(digit) for digit in row] for row in FLEISS.split()])


def measured(votes: Mapping[str, Mapping[str, Choice]], rule: Rule | None = None) -> Agreement:
    return measure(log(votes), ordinary(list(votes)), rule or Rule(n_reviewers=2))


def test_alpha_of_krippendorffs_own_example_is_the_published_0_743() -> None:
    found = alpha(krippendorffs_counts())
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert (found.n_entries, found.n_votes) == (11, 40), "the unit that only one observer judged does not count"


def test_kappa_of_fleiss_own_table_is_the_published_0_430() -> None:
    counts = fleiss_counts()
    assert counts.sum(axis=0).tolist() == [26, 26, 30, 55, 43]
    assert fleiss_kappa(counts).value == pytest.approx(0.430, abs=5e-4)


def test_alpha_of_two_people_by_hand() -> None:
    # three entries agreed positive, one negative, one split: of 10 votes 7 are positive; observed 2 disagreeing
    # pairs, 1 - 9 * 2 / (7 * 3 * 2) = 4/7
    counts = np.array([[2, 0], [2, 0], [2, 0], [0, 2], [1, 1]])
    assert alpha(counts).value == pytest.approx(4 / 7)
    # observed agreement 4/5, by chance 0.7^2 + 0.3^2
    assert fleiss_kappa(counts).value == pytest.approx((0.8 - 0.58) / (1 - 0.58))


def test_kappa_refuses_entries_with_different_numbers_of_votes() -> None:
    with pytest.raises(ValueError, match="same number of votes"):
        fleiss_kappa(np.array([[2, 0], [2, 1]]))


def test_every_bootstrap_sample_has_the_alpha_of_the_entries_that_it_drew() -> None:
    counts = krippendorffs_counts()
    counts = counts[counts.sum(axis=1) >= 2]
    rows, times = np.unique(counts, axis=0, return_counts=True)
    drawn = np.random.default_rng(5).multinomial(len(counts), times / len(counts), size=20)
    by_package = [
        krippendorff.alpha(value_counts=np.repeat(rows, weights, axis=0), level_of_measurement="nominal")
        for weights in drawn
    ]
    assert resampled_alphas(counts, seed=5, draws=20) == pytest.approx(by_package)


def test_the_interval_holds_the_value_and_is_narrower_with_more_entries() -> None:
    counts = np.random.default_rng(0).multinomial(5, [0.5, 0.3, 0.2], size=400)
    few, many = alpha(counts[:40]), alpha(counts)
    for found in (few, many):
        assert found.low < found.value < found.high  # type: ignore[operator]
    assert many.high - many.low < few.high - few.low  # type: ignore[operator]


def test_the_interval_covers_the_true_alpha_about_nineteen_times_in_twenty() -> None:
    chance = np.random.default_rng(1)

    def sample(size: int) -> np.ndarray:
        truth = chance.integers(0, 2, size)
        votes = np.where(chance.random((size, 5)) < 0.85, truth[:, None], 1 - truth[:, None])
        return np.stack([(votes == 0).sum(axis=1), (votes == 1).sum(axis=1)], axis=1)

    true = alpha(sample(200_000), draws=1).value
    found = [alpha(sample(200), seed=trial, draws=400) for trial in range(200)]
    covered = sum(each.low <= true <= each.high for each in found)  # type: ignore[operator]
    assert 180 <= covered <= 199


@pytest.mark.parametrize(
    ("counts", "has_value", "reason"),
    [
        (np.zeros((0, 3), int), False, NO_PAIR),
        (np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]]), False, NO_PAIR),
        (np.array([[5, 0, 0]] * 20), False, NO_VARIETY),
        (np.array([[2, 0], [0, 2], [1, 1]]), True, "no interval under 10 entries"),
        (np.array([[2, 0]] * 30 + [[1, 1]]), True, "no interval: nearly every vote is the same"),
    ],
    ids=["no entries", "one rater", "one category", "a handful", "nearly one category"],
)
def test_where_alpha_or_its_interval_has_no_meaning_a_reason_stands_in_its_place(
    counts: np.ndarray, has_value: bool, reason: str
) -> None:
    found = alpha(counts)
    assert (found.value is not None, found.low, found.high, found.reason) == (has_value, None, None, reason)


CHOICE = st.sampled_from(CHOICES)
ROUNDS = st.integers(2, 4).flatmap(
    lambda people: st.lists(st.lists(st.none() | CHOICE, min_size=people, max_size=people), min_size=1, max_size=14)
)


def as_votes(rows: list[list[Choice | None]]) -> dict[str, dict[str, Choice]]:
    return {
        f"e{number:02}": {f"p{who}": choice for who, choice in enumerate(row) if choice is not None}
        for number, row in enumerate(rows)
    }


@given(ROUNDS, st.randoms(use_true_random=False))
def test_neither_the_order_of_entries_nor_who_is_who_changes_alpha_or_kappa(
    rows: list[list[Choice | None]], chance: random.Random
) -> None:
    people = list(range(len(rows[0])))
    chance.shuffle(people)
    shuffled = [[row[who] for who in people] for row in rows]
    chance.shuffle(shuffled)
    rule = Rule(n_reviewers=len(people))
    before, after = measured(as_votes(rows), rule), measured(as_votes(shuffled), rule)
    assert (before.alpha, before.kappa) == (after.alpha, after.kappa)


@given(st.lists(CHOICE, min_size=2, max_size=20).filter(lambda choices: len(set(choices)) > 1), st.integers(2, 6))
def test_people_who_always_agree_have_an_alpha_and_a_kappa_of_1(choices: list[Choice], people: int) -> None:
    found = measured(as_votes([[choice] * people for choice in choices]), Rule(n_reviewers=people))
    assert (found.alpha.value, found.kappa.value) == (1, 1)
    assert all(pair.same == Share(len(choices), len(choices)) for pair in found.pairs)


def test_only_the_last_vote_of_a_person_counts_and_what_was_undone_does_not() -> None:
    first = event(1, "e", "a", Vote("positive"))
    votes = [first, event(2, "e", "a", Vote("negative"), supersedes=1), event(3, "e", "b", Vote("negative"))]
    assert measure(votes, ordinary("e"), Rule(2)).balance["a"] == {"positive": 0, "negative": 1, "uncertain": 0}
    assert measure([*votes, undo(4, votes[2])], ordinary("e"), Rule(2)).alpha.reason == NO_PAIR


def test_a_pair_counts_only_the_entries_that_both_judged() -> None:
    found = measured(
        {
            "1": {"a": "positive", "b": "positive"},
            "2": {"a": "negative", "b": "positive"},
            "3": {"a": "negative"},
            "4": {"c": "positive"},
        }
    )
    told = [(pair.first, pair.second, pair.same) for pair in found.pairs]
    assert told == [("a", "b", Share(1, 2)), ("a", "c", Share(0, 0)), ("b", "c", Share(0, 0))]
    assert [pair.same.value for pair in found.pairs] == [0.5, None, None], "people who never met have no share"


def test_kappa_takes_the_entries_with_all_their_votes() -> None:
    votes: dict[str, dict[str, Choice]] = {
        "1": {"a": "positive", "b": "positive"},
        "2": {"a": "negative", "b": "negative"},
        "3": {"a": "negative"},
    }
    assert (measured(votes).kappa.value, measured(votes).kappa.n_entries) == (1, 2)
    assert measured(votes, Rule(n_reviewers=3)).kappa.reason == "no entry has all its votes yet"


def test_repeats_tell_who_agrees_with_themselves_and_count_nowhere_else() -> None:
    entries = ordinary(["1", "2"]) | {
        f"r{each}": Entry(f"r{each}", f"ad-{each}", (), (), kind="repeat", repeats=each) for each in "12"
    }
    votes: dict[str, dict[str, Choice]] = {
        "1": {"a": "positive", "b": "positive"},
        "2": {"a": "negative", "b": "negative"},
        "r1": {"a": "positive", "b": "negative"},
        "r2": {"a": "negative"},
    }
    found = measure(log(votes), entries, Rule(2))
    assert found.self_consistency == {"a": Share(2, 2), "b": Share(0, 1)}
    assert (found.alpha.value, found.alpha.n_entries, sum(found.balance["a"].values())) == (1, 2, 2)


def test_gold_entries_tell_who_finds_known_answers_and_uncertain_is_none() -> None:
    entries = {each: Entry(each, each, (), (), kind="gold", known="positive") for each in "12"}
    found = measure(log({"1": {"a": "positive", "b": "uncertain"}, "2": {"a": "negative"}}), entries, Rule(2))
    assert found.gold == {"a": Share(1, 2), "b": Share(0, 1)}


def test_the_confusion_counts_entries_that_have_come_to_their_end() -> None:
    votes: dict[str, dict[str, Choice]] = {
        "1": {"a": "positive", "b": "positive"},
        "2": {"a": "negative", "b": "negative"},
        "3": {"a": "positive"},
        "4": {"a": "uncertain", "b": "positive"},
    }
    events = [*log(votes), event(90, "4", "v", Ruling("negative"), kind="decision")]
    found = measure(events, ordinary("1234"), Rule(2), comments={f"ad-{each}": "positive" for each in "1234"})
    assert found.confusion == {("positive", "positive"): 1, ("positive", "negative"): 2}


def test_pace_is_the_median_of_a_persons_votes_without_pauses() -> None:
    events = [event(n, str(n), "a", Vote("positive"), seconds=s) for n, s in enumerate((4, 6, 20, 90_000), 1)]
    pace = measure(events, ordinary("1234"), Rule(2)).pace["a"]
    assert (pace.n_votes, pace.median_s) == (4, 6)


def test_a_vote_whose_time_is_not_known_does_not_make_the_pace_quicker() -> None:
    events = [event(n, str(n), "a", Vote("positive"), seconds=s) for n, s in enumerate((0, 0, 0, 8), 1)]
    found = measure(events, ordinary("1234"), Rule(2))
    assert (found.pace["a"].n_votes, found.pace["a"].median_s) == (4, 8)
    assert [each.median_s for each in found.entries] == [None, None, None, 8]


def test_a_flag_on_a_repeat_keeps_its_original_open_as_the_ledger_does(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.sqlite3")
    first = store_entries(1)[0]
    again = replace(first, id="again", kind="repeat", repeats=first.id)
    people, round_ = reviewers(store, 2), open_round(store, 1, Rule(2), more=[again])
    vote_all(store, round_, people, ("positive", "positive"), first.id)
    desk(store, people[0], round_).flag("again", Flag("not_an_ad"), key=key(), shown_at=SHOWN)
    found = measure(store.events(round_.id), store.rounds.entries(round_.id), round_.rule)
    assert states(store)[first.id].state == "needs_verifier"
    assert [(each.entry_id, each.final) for each in found.entries] == [(first.id, None)]
    assert found.adjudication[people[0].id].final == Share(0, 0)
    store.close()


def test_who_shares_no_entry_with_anybody_has_no_estimate() -> None:
    found = measured({"1": {"a": "positive"}, "2": {"b": "negative"}, "3": {"b": "negative"}})
    assert found.reliability == {}
    assert [(each.majority, each.estimated) for each in found.entries] == [
        ("positive", None),
        ("negative", None),
        ("negative", None),
    ]
    assert tables.estimated(found).rows == []
    assert [row[-1] for row in tables.people(found, {}).rows] == ["–", "–"]
    assert entries_table(found)["dawid_skene"].to_pylist() == [None] * 3
    assert agreement_as_json(found, {})["entries"][0]["dawid_skene"] == {}


def test_alpha_over_time_ends_with_the_alpha_of_all() -> None:
    chance = random.Random(0)
    votes = {f"{n:03}": {who: chance.choice(CHOICES) for who in "abc"} for n in range(60)}
    found = measured(votes, Rule(3))
    assert len(found.alpha_over_time) == 20
    assert found.alpha_over_time[-1].alpha == found.alpha
    assert [m.alpha.n_entries for m in found.alpha_over_time] == list(range(3, 61, 3))


def test_alpha_by_category_has_the_ads_of_each() -> None:
    votes: dict[str, dict[str, Choice]] = {each: {"a": "positive", "b": "negative"} for each in "123"}
    found = measure(log(votes), ordinary("123"), Rule(2), categories={"ad-1": "food", "ad-2": "food"})
    assert {name: each.n_entries for name, each in found.alpha_by_category.items()} == {"food": 2, "unknown": 1}


def test_a_round_that_nobody_judged_says_so_everywhere() -> None:
    found = measure([], ordinary("12"), Rule())
    assert (found.alpha.reason, found.kappa.reason) == (NO_PAIR, "no entry has all its votes yet")
    assert (found.pairs, found.balance, found.alpha_over_time, found.confusion) == ([], {}, [], {})
    assert json.loads(json.dumps(agreement_as_json(found, {})))["krippendorff_alpha"]["value"] is None
    assert NO_PAIR in printed(found, {})


def printed(agreement: Agreement, names: Mapping[str, str]) -> str:
    console = Console(width=160, record=True, file=None)
    with console.capture() as captured:
        console.print(render_agreement(agreement, names))
    return captured.get()


def test_a_name_from_a_stranger_is_printed_as_plain_text() -> None:
    shown = printed(measured({"1": {"a": "positive", "b": "negative"}}), {"a": "[red]Ann[/red]\x1b[2J", "b": "b"})
    assert "[red]Ann[/red]\\x1b[2J" in shown
    assert "\x1b[2J" not in shown


def test_the_report_reads_a_round_from_the_store(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.sqlite3")
    round_ = open_round(store, 3)
    people = reviewers(store)
    for entry, choices in zip(
        store_entries(3), (["positive"] * 5, ["negative"] * 5, ["positive"] * 4 + ["negative"]), strict=True
    ):
        vote_all(store, round_, people, choices, entry.id)  # type: ignore[arg-type]
    found = read_agreement(store, Catalog(tmp_path / "catalog"), round_.id)
    assert (found.alpha.n_votes, found.kappa.n_entries, len(found.pairs)) == (15, 3, 10)
    told = agreement_as_json(found, {person.id: person.name for person in people})
    assert {person["name"] for person in told["people"]} == {f"Reviewer {number}" for number in range(5)}
