"""An ad's label from its comments' strengths: the mean of the dominant poles against two thresholds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from data_catalog.schemas import Label
from flows.errors import SentimentError

Aggregation = Literal["dominant", "dominant_with_neutral", "scale"]
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
ThresholdMode = Literal["fixed", "quantile"]


@dataclass(frozen=True)
class AdMeans:
    """What an ad's comments say, by every aggregation; a mean is None where no comment counts."""

    n_comments: int
    n_neutral: int
    dominant: float | None
    dominant_with_neutral: float | None
    scale: float | None

    def by(self, aggregation: Aggregation) -> float | None:
        """The mean of that aggregation."""
        return {
            "dominant": self.dominant,
            "dominant_with_neutral": self.dominant_with_neutral,
            "scale": self.scale,
        }[aggregation]


@dataclass(frozen=True)
class Thresholds:
    """Positive above `positive`, negative at or below `negative`, neither in between."""

    positive: float
    negative: float


def dominant_pole(positive: int, negative: int) -> int:
    """The stronger of the two strengths, -5..5; 0 for a tie, which includes the neutral (1, -1).

    The paper's scores "range from -5 to 5" (section IV-A), which only the stronger pole does.
    """
    if positive == -negative:
        return 0
    return positive if positive > -negative else negative


def aggregate(counts: Mapping[tuple[int, int], int]) -> AdMeans:
    """Means over an ad's comments, given as the number of comments of each (positive 1..5, negative -5..-1)."""
    n_comments = sum(counts.values())
    by_pole: Counter[int] = Counter()
    for (positive, negative), count in counts.items():
        by_pole[dominant_pole(positive, negative)] += count
    n_neutral = by_pole[0]
    pole_sum = sum(pole * count for pole, count in by_pole.items())
    scale_sum = sum((positive + negative) * count for (positive, negative), count in counts.items())
    return AdMeans(
        n_comments=n_comments,
        n_neutral=n_neutral,
        dominant=_ratio(pole_sum, n_comments - n_neutral),
        dominant_with_neutral=_ratio(pole_sum, n_comments),
        scale=_ratio(scale_sum, n_comments),
    )


def label_of(mean: float | None, thresholds: Thresholds) -> Label | None:
    """The label of a mean score: > positive threshold, <= negative threshold, else None (section IV-A)."""
    if mean is None:
        return None
    if mean > thresholds.positive:
        return "positive"
    return "negative" if mean <= thresholds.negative else None


def quantile_thresholds(means: Sequence[float], share: float) -> Thresholds:
    """Thresholds that label the top and the bottom `share` of the ads (0 < share <= 0.5); ties stay out at the top.

    Raises:
        SentimentError: the share is out of range.
    """
    if not 0 < share <= 0.5:
        raise SentimentError(f"sentiment.quantile is {share}; expected more than 0 and at most 0.5")
    if not means:
        return Thresholds(positive=math.inf, negative=-math.inf)
    ordered = sorted(means)
    count = min(max(1, round(share * len(ordered))), len(ordered) // 2)
    if count == 0:
        return Thresholds(positive=ordered[0], negative=-math.inf)
    return Thresholds(positive=ordered[-count - 1], negative=ordered[count - 1])


def _ratio(total: int, count: int) -> float | None:
    return total / count if count else None
