"""An ad's label from its comments' strengths: their mean and two thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, get_args

from flows.errors import SentimentError
from flows.settings import Aggregation, LikeWeights

if TYPE_CHECKING:
    from data_catalog.schemas import Label

AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)


class ScoreGroup(NamedTuple):
    """Comments of one ad with the same strengths and the same weight."""

    positive: int
    negative: int
    weight: float
    n_comments: int


@dataclass(frozen=True)
class AdMeans:
    """Means of an ad's comments by every aggregation; None where no comment counts."""

    n_scored: int
    n_neutral: int
    dominant: float | None
    dominant_with_neutral: float | None
    scale: float | None

    @property
    def n_not_neutral(self) -> int:
        """Comments with a dominant pole."""
        return self.n_scored - self.n_neutral

    def by(self, aggregation: Aggregation) -> float | None:
        """The mean of that aggregation."""
        means = {"dominant": self.dominant, "dominant_with_neutral": self.dominant_with_neutral, "scale": self.scale}
        return means[aggregation]


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


def value(group: ScoreGroup, aggregation: Aggregation) -> int | None:
    """Value of these comments in the mean of that aggregation; None where they do not count."""
    if aggregation == "scale":
        return group.positive + group.negative
    pole = dominant_pole(group.positive, group.negative)
    return None if aggregation == "dominant" and not pole else pole


def like_weight(likes: int, weights: LikeWeights) -> float:
    """Weight of a comment with so many likes."""
    if weights == "none":
        return 1.0
    return 1.0 + (math.log1p(likes) if weights == "log" else likes)


def aggregate(comments: Sequence[ScoreGroup]) -> AdMeans:
    """Means over an ad's comments, each counted by its weight."""
    return AdMeans(
        n_scored=sum(group.n_comments for group in comments),
        n_neutral=sum(group.n_comments for group in comments if not dominant_pole(group.positive, group.negative)),
        dominant=_mean(comments, "dominant"),
        dominant_with_neutral=_mean(comments, "dominant_with_neutral"),
        scale=_mean(comments, "scale"),
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


def _mean(comments: Sequence[ScoreGroup], aggregation: Aggregation) -> float | None:
    counted = [
        (v, group.weight * group.n_comments) for group in comments if (v := value(group, aggregation)) is not None
    ]
    total = math.fsum(weight for _, weight in counted)
    return math.fsum(v * weight for v, weight in counted) / total if total else None
