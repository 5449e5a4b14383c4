"""From strengths to an ad's label: dominant poles, means and thresholds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import SentimentError
from flows.sentiment.labelling import (
    ScoreGroup,
    Thresholds,
    aggregate,
    dominant_pole,
    label_of,
    like_weight,
    quantile_thresholds,
)

PAPER = Thresholds(positive=2.5, negative=-2.5)


@pytest.mark.parametrize(
    ("positive", "negative", "pole"), [(1, -1, 0), (4, -4, 0), (4, -2, 4), (2, -5, -5), (5, -1, 5), (1, -2, -2)]
)
def test_the_dominant_pole_is_the_stronger_strength_and_a_tie_is_neutral(
    positive: int, negative: int, pole: int
) -> None:
    assert dominant_pole(positive, negative) == pole


def test_the_three_means_of_one_ad() -> None:
    means = aggregate([ScoreGroup(4, -1, 1, 2), ScoreGroup(1, -1, 1, 1), ScoreGroup(2, -3, 1, 1)])
    assert (means.n_scored, means.n_neutral, means.n_not_neutral) == (4, 1, 3)
    assert means.dominant == pytest.approx((4 + 4 - 3) / 3)
    assert means.dominant_with_neutral == pytest.approx((4 + 4 - 3) / 4)
    assert means.scale == pytest.approx((3 + 3 + 0 - 1) / 4)


def test_an_ad_without_comments_or_with_neutral_ones_only_has_no_dominant_mean() -> None:
    assert aggregate([]).scale is None
    silent = aggregate([ScoreGroup(1, -1, 1, 3)])
    assert (silent.dominant, silent.dominant_with_neutral) == (None, 0)


def test_a_comment_counts_as_often_as_its_weight_says() -> None:
    liked = aggregate([ScoreGroup(4, -1, 3.0, 1), ScoreGroup(1, -2, 1.0, 1), ScoreGroup(1, -1, 4.0, 1)])
    assert (liked.n_scored, liked.n_neutral) == (3, 1)
    assert liked.dominant == pytest.approx((3 * 4 - 2) / 4)
    assert liked.dominant_with_neutral == pytest.approx((3 * 4 - 2) / 8)
    assert liked.scale == pytest.approx((3 * 3 - 1) / 8)


def test_likes_weigh_nothing_their_logarithm_or_themselves() -> None:
    assert [like_weight(9, "none"), like_weight(9, "linear"), like_weight(0, "log")] == [1, 10, 1]
    assert like_weight(9, "log") == pytest.approx(1 + 2.302585)


GROUP = st.builds(ScoreGroup, st.integers(1, 5), st.integers(-5, -1), st.sampled_from([1.0, 2.5]), st.integers(1, 50))


@given(st.lists(GROUP), st.randoms())
def test_the_order_of_the_comments_does_not_matter_and_means_stay_in_range(
    comments: list[ScoreGroup], chance: random.Random
) -> None:
    shuffled = chance.sample(comments, len(comments))
    means = aggregate(comments)
    assert aggregate(shuffled) == means
    assert all(mean is None or -5 <= mean <= 5 for mean in (means.dominant, means.dominant_with_neutral, means.scale))


@pytest.mark.parametrize(
    ("mean", "label"), [(2.5, None), (2.51, "positive"), (-2.5, "negative"), (-2.49, None), (0.0, None), (None, None)]
)
def test_the_papers_thresholds_leave_out_2_5_above_and_take_it_below(mean: float | None, label: str | None) -> None:
    assert label_of(mean, PAPER) == label


@given(st.lists(st.floats(-5, 5), min_size=2, unique=True), st.floats(0.01, 0.5))
def test_quantile_thresholds_label_the_share_at_each_end_and_never_more_than_half(
    means: list[float], share: float
) -> None:
    thresholds = quantile_thresholds(means, share)
    labels = [label_of(mean, thresholds) for mean in means]
    expected = min(max(1, round(share * len(means))), len(means) // 2)
    assert labels.count("positive") == labels.count("negative") == expected
    highest, lowest = max(means), min(means)
    assert (label_of(highest, thresholds), label_of(lowest, thresholds)) == ("positive", "negative")


def test_equal_means_are_never_both_positive_and_negative() -> None:
    thresholds = quantile_thresholds([1.0, 1.0, 1.0, 1.0], 0.5)
    assert label_of(1.0, thresholds) == "negative"
    assert thresholds.positive >= 1.0


def test_a_share_beyond_a_half_is_refused() -> None:
    with pytest.raises(SentimentError, match=r"0\.6"):
        quantile_thresholds([1.0, 2.0], 0.6)


def test_one_ad_alone_is_not_put_at_both_ends() -> None:
    assert label_of(1.0, quantile_thresholds([1.0], 0.2)) is None
