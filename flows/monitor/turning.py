"""Ads whose audience turned: a change point in the order of an ad's comments, honest about how often one looks.

Moments between two comments of an ad are tried as the one at which its audience changed. While nobody changes their
mind, an ad's threads (a comment and the replies to it) could as well stand in any other order. Nothing else is
assumed: the chance that the threads after a moment lie together as far from the ad's mean as they do is bounded by
the Chernoff bound of draws from all of its threads, which holds for draws without replacement, too (Hoeffding 1963,
theorem 4), or by a closer one. So p values hold for few comments and for skewed ones, and need no simulation.

Three corrections follow. A p value is multiplied by the number of moments that are tried, a few dozen, ever further
from the ad's first and last comment. It is multiplied by 52, so that the level is that of a year of weekly looks and
not of one. Over the ads it is corrected by Benjamini and Hochberg's procedure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp
from scipy.stats import binom, false_discovery_control

from flows.monitor.period import time_of
from flows.sentiment.certainty import interval_of_mean

LEVEL = 0.05
"""Of a year of weekly looks: share of false ones among the ads that are said to have changed, at most; where none has
changed, the chance that any is said to."""
LOOKS = 52
"""In a year."""
MIN_SIDE = 10
"""Comments that count before a change, and after it."""
_NEWTON_STEPS = 8
_WORTH_MORE = 3.0
"""Exponent of the simple bound from which on the closer one is worked out, too."""
_STEP = 1.3
"""Factor between the distances of consecutive tried moments from the first, or last, comment."""
_TILTS = np.geomspace(0.02, 20, 36)
"""Exponents tried in the bound, in units of 1 / standard deviation; each alone gives a bound that holds."""


@dataclass(frozen=True)
class Threads:
    """An ad's threads in the order of their first comments; all arrays are [T]."""

    at: NDArray[np.int64]
    """When each began, in microseconds since 1970, ascending."""
    total: NDArray[np.float64]
    """Sum of its comments' values, each times its weight."""
    weight: NDArray[np.float64]
    """Sum of their weights."""
    comments: NDArray[np.int64]
    """Number of comments that count."""

    def __getitem__(self, part: slice) -> Threads:
        return Threads(self.at[part], self.total[part], self.weight[part], self.comments[part])

    @property
    def can_change(self) -> bool:
        """Whether some moment has enough comments on both sides."""
        return len(_moments(self)) > 0

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class Stretch:
    """Comments of an ad between two changes: their mean with its 95 % bootstrap interval over threads."""

    mean: float
    low: float
    high: float
    n_comments: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of zero; else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Change:
    """An ad's latest change."""

    at: datetime
    """When the first thread after it began."""
    before: Stretch
    after: Stretch
    p: float
    """Of the ad having changed at all, with all corrections."""
    turned: bool
    """The sign changed, or the mean by at least so much as was asked for."""

    @property
    def by(self) -> float:
        """Mean after less mean before; of the moment at which it differs most, so rather too large."""
        return self.after.mean - self.before.mean


def find_changes(ads: Sequence[Threads], *, least: float, seeds: Sequence[str]) -> list[Change | None]:
    """The latest change of each ad's audience, None of those whose comments show none.

    Args:
        ads: threads of each ad.
        least: change of the mean from which on an audience turned even if its sign stays.
        seeds: of the bootstrap, one for each ad.
    """
    found: list[Change | None] = [None] * len(ads)
    tested = [(number, marked) for number, ad in enumerate(ads) if (marked := most_marked(ad)) is not None]
    if not tested:
        return found
    paid = [_spent(p) for _, (p, _) in tested]
    corrected = false_discovery_control(paid, method="bh")
    accepted = LEVEL * int((corrected <= LEVEL).sum()) / len(tested)
    for (number, _), p in zip(tested, corrected, strict=True):
        if p <= LEVEL:
            found[number] = _latest(ads[number], accepted, float(p), least, seeds[number])
    return found


def most_marked(threads: Threads) -> tuple[float, int] | None:
    """Find the most likely change of an ad's threads: its p value for one look, and the first thread after it.

    The p value is corrected for the number of moments that were tried; where is then sought among all of them. None
    where no moment has `MIN_SIDE` comments on either side.
    """
    moments = _moments(threads)
    if not len(moments):
        return None
    mean = threads.total.sum() / threads.weight.sum()
    apart = threads.total - mean * threads.weight
    deviation = math.sqrt(float(np.mean(apart**2)))
    if deviation <= 1e-9:
        return 1.0, int(moments[0])
    apart /= deviation
    tried = _thinned(moments, threads.comments)
    p = min(1.0, 2 * len(tried) * math.exp(-_exponents(apart, tried).max()))
    contrast = np.abs(np.cumsum(apart)[moments - 1]) / np.sqrt(moments * (len(apart) - moments))
    return p, int(moments[contrast.argmax()])


