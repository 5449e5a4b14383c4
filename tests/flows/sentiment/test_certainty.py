"""Certainty of a label: the bootstrap's interval, and the comments that a stable label takes."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from flows.sentiment.certainty import (
    DRAWS,
    bootstrap_error,
    bootstrap_interval,
    comments_needed,
    distance_to_threshold,
    expected_stability,
    label_stability,
    labels_of,
    resampled_means,
    standard_deviation,
)
from flows.sentiment.labelling import AGGREGATIONS, ScoreGroup, Thresholds, aggregate, dominant_pole, label_of
from flows.settings import Aggregation

PAPER = Thresholds(positive=2.5, negative=-2.5)
GROUP = st.builds(ScoreGroup, st.integers(1, 5), st.integers(-5, -1), st.sampled_from([1.0, 2.5]), st.integers(1, 50))

MIXED = [ScoreGroup(4, -1, 1.0, 6), ScoreGroup(1, -2, 1.0, 3), ScoreGroup(1, -1, 1.0, 4)]


def times(count: int) -> list[ScoreGroup]:
    return [group._replace(n_comments=group.n_comments * count) for group in MIXED]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_interval_lies_about_the_mean_and_narrows_with_more_comments(aggregation: Aggregation) -> None:
    mean = aggregate(MIXED).by(aggregation)
    assert mean is not None
    few = bootstrap_interval(MIXED, aggregation, PAPER, mean=mean, seed="ad")
    many = bootstrap_interval(times(100), aggregation, PAPER, mean=mean, seed="ad")
    assert few is not None
    assert many is not None
    assert few.low < many.low < mean < many.high < few.high
    # a hundred times as many comments: about ten times as narrow
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(10, rel=0.25)


def test_the_draws_spread_as_drawing_comment_by_comment_does() -> None:
    scores = np.repeat([4, -2, 0], [6, 3, 4])
    drawn = np.random.default_rng(0).choice(scores, size=(4 * DRAWS, scores.size))
    one_by_one = drawn.sum(1) / np.maximum((drawn != 0).sum(1), 1)
    ours = resampled_means(MIXED, "dominant", "ad")
    assert ours.mean() == pytest.approx(one_by_one.mean(), abs=0.1)
    assert ours.std() == pytest.approx(one_by_one.std(), rel=0.1)


def test_a_label_that_hangs_on_a_few_comments_has_little_support() -> None:
    near = [ScoreGroup(4, -1, 1.0, 4), ScoreGroup(1, -2, 1.0, 1)]
    far = [ScoreGroup(4, -1, 1.0, 30), ScoreGroup(1, -2, 1.0, 1)]
    weak, firm = (
        bootstrap_interval(ad, "dominant", PAPER, mean=aggregate(ad).dominant, seed="ad") for ad in (near, far)
    )
    assert weak is not None
    assert firm is not None
    assert weak.label_support == pytest.approx(0.8**5 + 5 * 0.2 * 0.8**4, abs=0.05)
    assert firm.label_support > 0.99


def test_comments_that_all_agree_leave_no_doubt() -> None:
    agreed = bootstrap_interval([ScoreGroup(4, -1, 1.0, 5)], "dominant", PAPER, mean=4.0, seed="ad")
    assert agreed is not None
    assert (agreed.low, agreed.high, agreed.label_support) == (4, 4, 1)


def test_draws_in_which_no_comment_counts_are_left_out() -> None:
    lonely = [ScoreGroup(4, -1, 1.0, 1), ScoreGroup(1, -1, 1.0, 9)]
    means = resampled_means(lonely, "dominant", "ad")
    assert set(means) == {4.0}
    assert means.size == pytest.approx(DRAWS * (1 - 0.9**10), rel=0.1)


def test_a_few_comments_have_no_interval_for_one_alone_would_look_the_surest() -> None:
    four = [ScoreGroup(4, -1, 1.0, 4), ScoreGroup(1, -1, 1.0, 9)]
    assert bootstrap_interval(four, "dominant", PAPER, mean=4.0, seed="ad") is None
    assert bootstrap_interval(four, "scale", PAPER, mean=12 / 13, seed="ad") is not None, (
        "there the neutral ones count, too"
    )


def test_an_ad_without_a_mean_has_no_interval() -> None:
    assert bootstrap_interval([], "dominant", PAPER, mean=None, seed="ad") is None
    assert bootstrap_interval([ScoreGroup(1, -1, 1.0, 3)], "dominant", PAPER, mean=None, seed="ad") is None


@settings(max_examples=40)
@given(
    st.lists(GROUP, min_size=1, max_size=8),
    st.sampled_from(AGGREGATIONS),
    st.text(st.characters(codec=None), max_size=5),
)
def test_the_same_comments_in_any_order_give_the_same_interval(
    comments: list[ScoreGroup], aggregation: Aggregation, seed: str
) -> None:
    mean = aggregate(comments).by(aggregation)
    found = bootstrap_interval(comments, aggregation, PAPER, mean=mean, seed=seed)
    assert found == bootstrap_interval(comments[::-1], aggregation, PAPER, mean=mean, seed=seed)
    if found is not None:
        assert -5 <= found.low <= found.high <= 5
        assert 0 <= found.label_support <= 1


SIZES = (1, 3, 10, 40)
DRAWN = 4000


def off_by_chance(share: float) -> float:
    """Five standard errors of a share of `DRAWN` draws, and a little for shares of nearly 0 or 1."""
    return 5 * math.sqrt(share * (1 - share) / DRAWN) + 0.001


@pytest.mark.parametrize("n_loved", [8, 17, 19])
def test_of_two_kinds_of_comments_the_stability_is_binomial(n_loved: int) -> None:
    ad = [ScoreGroup(4, -1, 1.0, n_loved), ScoreGroup(1, -2, 1.0, 20 - n_loved)]
    found = label_stability(ad, "dominant", PAPER, SIZES, seed="ad", draws=DRAWN)
    for size, share in zip(SIZES, found, strict=True):
        # 4 k - 2 (n - k) > 2.5 n where k > 0.75 n; no draw comes to -2.5
        positive = stats.binom.sf(math.floor(0.75 * size), size, n_loved / 20)
        expected = positive if n_loved > 15 else 1 - positive
        assert share == pytest.approx(expected, abs=off_by_chance(expected)), size


@settings(max_examples=15)
@given(
    st.lists(
        st.builds(ScoreGroup, st.integers(1, 5), st.integers(-5, -1), st.just(1.0), st.integers(1, 9)), min_size=2
    ),
    st.sampled_from(AGGREGATIONS),
)
def test_the_stability_is_that_of_the_exact_distribution(ad: list[ScoreGroup], aggregation: Aggregation) -> None:
    """The sum of n comments has the n-fold convolution of one comment's distribution."""
    one = np.zeros(11)
    for positive, negative, _, count in ad:
        pole = dominant_pole(positive, negative)
        if aggregation == "scale":
            one[positive + negative + 5] += count
        elif pole or aggregation == "dominant_with_neutral":
            one[pole + 5] += count
    if not one.any():
        with pytest.raises(ValueError, match="none of"):
            label_stability(ad, aggregation, PAPER, SIZES, seed="ad")
        return
    one /= one.sum()
    label = label_of(float(np.arange(-5, 6) @ one), Thresholds(1.0, -1.0))
    found = label_stability(ad, aggregation, Thresholds(1.0, -1.0), SIZES, seed="ad", draws=DRAWN)
    if abs(abs(np.arange(-5, 6) @ one) - 1) < 1e-9:
        return  # on a threshold, where the last bit of the sum decides the ad's own label
    for size, share in zip(SIZES, found, strict=True):
        sums = reduce(np.convolve, [one] * size)
        means = np.arange(-5 * size, 5 * size + 1) / size
        same = sum(p for mean, p in zip(means, sums, strict=True) if label_of(mean, Thresholds(1.0, -1.0)) == label)
        assert share == pytest.approx(same, abs=off_by_chance(min(max(same, 0), 1))), size


