"""How firm a mean is: the interval covers it, narrows with more comments, and is the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.sentiment.bootstrap import DRAWS, firmness, resampled_means
from flows.sentiment.labelling import AGGREGATIONS, Aggregation, Alike, Thresholds, aggregate

PAPER = Thresholds(positive=2.5, negative=-2.5)
MIXED = [Alike(4, -1, 1.0, 6), Alike(1, -2, 1.0, 3), Alike(1, -1, 1.0, 4)]


def times(count: int) -> list[Alike]:
    return [alike._replace(n_comments=alike.n_comments * count) for alike in MIXED]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_interval_lies_about_the_mean_and_narrows_with_more_comments(aggregation: Aggregation) -> None:
    mean = aggregate(MIXED).by(aggregation)
    assert mean is not None
    few = firmness(MIXED, aggregation, PAPER, mean=mean, seed="ad")
    many = firmness(times(100), aggregation, PAPER, mean=mean, seed="ad")
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
    near = [Alike(4, -1, 1.0, 4), Alike(1, -2, 1.0, 1)]
    far = [Alike(4, -1, 1.0, 30), Alike(1, -2, 1.0, 1)]
    weak, firm = (firmness(ad, "dominant", PAPER, mean=aggregate(ad).dominant, seed="ad") for ad in (near, far))
    assert weak is not None
    assert firm is not None
    assert weak.label_support == pytest.approx(0.8**5 + 5 * 0.2 * 0.8**4, abs=0.05)
    assert firm.label_support > 0.99


def test_comments_that_all_agree_leave_no_doubt() -> None:
    agreed = firmness([Alike(4, -1, 1.0, 5)], "dominant", PAPER, mean=4.0, seed="ad")
    assert agreed is not None
    assert (agreed.low, agreed.high, agreed.label_support) == (4, 4, 1)


def test_draws_in_which_no_comment_counts_are_left_out() -> None:
    lonely = [Alike(4, -1, 1.0, 1), Alike(1, -1, 1.0, 9)]
    means = resampled_means(lonely, "dominant", "ad")
    assert set(means) == {4.0}
    assert means.size == pytest.approx(DRAWS * (1 - 0.9**10), rel=0.1)


def test_a_few_comments_have_no_interval_for_one_alone_would_look_the_surest() -> None:
    four = [Alike(4, -1, 1.0, 4), Alike(1, -1, 1.0, 9)]
    assert firmness(four, "dominant", PAPER, mean=4.0, seed="ad") is None
    assert firmness(four, "scale", PAPER, mean=12 / 13, seed="ad") is not None, "there the neutral ones count, too"


def test_an_ad_without_a_mean_has_no_interval() -> None:
    assert firmness([], "dominant", PAPER, mean=None, seed="ad") is None
    assert firmness([Alike(1, -1, 1.0, 3)], "dominant", PAPER, mean=None, seed="ad") is None


@given(
    st.lists(
        st.builds(Alike, st.integers(1, 5), st.integers(-5, -1), st.sampled_from([1.0, 3.5]), st.integers(1, 50)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(AGGREGATIONS),
    st.text(st.characters(codec=None), max_size=5),
)
def test_the_same_comments_in_any_order_give_the_same_interval(
    comments: list[Alike], aggregation: Aggregation, seed: str
) -> None:
    mean = aggregate(comments).by(aggregation)
    found = firmness(comments, aggregation, PAPER, mean=mean, seed=seed)
    assert found == firmness(comments[::-1], aggregation, PAPER, mean=mean, seed=seed)
    if found is not None:
        assert -5 <= found.low <= found.high <= 5
        assert 0 <= found.label_support <= 1
