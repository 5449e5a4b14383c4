"""Drift is said where it is, and not where there is none, with ads as witnesses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.monitor.drift import MIN_ADS, Drift, compare, corrected, index_by_chance, stability_index


def numbers(values: np.ndarray, name: str = "a") -> dict[str, float]:
    return {f"{name}{at}": float(value) for at, value in enumerate(values)}


def of(reference: dict[str, float] | dict[str, str], period: dict[str, float] | dict[str, str]) -> Drift:
    return corrected([compare("measure", "", reference, period, {})])[0]


def test_the_stability_index_is_the_sum_over_the_bins() -> None:
    counts = np.array([[100, 200, 700], [300, 300, 400]])
    shares = [[100.5 / 1001.5, 200.5 / 1001.5, 700.5 / 1001.5], [300.5 / 1001.5, 300.5 / 1001.5, 400.5 / 1001.5]]
    by_hand = math.fsum((q - p) * math.log(q / p) for p, q in zip(*shares, strict=True))
    assert stability_index(counts) == pytest.approx(by_hand)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=8))
def test_the_index_is_finite_not_negative_and_the_same_both_ways(bins: list[tuple[int, int]]) -> None:
    counts = np.array(bins).T
    assert 0 <= stability_index(counts) < math.inf
    assert stability_index(counts) == pytest.approx(stability_index(counts[::-1]))
    assert stability_index(np.array([counts[0], counts[0]])) == pytest.approx(0)


def test_where_nothing_drifts_tests_and_index_are_beyond_their_limits_as_often_as_they_say() -> None:
    chance = np.random.default_rng(0)
    found = [of(numbers(chance.gamma(2, 4, 150)), numbers(chance.gamma(2, 4, 60), "b")) for _ in range(120)]
    assert sum(drift.verdict == "differs" for drift in found) <= 13
    beyond = sum((drift.psi or 0) > (drift.psi_by_chance or 0) for drift in found)
    assert 1 <= beyond <= 16
    kinds = [chance.choice(["a", "b", "c"], (2, 80), p=[0.8, 0.17, 0.03]).tolist() for _ in range(40)]
    shares = [
        of({f"a{at}": kind for at, kind in enumerate(one)}, {f"b{at}": kind for at, kind in enumerate(other)})
        for one, other in kinds
    ]
    assert sum(drift.verdict == "differs" for drift in shares) <= 7


def test_planted_drift_is_found() -> None:
    chance = np.random.default_rng(1)
    wordier = of(numbers(chance.poisson(8, 200)), numbers(chance.poisson(12, 60), "b"))
    assert (wordier.verdict, wordier.test) == ("differs", "Kolmogorov-Smirnov")
    assert (wordier.psi or 0) > (wordier.psi_by_chance or 0)
    assert wordier.reference is not None
    assert wordier.period is not None
    assert wordier.period > wordier.reference + 2
    mix = of({f"a{at}": "ab"[at % 2] for at in range(100)}, {f"b{at}": "abb<b>c"[at % 7] for at in range(100)})
    assert (mix.verdict, mix.test, mix.reference) == ("differs", "chi-squared", None)
    assert math.fsum(one.reference for one in mix.bins) == pytest.approx(1)
    assert math.fsum(one.period for one in mix.bins) == pytest.approx(1)


def test_frames_and_uploads_of_an_ad_are_one_witness() -> None:
    chance = np.random.default_rng(2)
    reference, period = numbers(chance.normal(0, 1, 40)), numbers(chance.normal(0, 1, 12), "b")
    alone = compare("measure", "", reference, period, {})
    # an ad far out, uploaded fifty times
    copies = {f"c{at}": 9.0 for at in range(50)}
    uploads = dict.fromkeys(copies, "group")
    together = compare("measure", "", reference, {**period, **copies}, uploads)
    assert (alone.n_period, together.n_period) == (12, 13)
    assert corrected([together])[0].verdict == "nothing distinguishable"
    assert of(reference, {**period, **copies}).verdict == "differs"


def test_p_values_are_corrected_for_the_number_of_tests() -> None:
    one = compare("measure", "", numbers(np.arange(20)), numbers(np.arange(20) + 9.5, "b"), {})
    assert one.p is not None
    assert corrected([one])[0].p == pytest.approx(one.p)
    none = compare("other", "", numbers(np.arange(20)), numbers(np.arange(20), "b"), {})
    few = compare("few", "", numbers(np.arange(20)), numbers(np.arange(MIN_ADS - 1), "b"), {})
    many = corrected([one, few, *[none] * 9])
    assert many[0].p == pytest.approx(10 * one.p)
    assert (many[1].p, many[1].verdict, many[1].psi) == (None, "too few ads", None)
    assert corrected([few]) == [few]


def test_a_measure_that_is_always_the_same_does_not_differ() -> None:
    same = of(numbers(np.full(30, 7.0)), numbers(np.full(30, 7.0), "b"))
    assert (same.verdict, same.psi_by_chance) == ("nothing distinguishable", 0)
    assert same.psi == pytest.approx(0)
    named = of(dict.fromkeys(map(str, range(30)), "x"), dict.fromkeys(map(str, range(30, 60)), "x"))
    assert named.verdict == "nothing distinguishable"
    assert index_by_chance(np.array([[5], [5]])) == 0
