"""Certainty of an ad's label: the bootstrap's interval, and the number of comments that a stable label takes.

The interval is the bootstrap's (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13): as many
comments as there are, drawn from them with replacement; the middle 95 % of the means of many such draws. Fewer or more
comments than there are, drawn in the same way, tell how stable the label of an ad with so many comments is.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from flows.sentiment.labelling import ScoreGroup, Thresholds, aggregate, value
from flows.settings import Aggregation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 1000
LEVEL = 0.95
MIN_COUNTING = 5
"""Comments that an interval needs: fewer, drawn anew, are too often the same ones, and one alone would look certain."""

_NORMAL = NormalDist()
_UNITS_AT_ONCE = 1_000_000
"""Drawn at a time, for less memory."""


@dataclass(frozen=True)
class BootstrapInterval:
    """Interval of a mean, and the share of draws with the same label, or with none where the mean has none."""

    low: float
    high: float
    label_support: float


def bootstrap_interval(
    comments: Sequence[ScoreGroup], aggregation: Aggregation, thresholds: Thresholds, *, mean: float | None, seed: str
) -> BootstrapInterval | None:
    """Draw an ad's comments `DRAWS` times (a draw in which none counts is left out).

    None where the ad has no mean, or fewer than `MIN_COUNTING` comments that count.

    Args:
        comments: of one ad.
        aggregation: how a comment counts.
        thresholds: those in force, held where they are.
        mean: the ad's.
        seed: the same seed gives the same draws; the ad's id.
    """
    import numpy as np

    n_counting = sum(group.n_comments for group in comments if value(group, aggregation) is not None)
    if mean is None or n_counting < MIN_COUNTING:
        return None
    means = resampled_means(comments, aggregation, seed)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    same = labels_of(means, thresholds) == labels_of(np.array([mean]), thresholds)
    return BootstrapInterval(float(low), float(high), float(same.mean()))


def label_stability(
    comments: Sequence[ScoreGroup],
    aggregation: Aggregation,
    thresholds: Thresholds,
    sizes: Sequence[int],
    *,
    seed: str,
    draws: int = DRAWS,
) -> NDArray[np.float64]:
    """Share of draws of so many comments that come to the label which all of them have, for each of `sizes`.

    Only comments that count are drawn, so that a size is a number of those.

    Raises:
        ValueError: no comment counts.
    """
    import numpy as np

    counting = [group for group in comments if value(group, aggregation) is not None]
    mean = aggregate(counting).by(aggregation)
    if mean is None:
        raise ValueError(f"none of {len(comments)} groups of comments counts in the mean {aggregation}")
    label = labels_of(np.array([mean]), thresholds)
    drawn = (resampled_means(counting, aggregation, seed, size=size, draws=draws) for size in sizes)
    return np.array([(labels_of(means, thresholds) == label).mean() for means in drawn])


def labels_of(means: NDArray[np.float64], thresholds: Thresholds) -> NDArray[np.int_]:
    """As `label_of`, of many means at once: 1 for positive, -1 for negative, 0 for none."""
    import numpy as np

    return np.select([means > thresholds.positive, means <= thresholds.negative], [1, -1], 0)


def resampled_means(
    comments: Sequence[ScoreGroup], aggregation: Aggregation, seed: str, *, size: int | None = None, draws: int = DRAWS
) -> NDArray[np.float64]:
    """The mean of every draw in which a comment counts, [at most draws]; a draw has as many comments or `size`.

    The counts of each kind of comments in a draw are multinomial, so that the cost is by kinds, not by comments.
    """
    import numpy as np

    kinds: Counter[tuple[int, float]] = Counter()
    for group in comments:
        counted = value(group, aggregation)
        kinds[counted or 0, 0.0 if counted is None else group.weight] += group.n_comments
    ordered = sorted(kinds)
    counts = np.array([kinds[kind] for kind in ordered], dtype=np.int64)
    values, weights = np.array(ordered, dtype=np.float64).reshape(-1, 2).T
    chance = np.random.default_rng(list(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()))
    drawn = chance.multinomial(counts.sum() if size is None else size, counts / counts.sum(), size=draws)
    # not as a product of matrices, whose last bit is each processor's own: the interval is part of a release's hash
    total = (drawn * weights).sum(axis=1)
    return (drawn * (weights * values)).sum(axis=1)[total > 0] / total[total > 0]


def interval_of_mean(totals: NDArray[np.float64], weights: NDArray[np.float64], seed: str) -> tuple[float, float]:
    """The bootstrap's interval of a mean over units that are drawn whole, such as comments or threads of them.

    Args:
        totals: of each unit the sum of its values, each times its weight; at least one unit.
        weights: of each unit the sum of its weights.
        seed: the same seed gives the same draws.
    """
    import numpy as np

    n_units = len(totals)
    chance = np.random.default_rng(list(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()))
    at_once = max(1, _UNITS_AT_ONCE // n_units)
    alike = totals / weights if weights[0] > 0 and (weights == weights[0]).all() else None
    means = []
    for begun in range(0, DRAWS, at_once):
        size = min(at_once, DRAWS - begun), n_units
        drawn = chance.integers(0, n_units, size, dtype=np.min_scalar_type(n_units - 1))
        means.append(
            totals[drawn].sum(axis=1) / weights[drawn].sum(axis=1) if alike is None else alike[drawn].mean(axis=1)
        )
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def standard_deviation(comments: Sequence[ScoreGroup], aggregation: Aggregation) -> float:
    """Standard deviation of the comments that count, each by its weight; NaN where none does."""
    mean = aggregate(comments).by(aggregation)
    if mean is None:
        return math.nan
    counted = [
        (v - mean, group.weight * group.n_comments)
        for group in comments
        if (v := value(group, aggregation)) is not None
    ]
    return math.sqrt(math.fsum(w * d * d for d, w in counted) / math.fsum(w for _, w in counted))


def bootstrap_error(low: float, high: float) -> float:
    """Standard error of a mean from its interval, as if the draws were normal."""
    return (high - low) / (2 * _NORMAL.inv_cdf((1 + LEVEL) / 2))


def distance_to_threshold(mean: float, thresholds: Thresholds) -> float:
    """From a mean to the threshold that is nearest to it."""
    return min(abs(mean - thresholds.positive), abs(mean - thresholds.negative))


def expected_stability(mean: float, standard_error: float, thresholds: Thresholds) -> float:
    """Share of draws with the label of `mean`, by the normal distribution about it."""
    if standard_error == 0:
        return 1.0
    below, above = (
        _NORMAL.cdf((threshold - mean) / standard_error) for threshold in (thresholds.negative, thresholds.positive)
    )
    if mean > thresholds.positive:
        return 1 - above
    return below if mean <= thresholds.negative else above - below


def comments_needed(distance: float, sd: float, stability: float = LEVEL) -> float:
    """Comments for which a mean so far from a threshold stays on its side of it in this share of draws.

    The mean of n comments has the standard error sd / sqrt(n); one threshold alone is looked at. Whole, at least 1;
    infinite where the mean lies on the threshold.

    Args:
        distance: from the mean to the threshold.
        sd: standard deviation of the comments.
        stability: the share, above 1/2 and below 1.
    """
    if sd == 0:
        return 1
    if distance == 0:
        return math.inf
    return max(1, math.ceil((_NORMAL.inv_cdf(stability) * sd / distance) ** 2))
