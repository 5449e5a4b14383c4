"""Scores, intervals and tests: scikit-learn's and SciPy's figures, hand computations, coverage in simulations."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, classification_report, f1_score

from fgmfn.errors import FgmfnError
from fgmfn.evaluation import Metrics
from fgmfn.statistics import (
    LEVEL,
    by_group,
    calibration,
    mcnemar,
    measure,
    paired_difference,
    score_intervals,
)

Row = tuple[str, int, int, int]
"""An ad, the true class, and what either model names."""
CLASSES = 3
ROWS = st.lists(st.tuples(st.sampled_from("abcdef"), *[st.integers(0, CLASSES - 1)] * 3), min_size=1, max_size=40)


def gains(rows: list[Row]) -> tuple[float, float]:
    """The same in scikit-learn's words."""
    _, true, old, new = zip(*rows, strict=True)

    def f1(named: tuple[int, ...]) -> float:
        return float(f1_score(true, named, labels=range(CLASSES), average="macro", zero_division=0))

    return accuracy_score(true, new) - accuracy_score(true, old), f1(new) - f1(old)


def difference(rows: list[Row], draws: int = 50) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    ads, true, old, new = zip(*rows, strict=True)
    found = paired_difference(true, old, new, ads, CLASSES, draws=draws)
    assert (found.rows, found.groups) == (len(rows), len(set(ads)))
    return found.accuracy, found.macro_f1


@settings(max_examples=25)
@given(ROWS)
def test_the_difference_is_that_of_scikit_learns_scores(rows: list[Row]) -> None:
    accuracy, macro_f1 = difference(rows)
    assert (accuracy[0], macro_f1[0]) == pytest.approx(gains(rows))
    assert accuracy[1] <= accuracy[2]
    assert macro_f1[1] <= macro_f1[2]


@settings(max_examples=25)
@given(ROWS)
def test_the_other_way_round_it_is_the_same_with_the_other_sign(rows: list[Row]) -> None:
    turned = [(ad, true, new, old) for ad, true, old, new in rows]
    for (value, low, high), (back, back_low, back_high) in zip(difference(rows), difference(turned), strict=True):
        assert (value, low, high) == pytest.approx((-back, -back_high, -back_low))


@settings(max_examples=25)
@given(ROWS, st.integers(2, 4))
def test_more_rows_of_the_same_ads_make_nothing_surer(rows: list[Row], times: int) -> None:
    for once, often in zip(difference(rows), difference(rows * times), strict=True):
        assert once == pytest.approx(often)


def test_the_interval_is_that_of_drawing_whole_ads_again_and_again() -> None:
    draw = random.Random(1)
    rows = [(f"ad{ad}", true, true if draw.random() < 0.6 else 0, true if draw.random() < 0.75 else 1)
            for ad in range(40) for true in [draw.randrange(CLASSES)] for _ in range(draw.randint(1, 6))]  # fmt: skip
    of_ad = {ad: [row for row in rows if row[0] == ad] for ad, *_ in rows}
    drawn = [gains([row for ad in draw.choices(list(of_ad), k=len(of_ad)) for row in of_ad[ad]]) for _ in range(200)]
    expected = np.quantile(drawn, (0.025, 0.975), axis=0).T
    for (_, *interval), wanted in zip(difference(rows, draws=2000), expected, strict=True):
        assert interval == pytest.approx(wanted, abs=0.05)


def test_without_rows_there_is_nothing_to_compare() -> None:
    with pytest.raises(FgmfnError, match="no rows"):
        paired_difference([], [], [], [], 2)


@pytest.mark.parametrize(
    ("true", "predicted", "groups", "message"),
    [
        ([0, 1], [0], ["a", "b"], "each row needs all"),
        ([0, 1], [0, 1], ["a"], "each row needs all"),
        ([0, -1], [0, 1], ["a", "b"], "expected classes from 0 to 1"),
        ([0, 1], [0, 2], ["a", "b"], "expected classes from 0 to 1"),
        ([], [], [], "no rows"),
    ],
)
def test_rows_that_do_not_fit_or_have_no_label_are_refused(
    true: list[int], predicted: list[int], groups: list[str], message: str
) -> None:
    with pytest.raises(FgmfnError, match=message):
        score_intervals(true, predicted, groups, 2)


