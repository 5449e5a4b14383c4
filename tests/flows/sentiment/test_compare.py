"""Two ways of scoring the same texts: every difference, and how far they agree on texts and on ads."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flows.sentiment.compare import BATCH, Comparison, Said, compare
from flows.sentiment.engines import Strength, Unscored
from flows.sentiment.java import Failure
from flows.sentiment.labelling import Thresholds

PAPER = Thresholds(positive=2.5, negative=-2.5)


class Says:
    """An engine that answers what its table says, neutral otherwise."""

    name, version = "says", "1"

    def __init__(self, **answers: Strength | Unscored) -> None:
        self.answers = answers
        self.largest = 0

    def score(self, texts: Sequence[str]) -> list[Strength | Unscored]:
        self.largest = max(self.largest, len(texts))
        return [self.answers.get(text, Strength(1, -1)) for text in texts]


def test_every_difference_is_told_with_both_answers() -> None:
    comparison = Comparison()
    one, other = Says(good=Strength(3, -1), bad=Strength(1, -4)), Says(good=Strength(2, -1), bad=Strength(1, -4))
    [difference] = compare(map(Said, ("good", "bad", "so")), one, other, comparison)
    assert (difference.said.text, difference.one, difference.other) == ("good", Strength(3, -1), Strength(2, -1))
    assert (comparison.n_texts, comparison.n_equal) == (3, 2)
    positive = comparison.agreements()["positive"]
    assert positive.equal == pytest.approx(2 / 3)
    assert positive.within_one == 1
    assert positive.bias == pytest.approx(-1 / 3)
    assert positive.pearson == pytest.approx(1)


def test_engines_that_agree_have_no_difference() -> None:
    comparison = Comparison()
    assert not list(compare([Said("good")], Says(good=Strength(3, -1)), Says(good=Strength(3, -1)), comparison))
    negative = comparison.agreements()["negative"]
    assert (negative.equal, negative.pearson) == (1, None), "what is constant correlates with nothing"


def test_a_text_that_one_failed_on_is_a_difference_and_in_no_count() -> None:
    comparison = Comparison()
    failed = Unscored(Failure.ENDED, "twice")
    [difference] = compare([Said("good")], Says(), Says(good=failed), comparison)
    assert difference.other == failed
    assert (comparison.n_texts, comparison.n_unscored) == (0, 1)
    assert comparison.agreements() == {}


def test_ads_are_compared_by_their_means_and_labels() -> None:
    comparison = Comparison()
    one, other = Says(good=Strength(4, -1), bad=Strength(1, -4)), Says(good=Strength(2, -1), bad=Strength(1, -4))
    texts = [Said("good", "a"), Said("good", "a"), Said("bad", "b"), Said("so", "c")]
    list(compare(texts, one, other, comparison))
    ads, labels = comparison.ads(PAPER)
    assert ads is not None
    assert (ads.equal, ads.bias) == (0.5, -1)
    assert labels == {("positive", "none"): 1, ("negative", "negative"): 1}
    told = comparison.as_json(PAPER)
    assert told["labels"][0] == {"one": "negative", "other": "negative", "ads": 1}


def test_a_stream_is_compared_as_it_comes() -> None:
    comparison, one = Comparison(), Says(good=Strength(3, -1))
    texts = (Said("good") for _ in range(3 * BATCH + 1))
    differences = compare(texts, one, Says(), comparison)
    next(differences)
    assert comparison.n_texts <= BATCH
    assert sum(1 for _ in differences) == 3 * BATCH
    assert one.largest == BATCH
