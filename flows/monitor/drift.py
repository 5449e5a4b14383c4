"""Drift: how far what is given, or answered, in a period differs from what a model was trained on.

The unit of a test is the ad, not the frame, and all uploads of an ad are one unit: the frames of an ad are alike, and
counted separately they would make small differences look significant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import MonteCarloMethod, chi2, chi2_contingency, false_discovery_control, ks_2samp

LEVEL = 0.05
"""Of all tests of a report together: chance of a false difference where nothing differs."""
MIN_ADS = 10
"""Ads on each side that a test needs."""
_BINS = 10
_EXACT = 200_000
"""Largest product of two sizes for which the exact distribution of the test is worked out."""
_RESAMPLES = 9_999
_NAMED = 12
"""Categories that are told apart; the rarest ones of more are taken together."""
_OTHERS = "others"

Values = Mapping[str, float] | Mapping[str, str]
"""Of each ad a number, or a category."""


@dataclass(frozen=True)
class Bin:
    """Share of ads in a range of numbers, or in a category, which is untrusted."""

    name: str
    reference: float
    period: float


@dataclass(frozen=True)
class Drift:
    """One measure of the ads that a model was trained on and of those of the period."""

    name: str
    unit: str
    test: Literal["Kolmogorov-Smirnov", "chi-squared"]
    n_reference: int
    n_period: int
    """Ads of which the measure is known; all uploads of one are one."""
    reference: float | None
    """Mean, of numbers."""
    period: float | None
    psi: float | None
    """Population stability index; None where there are too few ads."""
    psi_by_chance: float | None
    """It is beyond this in one of 20 comparisons of so many ads of the same kind."""
    p: float | None
    """Of the test, corrected for the number of tests."""
    bins: tuple[Bin, ...]

    @property
    def verdict(self) -> str:
        """In words whether the two can be told apart."""
        if self.p is None:
            return "too few ads"
        return "differs" if self.p <= LEVEL else "nothing distinguishable"


def compare(name: str, unit: str, reference: Values, period: Values, uploads: Mapping[str, str]) -> Drift:
    """Compare one measure, with a p value that is not corrected yet.

    Args:
        name: of the measure.
        unit: of its numbers; empty for categories.
        reference: of the ads that the model was trained on.
        period: of the ads of the period.
        uploads: group of every ad that is one of several uploads of one ad.
    """
    before, after = _witnesses(reference, uploads), _witnesses(period, uploads)
    numbers = all(isinstance(value, float) for value in (*before, *after))
    drift = Drift(
        name,
        unit,
        "Kolmogorov-Smirnov" if numbers else "chi-squared",
        len(before),
        len(after),
        reference=float(np.mean(before)) if numbers and before else None,
        period=float(np.mean(after)) if numbers and after else None,
        psi=None,
        psi_by_chance=None,
        p=None,
        bins=(),
    )
    if min(len(before), len(after)) < MIN_ADS:
        return drift
    names, counts = _binned(before, after) if numbers else _counted(before, after)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return replace(
        drift,
        psi=stability_index(counts),
        psi_by_chance=index_by_chance(counts),
        p=_same_numbers(before, after) if numbers else _same_shares(counts),
        bins=tuple(Bin(name, *map(float, pair)) for name, pair in zip(names, shares.T, strict=True)),
    )


def corrected(drifts: Sequence[Drift]) -> list[Drift]:
    """The same with p values corrected for the number of tests, by Benjamini and Hochberg's procedure."""
    tested = [drift.p for drift in drifts if drift.p is not None]
    right = iter(false_discovery_control(tested, method="bh").tolist() if tested else ())
    return [drift if drift.p is None else replace(drift, p=next(right)) for drift in drifts]


def stability_index(counts: NDArray[np.int64]) -> float:
    """Population stability index of two sets of counts, [2, B]; half a thing is added to each."""
    held = counts + 0.5
    shares = held / held.sum(axis=1, keepdims=True)
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def index_by_chance(counts: NDArray[np.int64]) -> float:
    """Value that the index exceeds in one of 20 comparisons of equally many items of the same kind.

    Of n and m things in B bins it is about (1 / n + 1 / m) times chi-squared with B - 1 degrees of freedom.
    """
    filled = int((counts.sum(axis=0) > 0).sum())
    return float(chi2.ppf(0.95, filled - 1) * (1 / counts.sum(axis=1)).sum()) if filled > 1 else 0.0


def _witnesses(values: Values, uploads: Mapping[str, str]) -> list[Any]:
    """A value for each ad; of several uploads of one that of the first by name."""
    firsts: dict[str, Any] = {}
    for ad in sorted(values):
        firsts.setdefault(uploads.get(ad, ad), values[ad])
    return list(firsts.values())


def _same_numbers(before: Sequence[float], after: Sequence[float]) -> float:
    method = "exact" if len(before) * len(after) <= _EXACT else "asymp"
    return float(ks_2samp(before, after, method=method).pvalue)


def _same_shares(counts: NDArray[np.int64]) -> float:
    """The p value of the chi-squared statistic among tables with the same sums: right for rare categories, too."""
    if counts.shape[1] < 2:
        return 1.0
    chance = np.random.default_rng(0)
    drawn = MonteCarloMethod(n_resamples=_RESAMPLES, rng=chance)
    return float(chi2_contingency(counts, correction=False, method=drawn).pvalue)


def _binned(before: Sequence[float], after: Sequence[float]) -> tuple[list[str], NDArray[np.int64]]:
    """Counts between the tenths of the reference, fewer where many of its numbers are the same."""
    inner = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1], method="inverted_cdf"))
    edges = [-np.inf, *inner, np.inf]
    # a number on an edge belongs below it
    counts = np.array(
        [np.bincount(np.searchsorted(inner, side, "left"), minlength=len(inner) + 1) for side in (before, after)]
    )
    used = counts.sum(axis=0) > 0
    names = [_range(low, high) for low, high in pairwise(edges)]
    return [name for name, is_used in zip(names, used, strict=True) if is_used], counts[:, used]


def _range(low: float, high: float) -> str:
    if np.isinf(low):
        return f"up to {high:.3g}"
    return f"above {low:.3g}" if np.isinf(high) else f"{low:.3g} to {high:.3g}"


def _counted(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    sides = [Counter(before), Counter(after)]
    names = [name for name, _ in (sides[0] + sides[1]).most_common()]
    counts = np.array([[side[name] for name in names] for side in sides], dtype=np.int64)
    if len(names) <= _NAMED:
        return names, counts
    rest = counts[:, _NAMED - 1 :].sum(axis=1, keepdims=True)
    return [*names[: _NAMED - 1], _OTHERS], np.hstack([counts[:, : _NAMED - 1], rest])