def test_different_numbers_of_seeds_are_refused() -> None:
    with pytest.raises(FgmfnError, match="give the same seeds"):
        paired_difference([0, 1], [[0, 1]], [[0, 1], [1, 1]], ["a", "b"], 2)


@settings(max_examples=20)
@given(ROWS, st.integers(1, 3))
def test_identical_models_differ_by_nothing(rows: list[Row], seeds: int) -> None:
    ads, true, old, _ = zip(*rows, strict=True)
    found = paired_difference(true, [old] * seeds, [old] * seeds, ads, CLASSES, draws=40)
    assert {*found.accuracy, *found.macro_f1} == {0.0}
    assert set(found.p) == {1.0}


SEEDS = st.integers(2, 4).flatmap(
    lambda seeds: st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 2), *[st.integers(0, 2)] * (2 * seeds)),
        min_size=2,
        max_size=30,
    )
)


@settings(max_examples=20)
@given(SEEDS)
def test_over_seeds_the_mean_difference_turns_its_sign_with_the_models(
    rows: list[tuple[str, *tuple[int, ...]]],
) -> None:
    ads, true, *named = zip(*rows, strict=True)
    old, new = named[::2], named[1::2]
    one, back = (paired_difference(true, *pair, ads, CLASSES, draws=40) for pair in ((old, new), (new, old)))
    expected = np.mean([accuracy_score(true, b) - accuracy_score(true, a) for a, b in zip(old, new, strict=True)])
    assert one.accuracy.value == pytest.approx(expected)
    for there, here in ((one.accuracy, back.accuracy), (one.macro_f1, back.macro_f1)):
        assert tuple(there) == pytest.approx((-here.value, -here.high, -here.low))
    assert one.p == pytest.approx(back.p)
    assert one.seeds == len(old)


def audiences(
    random_: np.random.Generator, groups: int, rows: int, *, within: float = 0.3
) -> tuple[list[str], np.ndarray]:
    """Ads of `rows` frames each, and how likely a model is right on each frame: 0.7 on average, alike within an ad."""
    of_ad = np.clip(0.7 + within * random_.choice([-1, 1], size=groups), 0, 1)
    return [f"ad{number // rows}" for number in range(groups * rows)], np.repeat(of_ad, rows)


def coverage(interval: Callable[[np.random.Generator], tuple[float, float]], truth: float, times: int = 200) -> float:
    found = [interval(np.random.default_rng(number)) for number in range(times)]
    return float(np.mean([low <= truth <= high for low, high in found]))


def test_an_interval_over_ads_covers_the_truth_and_one_over_frames_does_not() -> None:
    def interval(random_: np.random.Generator, *, clustered: bool) -> tuple[float, float]:
        ads, likely = audiences(random_, groups=40, rows=8)
        right = random_.random(len(ads)) < likely
        own = ads if clustered else [str(number) for number in range(len(ads))]
        return score_intervals(np.ones(len(ads), int).tolist(), right.astype(int), own, 2, draws=200).accuracy[1:]

    assert 0.9 <= coverage(lambda random_: interval(random_, clustered=True), truth=0.7) <= 0.99
    assert coverage(lambda random_: interval(random_, clustered=False), truth=0.7) < 0.75


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_interval_over_seeds_covers_the_truth_and_that_of_their_pooled_rows_does_not(seeds: int) -> None:
    def interval(random_: np.random.Generator, *, pooled: bool) -> tuple[float, float]:
        ads, likely = audiences(random_, groups=100, rows=1, within=0.0)
        luck = random_.normal(0, 0.1, size=(seeds, 1))  # of each seed, on all rows
        right = (random_.random((seeds, len(ads))) < likely + luck).astype(int)
        true = np.ones(len(ads), int).tolist()
        if pooled:
            return score_intervals(true * seeds, right.ravel(), ads * seeds, 2, draws=200).accuracy[1:]
        return score_intervals(true, right, ads, 2, draws=200).accuracy[1:]

    assert coverage(lambda random_: interval(random_, pooled=False), truth=0.7) >= 0.91
    assert coverage(lambda random_: interval(random_, pooled=True), truth=0.7) < 0.85