def _exponents(apart: NDArray[np.float64], moments: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each moment [M] an e: at most a share exp(-e) of all orders parts the threads as far, the same way.

    Args:
        apart: of each thread the sum of its comments' distances from the mean, in standard deviations; they add to 0.
        moments: numbers of the first threads after them.
    """
    n = len(apart)
    # kinds of threads: few, as long as likes do not count
    kinds, counts = np.unique(apart, return_counts=True)
    sums = np.cumsum(apart)[moments - 1]
    way, far, best = np.where(sums < 0, -1.0, 1.0), np.abs(sums), np.zeros(len(moments))
    # the threads before a moment and those after it tell of the same event, so the better bound holds
    for sign in (-1.0, 1.0):
        growth = logsumexp(np.outer(sign * _TILTS, kinds), b=counts, axis=1) - math.log(n)
        size = np.where(way == sign, moments, n - moments)
        best = np.maximum(best, (np.outer(far, _TILTS) - np.outer(size, growth)).max(axis=1))
    for at in np.flatnonzero(best > _WORTH_MORE):
        best[at] = max(best[at], _closer_exponent(kinds * way[at], counts, int(moments[at]), n, float(far[at])))
    return best


def _closer_exponent(kinds: NDArray[np.float64], counts: NDArray[np.int64], before: int, n: int, far: float) -> float:
    """The same for one moment, closer where it is in the middle: there, draws without replacement spread far less.

    Each thread falls before the moment by itself with the same chance, on condition that as many do as do: the bound is
    that of both together, less the chance of the condition.
    """
    tilted = logit(before / n) + np.outer(_TILTS, kinds)
    shift = np.zeros((len(_TILTS), 1))
    for _ in range(_NEWTON_STEPS):  # to as many before the moment; every shift gives a bound that holds
        share = expit(tilted + shift)
        slope = (share * (1 - share)) @ counts
        shift[:, 0] += np.clip((before - share @ counts) / np.maximum(slope, 1e-9), -3, 3)
    growth = np.logaddexp(0, tilted + shift) @ counts + n * math.log1p(-before / n)
    condition = float(binom.logpmf(before, n, before / n))
    return float((far * _TILTS + before * shift[:, 0] - growth).max()) + condition


def _moments(threads: Threads) -> NDArray[np.int64]:
    """Between threads of different times with enough comments on both sides; each as what begins after it."""
    if not len(threads):
        return np.array([], dtype=np.int64)
    ends = np.flatnonzero(np.diff(threads.at)) + 1
    held = np.cumsum(threads.comments)
    before = held[ends - 1]
    return ends[(before >= MIN_SIDE) & (held[-1] - before >= MIN_SIDE)]


def _thinned(moments: NDArray[np.int64], comments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Some of the moments, by the number of comments on the shorter side; they depend on no comment's value."""
    held = np.cumsum(comments)
    sides = MIN_SIDE * _STEP ** np.arange(math.ceil(math.log(max(1, held[-1] / MIN_SIDE)) / math.log(_STEP)) + 1)
    sides = sides[sides <= held[-1] / 2]
    wanted = np.concatenate([sides, held[-1] - sides])
    places = np.searchsorted(held[moments - 1], wanted - 1e-9).clip(0, len(moments) - 1)
    return moments[np.unique(places)]


def _spent(p: float) -> float:
    return min(1.0, p * LOOKS)


def _latest(threads: Threads, accepted: float, p: float, least: float, seed: str) -> Change | None:
    """The latest of an ad's changes, those within the parts before and after another one included."""
    cuts = _cuts(threads, accepted)
    if not cuts:
        return None
    cut, begin = cuts[-1], cuts[-2] if len(cuts) > 1 else 0
    before, after = _stretch(threads[begin:cut], seed), _stretch(threads[cut:], seed)
    turned = before.sign * after.sign < 0 or abs(after.mean - before.mean) >= least
    return Change(time_of(threads.at[cut]), before, after, p, turned)


def _cuts(threads: Threads, accepted: float, begin: int = 0) -> list[int]:
    """Positions at which to cut an ad's threads, ascending, by splitting them recursively."""
    marked = most_marked(threads)
    if marked is None or _spent(marked[0]) > accepted:
        return []
    cut = marked[1]
    return [*_cuts(threads[:cut], accepted, begin), begin + cut, *_cuts(threads[cut:], accepted, begin + cut)]


def _stretch(threads: Threads, seed: str) -> Stretch:
    low, high = interval_of_mean(threads.total, threads.weight, seed)
    return Stretch(float(threads.total.sum() / threads.weight.sum()), low, high, int(threads.comments.sum()))
