"""People against each other pair by pair, against the final labels, by level, and the time that an ad takes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sklearn.metrics import cohen_kappa_score

from annotation.agreement import NO_VARIETY, Adjudication, Agreement, Share, cohen_kappa, measure
from annotation.agreement_tables import agreement_as_json, by_level, estimated, levels, slow
from annotation.events import CHOICES, Choice, Ruling, Vote
from annotation.interchange.agreement_files import entries_table, pairs_table, people_table
from annotation.interchange.table_files import write_table
from annotation.protocol import Rule
from tests.annotation.vote_builders import event, log, ordinary

LEVELS = {"a": "master's", "b": "master's", "c": "undergraduate", "nobody": "undergraduate"}


def adjudicated() -> Agreement:
    """Four ads of three people: agreed, decided against c, decided against a and b, decided where c was uncertain."""
    votes: dict[str, dict[str, Choice]] = {
        "1": {"a": "positive", "b": "positive", "c": "negative"},
        "2": {"a": "positive", "b": "uncertain", "c": "negative"},
        "3": {"a": "negative", "b": "negative", "c": "uncertain"},
        "4": {"a": "positive"},
    }
    rulings = [event(90, "2", "v", Ruling("positive"), kind="decision")]
    rulings += [event(91, "3", "v", Ruling("positive"), kind="decision")]
    return measure([*log(votes), *rulings], ordinary("1234"), Rule(3), levels=LEVELS)


def test_everybody_is_held_against_the_final_labels_and_uncertain_is_not_overruled() -> None:
    assert adjudicated().adjudication == {
        "a": Adjudication(final=Share(2, 3), overruled=Share(1, 2)),
        "b": Adjudication(final=Share(1, 3), overruled=Share(1, 2)),
        "c": Adjudication(final=Share(0, 3), overruled=Share(1, 2)),
    }


def test_levels_hold_the_people_who_voted_and_alpha_is_of_their_votes_alone() -> None:
    found = adjudicated()
    assert found.levels == {"a": "master's", "b": "master's", "c": "undergraduate"}
    assert by_level(found)["master's"] == Adjudication(final=Share(3, 6), overruled=Share(2, 4))
    assert {level: each.n_votes for level, each in found.alpha_by_level.items()} == {"master's": 6, "undergraduate": 0}
    votes = {"1": {"a": "positive", "b": "positive"}, "2": {"a": "positive", "b": "uncertain"}}
    alone = measure(log({**votes, "3": {"a": "negative", "b": "negative"}}), ordinary("123"), Rule(2))  # type: ignore[dict-item]
    assert found.alpha_by_level["master's"] == alone.alpha
    assert [row[0] for row in levels(found).rows] == ["master's", "undergraduate"]


def test_kappa_of_a_pair_is_scikit_learns() -> None:
    chance = random.Random(4)
    for n in (1, 2, 5, 40):
        for _ in range(20):
            one, other = ([chance.choice(CHOICES) for _ in range(n)] for _ in "ab")
            found = cohen_kappa(Counter(zip(one, other, strict=True)))
            if len({*one, *other}) == 1:
                assert (found.value, found.reason) == (None, NO_VARIETY)
            else:
                assert found.value == pytest.approx(cohen_kappa_score(one, other))


def test_an_ads_time_is_the_median_of_its_votes_without_pauses_and_the_slowest_comes_first() -> None:
    taken = {"1": (4.0, 8.0, 90_000.0), "2": (20.0, 30.0, 40.0), "3": (90_000.0,)}
    events = [
        event(10 * int(entry) + place, entry, "abc"[place], Vote("positive"), seconds=seconds)
        for entry, own in taken.items()
        for place, seconds in enumerate(own)
    ]
    found = measure(events, ordinary("123"), Rule(3))
    assert [each.median_s for each in found.entries] == [6, 30, None]
    assert [row[:2] for row in slow(found).rows] == [("ad-2", "30.0"), ("ad-1", "6.0")]


def test_the_estimate_says_where_it_differs_and_leaves_the_labels_alone() -> None:
    votes: dict[str, dict[str, Choice]] = {}
    for number in range(30):
        right: Choice = "positive" if number % 2 else "negative"
        other: Choice = "negative" if number % 2 else "positive"
        votes[f"{number:02}"] = {"a": right, "b": right, "c": right, "x": other, "y": other}
    votes["99"] = {"a": "positive", "b": "positive", "x": "positive", "y": "positive", "c": "negative"}
    votes["98"] = {"a": "positive", "x": "negative", "y": "negative"}
    found = measure(log(votes), ordinary(list(votes)), Rule(5))
    last = {each.entry_id: each for each in found.entries}["98"]
    assert (last.majority, last.final, last.estimated) == ("negative", None, "positive")
    table = estimated(found)
    assert "changes no label" in table.about
    assert {row[0] for row in table.rows} == {"ad-98", "ad-99"}, "x and y err on purpose, so that their word counts"
    assert found.reliability["a"] > 0.9 > 0.2 > found.reliability["x"]


def test_figures_are_written_as_tables_and_as_json(tmp_path: Path) -> None:
    found = adjudicated()
    for name, table in (
        ("e", entries_table(found)),
        ("p", people_table(found, {"a": "=A"})),
        ("q", pairs_table(found, {})),
    ):
        write_table(table, tmp_path / f"{name}.csv")
        write_table(table, tmp_path / f"{name}.parquet")
    entries = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert [(row["entry_id"], row["final_label"], row["positive"], row["uncertain"]) for row in entries] == [
        *(("1", "positive", 2, 0), ("2", "positive", 1, 1), ("3", "positive", 0, 1), ("4", None, 1, 0))
    ]
    assert "'=A,master's,4,3,1,0,10.0,0,0,0,0,2,3,1,2," in (tmp_path / "p.csv").read_text(encoding="utf-8")
    told = agreement_as_json(found, {})
    assert told["levels"]["master's"]["overruled"] == {"n": 2, "of": 4, "share": 0.5}
    assert told["people"][2] | {"dawid_skene_right": 0} == told["people"][2] | {
        "level": "undergraduate",
        "overruled": {"n": 1, "of": 2, "share": 0.5},
        "dawid_skene_right": 0,
    }
    assert told["entries"][0]["final"] == "positive"
    assert sum(told["entries"][0]["dawid_skene"].values()) == pytest.approx(1)
    assert told["pairs"][0]["cohen_kappa"] == pytest.approx(
        cohen_kappa_score(["positive", "positive", "negative"], ["positive", "uncertain", "negative"])
    )