@given(st.integers(1, 5), st.integers(-5, -1), st.integers(1, 300), st.sampled_from(AGGREGATIONS))
def test_comments_that_all_agree_are_stable_at_any_number(
    positive: int, negative: int, count: int, aggregation: Aggregation
) -> None:
    ad = [ScoreGroup(positive, negative, 1.0, count)]
    if aggregation != "dominant" or dominant_pole(positive, negative):
        assert (label_stability(ad, aggregation, PAPER, [1, 7, 500], seed="ad", draws=50) == 1).all()
        assert standard_deviation(ad, aggregation) == 0


def test_more_comments_make_a_label_surer_the_further_its_mean_lies_from_a_threshold() -> None:
    near, far = (
        label_stability(
            [ScoreGroup(4, -1, 1.0, loved), ScoreGroup(1, -3, 1.0, 100 - loved)],
            "dominant",
            PAPER,
            [25, 125, 625],  # of five, the few possible means make a draw right by luck more often than of 25
            seed="ad",
            draws=DRAWN,
        )
        for loved in (83, 90)  # means of 2.81 and 3.3
    )
    assert (np.diff(near) > 0).all()
    assert (np.diff(far) >= 0).all()
    assert (far[:2] > near[:2]).all()
    assert near[-1] > 0.99


