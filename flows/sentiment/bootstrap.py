"""How firm an ad's mean is: what it might have been had other people of the same kind commented.

Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 13: as many comments as there are, drawn from
them with replacement, again and again; the middle 95 % of the means that this gives is the percentile interval.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.sentiment.labelling import Aggregation, Alike, Thresholds, label_of, value

DRAWS = 1000
LEVEL = 0.95
FEWEST = 5
"""Comments that count; fewer, drawn anew, are too often the very same, and one alone would look the surest of all."""


@dataclass(frozen=True)
class Firmness:
    """The interval of a mean, and the share of the draws that come to the same label, or to none as the mean does."""

    low: float
    high: float
    label_support: float


def firmness(
    comments: Sequence[Alike], aggregation: Aggregation, thresholds: Thresholds, *, mean: float | None, seed: str
) -> Firmness | None:
    """Draw an ad's comments `DRAWS` times (a draw in which none counts is left out).

    None where the ad has no mean, or fewer than `FEWEST` comments that count.

    Args:
        comments: of one ad.
        aggregation: how a comment counts.
        thresholds: those in force, held where they are.
        mean: the ad's.
        seed: the same seed gives the same draws; the ad's id.
    """
    n_counting = sum(alike.n_comments for alike in comments if value(alike, aggregation) is not None)
    if mean is None or n_counting < FEWEST:
        return None
    means = resampled_means(comments, aggregation, seed)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    same = Counter(label_of(float(m), thresholds) for m in means)[label_of(mean, thresholds)]
    return Firmness(float(low), float(high), same / means.size)


def resampled_means(comments: Sequence[Alike], aggregation: Aggregation, seed: str) -> NDArray[np.float64]:
    """The mean of every draw in which a comment counts, [at most DRAWS].

    What a draw holds of each kind of comments is multinomial, so that the cost is by kinds, not by comments.
    """
    kinds: Counter[tuple[int, float]] = Counter()
    for alike in comments:
        counted = value(alike, aggregation)
        kinds[counted or 0, 0.0 if counted is None else alike.weight] += alike.n_comments
    ordered = sorted(kinds)
    counts = np.array([kinds[kind] for kind in ordered], dtype=np.int64)
    values, weights = np.array(ordered, dtype=np.float64).reshape(-1, 2).T
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    drawn = np.random.default_rng(list(digest)).multinomial(counts.sum(), counts / counts.sum(), size=DRAWS)
    total = drawn @ weights
    return (drawn @ (weights * values))[total > 0] / total[total > 0]
