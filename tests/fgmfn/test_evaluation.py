"""The paired difference of two models: scikit-learn's scores, and intervals over ads, not over rows."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from fgmfn.errors import FgmfnError
from fgmfn.evaluation import paired_difference

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
    drawn = [gains([row for ad in draw.choices(list(of_ad), k=len(of_ad)) for row in of_ad[ad]]) for _ in range(400)]
    expected = np.quantile(drawn, (0.025, 0.975), axis=0).T
    for (_, *interval), wanted in zip(difference(rows, draws=2000), expected, strict=True):
        assert interval == pytest.approx(wanted, abs=0.04)


def test_without_rows_there_is_nothing_to_compare() -> None:
    with pytest.raises(FgmfnError, match="no rows"):
        paired_difference([], [], [], [], 2)