@pytest.mark.parametrize(("groups", "seeds"), [(5, 1), (40, 1), (40, 3)])
def test_models_that_are_equally_good_are_seldom_told_apart(groups: int, seeds: int) -> None:
    def told_apart(number: int) -> bool:
        random_ = np.random.default_rng(number)
        ads, likely = audiences(random_, groups=groups, rows=6)
        ads, other = audiences(random_, groups=groups, rows=6)
        luck = random_.normal(0, 0.05, size=(2, seeds, 1))
        old, new = (
            (random_.random((seeds, len(ads))) < own + of) for own, of in zip((likely, other), luck, strict=True)
        )
        true = np.ones(len(ads), int).tolist()
        return paired_difference(true, old.astype(int), new.astype(int), ads, 2, draws=200).p[0] < LEVEL

    assert np.mean([told_apart(number) for number in range(200)]) <= 0.085


def test_a_difference_that_is_there_is_found() -> None:
    random_ = np.random.default_rng(3)
    ads, likely = audiences(random_, groups=200, rows=3)
    old, new = ((random_.random(len(ads)) < likely + gain).astype(int) for gain in (0.0, 0.3))
    found = paired_difference(np.ones(len(ads), int).tolist(), old, new, ads, 2)
    assert found.p[0] < LEVEL
    assert found.accuracy.low > 0


def test_few_ads_tell_no_models_apart_whatever_their_frames_say() -> None:
    ads = [f"ad{number // 100}" for number in range(300)]
    found = paired_difference([1] * 300, [0] * 300, [1] * 300, ads, 2)
    assert found.accuracy == (1.0, 1.0, 1.0)
    assert found.p[0] == pytest.approx(2 / 8, abs=0.03)  # of the 8 exchanges of three ads, two bring as much


def test_the_p_value_of_few_ads_is_that_of_all_their_exchanges() -> None:
    random_ = random.Random(5)
    rows = [(ad, true, true if random_.random() < 0.4 else 0, true if random_.random() < 0.9 else 1)
            for ad in "abcdefg" for true in (0, 1, 2, 1)]  # fmt: skip
    ads, true, old, new = zip(*rows, strict=True)
    observed, reached = gains(rows)[0], 0
    for exchanged in product((False, True), repeat=7):
        swapped = dict(zip("abcdefg", exchanged, strict=True))
        turned = [(ad, label, *((b, a) if swapped[ad] else (a, b))) for ad, label, a, b in rows]
        reached += abs(gains(turned)[0]) >= abs(observed) - 1e-12
    assert paired_difference(true, old, new, ads, CLASSES).p[0] == pytest.approx(reached / 2**7, abs=0.02)


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemars_test_is_the_binomial_one_of_the_rows_on_which_models_differ(old: int, new: int) -> None:
    true = [1] * (old + new + 5)
    found = mcnemar(true, [1] * old + [0] * new + [1] * 5, [0] * old + [1] * new + [1] * 5)
    tail = sum(math.comb(old + new, at) for at in range(min(old, new) + 1)) / 2 ** (old + new)
    assert found[:2] == (old, new)
    assert found.p == pytest.approx(min(1.0, 2 * tail))


def test_with_many_rows_mcnemars_exact_test_is_near_that_of_the_chi_squared_distribution() -> None:
    found = mcnemar([1] * 300, [1] * 170 + [0] * 130, [0] * 170 + [1] * 130)
    assert found.p == pytest.approx(chi2.sf((abs(170 - 130) - 1) ** 2 / 300, df=1), abs=0.002)


