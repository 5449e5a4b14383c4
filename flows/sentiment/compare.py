"""Comparison of two engines, or two folders of word lists, on the same texts and on the labels of ads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flows.sentiment.engines import SentimentEngine, Strength, Unscored
from flows.sentiment.labelling import ScoreGroup, Thresholds, aggregate, dominant_pole, label_of

BATCH = 1_000
"""Texts given to both engines at a time; no more of them are held."""


class Said(NamedTuple):
    """A text, and the ad that it is a comment of, if it is one."""

    text: str
    video_id: str | None = None


@dataclass(frozen=True)
class Difference:
    """A text on which the two do not agree."""

    said: Said
    one: Strength | Unscored
    other: Strength | Unscored


@dataclass(frozen=True)
class Agreement:
    """Agreement of two scores of the same texts: shares 0..1, correlations -1..1 or None where one is constant."""

    equal: float
    within_one: float
    pearson: float | None
    spearman: float | None
    bias: float
    """Mean of the second less mean of the first."""


@dataclass
class Comparison:
    """Every pair of answers, counted; whatever the number of texts, at most 625 of them for each ad."""

    pairs: Counter[tuple[Strength, Strength]] = field(default_factory=Counter)
    n_unscored: int = 0
    """Texts that one of the two failed on; they are in no other number here."""
    by_ad: dict[str, Counter[tuple[Strength, Strength]]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def n_texts(self) -> int:
        """Texts that both scored."""
        return self.pairs.total()

    @property
    def n_equal(self) -> int:
        """Texts with both strengths the same."""
        return sum(count for (one, other), count in self.pairs.items() if one == other)

    def agreements(self) -> dict[str, Agreement]:
        """For the positive strength, the negative one, and the dominant pole."""
        sides = {
            "positive": lambda s: s.positive,
            "negative": lambda s: s.negative,
            "dominant pole": lambda s: dominant_pole(*s),
        }
        counts = list(self.pairs.values())
        return {
            name: _agreement(
                np.repeat([side(one) for one, _ in self.pairs], counts),
                np.repeat([side(other) for _, other in self.pairs], counts),
            )
            for name, side in sides.items()
            if counts
        }

    def ads(self, thresholds: Thresholds) -> tuple[Agreement | None, Counter[tuple[str, str]]]:
        """Agreement of the ads' dominant means, and counts of each pair of labels, first and second."""
        means = [
            (one, other)
            for pairs in self.by_ad.values()
            if (one := _dominant_mean(pairs, 0)) is not None and (other := _dominant_mean(pairs, 1)) is not None
        ]
        labels: Counter[tuple[str, str]] = Counter(
            (label_of(one, thresholds) or "none", label_of(other, thresholds) or "none") for one, other in means
        )
        return (_agreement(*np.array(means, dtype=np.float64).T) if means else None), labels

    def as_json(self, thresholds: Thresholds) -> dict[str, Any]:
        """The comparison for other programs."""
        ads, labels = self.ads(thresholds)
        return {
            "n_texts": self.n_texts,
            "n_equal": self.n_equal,
            "n_unscored": self.n_unscored,
            "agreements": {name: vars(agreement) for name, agreement in self.agreements().items()},
            "ads": ads and vars(ads),
            "labels": [{"one": one, "other": other, "ads": count} for (one, other), count in sorted(labels.items())],
        }


def compare(
    texts: Iterable[Said], one: SentimentEngine, other: SentimentEngine, comparison: Comparison
) -> Iterator[Difference]:
    """Score the texts with both, count every pair of answers in `comparison`, and give the differences as they come.

    Raises:
        SentimentError: an engine cannot go on.
    """
    remaining = iter(texts)
    while batch := list(islice(remaining, BATCH)):
        written = [said.text for said in batch]
        for said, *answers in zip(batch, one.score(written), other.score(written), strict=True):
            first, second = answers
            if first != second:
                yield Difference(said, first, second)
            if isinstance(first, Unscored) or isinstance(second, Unscored):
                comparison.n_unscored += 1
                continue
            comparison.pairs[first, second] += 1
            if said.video_id is not None:
                comparison.by_ad[said.video_id][first, second] += 1


def _dominant_mean(pairs: Counter[tuple[Strength, Strength]], which: int) -> float | None:
    return aggregate([ScoreGroup(*pair[which], 1.0, count) for pair, count in pairs.items()]).dominant


def _agreement(one: NDArray[Any], other: NDArray[Any]) -> Agreement:
    varied = len(set(one.tolist())) > 1 and len(set(other.tolist())) > 1
    return Agreement(
        equal=float(np.mean(one == other)),
        within_one=float(np.mean(np.abs(one - other) <= 1)),
        pearson=float(stats.pearsonr(one, other).statistic) if varied else None,
        spearman=float(stats.spearmanr(one, other).statistic) if varied else None,
        bias=float(np.mean(other) - np.mean(one)),
    )
