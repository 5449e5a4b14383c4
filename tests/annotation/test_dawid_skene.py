"""Dawid and Skene's estimate: an independent implementation's values, other choices than labels, and its limits."""

from __future__ import annotations

import random

import pytest

from annotation.dawid_skene import estimate

# 45 patients in four classes and five anaesthetists, as in the paper's example
PATIENTS = """
11111 34334 12122 23121 23222 23322 12111 33433 22223 22223 44444 23343 11111 23212 11111
12111 11111 11111 22221 21322 22222 22221 23222 22222 11111 11111 23222 11111 11111 11121
11111 33233 11111 22222 23232 44343 22232 23233 33432 11111 11111 12111 22222 11111 22222
"""


def test_the_estimate_is_crowd_kits() -> None:
    # crowdkit.aggregation.DawidSkene(2000, tol=1e-14) of crowd-kit 1.4.1, of the same votes
    found = estimate({str(n): dict(zip("abcde", row, strict=True)) for n, row in enumerate(PATIENTS.split())}, "1234")
    assert found.shares == pytest.approx({"1": 0.399965, "2": 0.415010, "3": 0.118359, "4": 0.066667}, abs=1e-5)
    assert found.labels["37"] == pytest.approx({"1": 0, "2": 0.0752, "3": 0.9248, "4": 0}, abs=1e-4)
    assert found.errors["b"]["2"] == pytest.approx({"1": 0.0536, "2": 0.5890, "3": 0.3574, "4": 0}, abs=1e-4)
    assert found.errors["d"]["3"] == pytest.approx({"1": 0, "2": 0, "3": 0.8122, "4": 0.1878}, abs=1e-4)
    assert found.errors["d"]["4"] == pytest.approx({"1": 0, "2": 0, "3": 0.3333, "4": 0.6667}, abs=1e-4)


def test_it_finds_the_error_rates_that_the_votes_were_drawn_with() -> None:
    chance, rates = random.Random(1), {"a": 0.95, "b": 0.8, "c": 0.7, "d": 0.9, "e": 0.3}
    truth = [chance.choice("+-") for _ in range(3_000)]
    votes = {
        str(n): {who: right if chance.random() < rate else "+-"[right == "+"] for who, rate in rates.items()}
        for n, right in enumerate(truth)
    }
    found = estimate(votes, "+-")
    assert {who: found.right(who) for who in rates} == pytest.approx(rates, abs=0.03)
    majority = sum((list(votes[str(n)].values()).count(right) > 2) for n, right in enumerate(truth))
    estimated = sum(max(own, key=own.__getitem__) == truth[int(n)] for n, own in found.labels.items())
    assert estimated > majority


def test_who_says_that_they_are_uncertain_says_no_label() -> None:
    votes = {str(n): {"a": "+-"[n % 2], "b": "+-"[n % 2], "c": "?"} for n in range(8)} | {"8": {"c": "?"}, "9": {}}
    found = estimate(votes, "+-", "+-?")
    assert found.errors["c"]["+"]["?"] == pytest.approx(1)
    assert found.labels["8"] == pytest.approx({"+": 0.5, "-": 0.5})
    assert "9" not in found.labels
    assert (found.right("a"), found.right("c")) == pytest.approx((1, 0), abs=1e-6)


def test_who_shares_no_entry_with_anybody_says_nothing_of_it() -> None:
    votes = {"1": {"a": "+", "b": "+"}, "2": {"a": "-", "b": "-"}}
    found = estimate(votes | {"3": {"c": "+"}, "4": {"a": "-"}}, "+-")
    assert set(found.errors) == {"a", "b"}
    assert set(found.labels) == {"1", "2", "4"}
    assert found.labels == estimate(votes | {"4": {"a": "-"}}, "+-").labels


def test_nobody_and_everybody_alike_are_no_faults() -> None:
    assert estimate({}, "+-").labels == {}
    found = estimate({"1": {"a": "+", "b": "+"}, "2": {"a": "+"}}, "+-")
    assert found.labels["2"]["+"] == pytest.approx(1)
    assert all(sum(own.values()) == pytest.approx(1) for kinds in found.errors.values() for own in kinds.values())


def test_the_order_of_the_entries_changes_nothing() -> None:
    votes = {str(n): dict(zip("abcde", row, strict=True)) for n, row in enumerate(PATIENTS.split())}
    backwards = estimate(dict(reversed(votes.items())), "1234")
    assert backwards.labels["37"] == pytest.approx(estimate(votes, "1234").labels["37"], abs=1e-9)