def test_as_many_draws_of_as_many_comments_are_the_support() -> None:
    ad = [ScoreGroup(4, -1, 1.0, 9), ScoreGroup(1, -2, 1.0, 2)]
    interval = bootstrap_interval(ad, "dominant", PAPER, mean=aggregate(ad).dominant, seed="ad")
    assert interval is not None
    assert label_stability(ad, "dominant", PAPER, [11], seed="ad").tolist() == [interval.label_support]


def test_neutral_comments_are_not_drawn_where_they_do_not_count() -> None:
    ad = [ScoreGroup(4, -1, 1.0, 2), ScoreGroup(1, -2, 1.0, 1), ScoreGroup(1, -1, 1.0, 500)]
    assert label_stability(ad, "dominant", PAPER, [1], seed="ad", draws=DRAWN)[0] == pytest.approx(1 / 3, abs=0.04)


@given(st.lists(st.floats(-5, 5) | st.sampled_from([2.5, -2.5, math.nan]), min_size=1))
def test_labels_of_many_means_are_those_of_each(means: list[float]) -> None:
    names = {1: "positive", -1: "negative", 0: None}
    assert [names[int(label)] for label in labels_of(np.array(means), PAPER)] == [
        label_of(mean, PAPER) for mean in means
    ]


@given(st.lists(GROUP, min_size=1), st.sampled_from(AGGREGATIONS))
def test_the_standard_deviation_is_that_of_the_comments_one_by_one(
    ad: list[ScoreGroup], aggregation: Aggregation
) -> None:
    values, weights = [], []
    for positive, negative, weight, count in ad:
        pole = dominant_pole(positive, negative)
        if pole or aggregation != "dominant":
            values += [positive + negative if aggregation == "scale" else pole] * count
            weights += [weight] * count
    found = standard_deviation(ad, aggregation)
    if not values:
        assert math.isnan(found)
        return
    expected = math.sqrt(np.cov(values, aweights=weights, ddof=0)) if len(values) > 1 else 0
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_error_by_the_interval_is_the_deviation_over_the_root_of_the_number() -> None:
    ad = [ScoreGroup(4, -1, 1.0, 300), ScoreGroup(1, -2, 1.0, 100)]
    intervals = [bootstrap_interval(ad, "dominant", PAPER, mean=2.5, seed=f"ad {n}") for n in range(20)]
    errors = [bootstrap_error(interval.low, interval.high) for interval in intervals if interval is not None]
    # the ends of one interval of a thousand draws are 5 % off
    assert np.mean(errors) == pytest.approx(standard_deviation(ad, "dominant") / 20, rel=0.03)


def test_one_error_by_hand_between_and_beyond_the_thresholds() -> None:
    assert expected_stability(3.5, 1.0, PAPER) == pytest.approx(0.8413, abs=1e-4)
    assert expected_stability(0.0, 2.5, PAPER) == pytest.approx(0.6827, abs=1e-4)
    assert expected_stability(-3.5, 1.0, PAPER) == pytest.approx(0.8413, abs=1e-4)
    assert expected_stability(2.5, 0.0, PAPER) == 1


@given(st.floats(-5, 5), st.floats(0.1, 5), st.integers(1, 500), st.integers(1, 500))
def test_more_comments_never_lower_the_expected_stability(mean: float, sd: float, n: int, more: int) -> None:
    few, many = (expected_stability(mean, sd / math.sqrt(count), PAPER) for count in (n, n + more))
    assert 0 <= few <= many + 1e-12 <= 1 + 1e-9


@given(st.floats(0.05, 4), st.floats(0.1, 4), st.floats(0.51, 0.999))
def test_the_comments_needed_are_the_first_that_are_enough(distance: float, sd: float, stability: float) -> None:
    needed = comments_needed(distance, sd, stability)
    reached = [stats.norm.cdf(distance * math.sqrt(n) / sd) for n in (needed - 1, needed)]
    assert reached[1] >= stability - 1e-9
    assert needed == 1 or reached[0] < stability + 1e-9


def test_comments_needed_at_the_edges() -> None:
    assert comments_needed(0.0, 1.0) == math.inf
    assert comments_needed(0.0, 0.0) == 1
    assert comments_needed(0.1, 2.0) == math.ceil((1.6448536 * 20) ** 2)
    assert distance_to_threshold(-2.75, PAPER) == 0.25
    assert distance_to_threshold(1.0, PAPER) == 1.5