def shares(random_: np.random.Generator, rows: int) -> np.ndarray:
    return random_.dirichlet(np.ones(CLASSES) / 2, size=rows)


def test_calibration_bins_are_scikit_learns_and_both_errors_those_of_their_definitions() -> None:
    random_ = np.random.default_rng(0)
    probabilities = shares(random_, 500)
    true = random_.integers(0, CLASSES, 500)
    found = calibration(true.tolist(), probabilities, bins=10)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    accuracy, sure = calibration_curve(right, confidence, n_bins=10)
    assert [one["accuracy"] for one in found["bins"]] == pytest.approx(accuracy)
    assert [one["confidence"] for one in found["bins"]] == pytest.approx(sure)
    assert sum(one["rows"] for one in found["bins"]) == 500
    weighed = sum(one["rows"] * abs(a - s) for one, a, s in zip(found["bins"], accuracy, sure, strict=True)) / 500
    assert found["ece"] == pytest.approx(weighed)
    squared = ((probabilities - np.eye(CLASSES)[true]) ** 2).sum(axis=1).mean()
    assert found["brier"] == pytest.approx(squared)


def test_calibration_of_a_few_rows_by_hand() -> None:
    found = calibration([0, 1, 1], np.array([[1.0, 0.0], [0.4, 0.6], [0.6, 0.4]], np.float32), bins=5)
    # one sure and right; two sure by 0.6, of which one is right: |1 - 1| / 3 + 2 |0.5 - 0.6| / 3
    assert found["ece"] == pytest.approx(0.2 / 3)
    assert found["brier"] == pytest.approx((0 + 0.32 + 0.72) / 3)
    assert [(one["rows"], round(one["accuracy"], 6)) for one in found["bins"]] == [(2, 0.5), (1, 1.0)]


def test_a_split_is_measured_as_scikit_learn_reports_it() -> None:
    random_ = np.random.default_rng(1)
    probabilities = shares(random_, 90)
    true = random_.choice(CLASSES, 90, p=(0.2, 0.5, 0.3)).tolist()
    names = ("negative", "neutral", "positive")
    found = measure(true, probabilities, [str(row // 2) for row in range(90)], names)
    report = classification_report(
        true, probabilities.argmax(axis=1), labels=range(CLASSES), target_names=names, output_dict=True, zero_division=0
    )
    assert found.per_class
    assert found.majority
    for name in names:
        expected = {"precision": "precision", "recall": "recall", "f1-score": "f1", "support": "rows"}
        assert found.per_class[name] == pytest.approx({ours: report[name][key] for key, ours in expected.items()})
    assert found.accuracy == pytest.approx(report["accuracy"])
    assert found.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert found.majority["accuracy"] == pytest.approx(max(map(true.count, range(CLASSES))) / 90)
    assert found.majority["macro_f1"] == pytest.approx(
        f1_score(true, [1] * 90, labels=range(CLASSES), average="macro", zero_division=0)
    )
    assert found.accuracy_interval
    assert found.accuracy_interval[0] < found.accuracy < found.accuracy_interval[1]
    assert (found.rows, found.groups, found.per_group) == (90, 45, None)  # frames of several classes


def test_an_ad_is_judged_by_the_mean_of_its_frames() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.45, 0.55]])
    found = measure([0, 0, 0, 1], probabilities, ["a", "a", "a", "b"], ("negative", "positive"))
    assert found.accuracy == 0.5
    assert found.per_group == {"accuracy": 1.0, "macro_f1": 1.0, "groups": 2}
    assert by_group([0, 1], probabilities[:2], ["a", "b"]) is None


def test_metrics_are_read_back_and_those_of_older_runs_too() -> None:
    found = measure([0, 0, 1], np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]), ["a", "a", "b"], ("no", "yes"))
    assert Metrics.from_json(found.as_json()) == found
    old = {"accuracy": 0.5, "macro_f1": 0.4, "confusion": [[1, 1], [0, 0]], "rows": 2}
    assert Metrics.from_json(old) == Metrics(0.5, 0.4, ((1, 1), (0, 0)), 2)
