"""An ad's label from its comments' strengths: the mean of the dominant poles against two thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from flows.errors import SentimentError

if TYPE_CHECKING:
    from data_catalog.schemas import Label

Aggregation = Literal["dominant", "dominant_with_neutral", "scale"]
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
ThresholdMode = Literal["fixed", "quantile"]
LikeWeights = Literal["none", "log", "linear"]


class Alike(NamedTuple):
    """So many comments of one ad with the same strengths and the same weight."""

    positive: int
    negative: int
    weight: float
    n_comments: int


@dataclass(frozen=True)
class AdMeans:
    """What an ad's comments say, by every aggregation; a mean is None where no comment counts."""

    n_scored: int
    n_neutral: int
    dominant: float | None
    dominant_with_neutral: float | None
    scale: float | None

    @property
    def n_telling(self) -> int:
        """Comments that are not neutral."""
        return self.n_scored - self.n_neutral

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


def value(alike: Alike, aggregation: Aggregation) -> int | None:
    """What comments of these strengths add to the mean of that aggregation; None where they do not count."""
    if aggregation == "scale":
        return alike.positive + alike.negative
    pole = dominant_pole(alike.positive, alike.negative)
    return None if aggregation == "dominant" and not pole else pole


def like_weight(likes: int, weights: LikeWeights) -> float:
    """How many comments one with so many likes counts as."""
    if weights == "none":
        return 1.0
    return 1.0 + (math.log1p(likes) if weights == "log" else likes)


def aggregate(comments: Iterable[Alike]) -> AdMeans:
    """Means over an ad's comments, each counted by its weight."""
    alikes = list(comments)
    return AdMeans(
        n_scored=sum(alike.n_comments for alike in alikes),
        n_neutral=sum(alike.n_comments for alike in alikes if not dominant_pole(alike.positive, alike.negative)),
        dominant=_mean(alikes, "dominant"),
        dominant_with_neutral=_mean(alikes, "dominant_with_neutral"),
        scale=_mean(alikes, "scale"),
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


def _mean(comments: Sequence[Alike], aggregation: Aggregation) -> float | None:
    counted = [
        (v, alike.weight * alike.n_comments) for alike in comments if (v := value(alike, aggregation)) is not None
    ]
    total = math.fsum(weight for _, weight in counted)
    return math.fsum(v * weight for v, weight in counted) / total if total else None
