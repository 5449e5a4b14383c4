"""Calibration of a model's probabilities on the development rows when its training ends.

A temperature divides the logits (Guo et al. 2017), so that about 80 % of the answers with a probability of 0.8 are
right. It never changes which class is the most likely. Each answer's interval comes from how often development rows
with such a probability were right. Rows of one group, such as the frames of an ad, are not independent: a group counts
as more than one row only as far as its rows differ from each other. The figures for the development rows are
cross-fitted: each group is judged by a temperature that was fitted without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import beta
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold

from fgmfn.errors import FgmfnError
from fgmfn.statistics import calibration as reliability

LEAST, MOST = 0.05, 20.0
"""Bounds of the temperature; rows that are all right, or no better than chance, have no finite optimum."""
FOLDS = 5
BINS = 10
GROUPS_PER_BIN = 30
"""Fewest groups per bin; with fewer, a share of one half is known to +- 18 points at best."""
Rule = Literal["mean", "confidence"]
"""Rule that joins the probabilities of an ad's frames: their mean, or the mean weighted by each frame's largest one."""
SAID: dict[Rule, str] = {
    "mean": "the mean of its frames' probabilities",
    "confidence": "that mean weighted by each frame's confidence",
}


@dataclass(frozen=True)
class Bin:
    """Development rows, or ads, whose answers had about the same probability."""

    least: float
    most: float
    """The answers' probabilities lie between `least` and `most`."""
    mean: float
    right: float
    """Share of the answers that were right."""
    count: int
    effective: float
    """Equivalent number of independent answers, between the number of groups and `count`."""

    def interval(self, probability: float) -> tuple[float, float]:
        """Return the 95 % interval (Clopper and Pearson) for an answer of this probability.

        Within a bin the share of right answers is assumed to grow with the probability. For a probability outside all
        bins it may grow or not, and the interval covers both cases.
        """
        right = self.right * self.effective
        wrong = self.effective - right
        low = beta.ppf(0.025, right, wrong + 1) if right > 0 else 0.0
        high = beta.ppf(0.975, right + 1, wrong) if wrong > 0 else 1.0
        shifts = probability - self.mean, min(max(probability, self.least), self.most) - self.mean
        low, high = np.clip((low + min(shifts), high + max(shifts)), 0.0, 1.0)
        return float(low), float(high)


@dataclass(frozen=True)
class Ads:
    """Figures from the development ads of several frames."""

    count: int
    log_loss: Mapping[Rule, float]
    """Log loss of the ads' joined probabilities by rule."""
    ece: float
    """Expected calibration error under the chosen rule."""
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Calibration:
    """Calibration of a model's probabilities by development rows."""

    temperature: float
    rule: Rule
    rows: int
    groups: int
    checksum: str
    """Checksum of the rows."""
    before: Mapping[str, Any]
    """Before calibration: `log_loss` of the rows and all of `fgmfn.statistics.calibration`."""
    after: Mapping[str, Any] | None
    """The same after it, by cross-fitting; None if all rows are of one group."""
    bins: tuple[Bin, ...]
    ads: Ads | None
    """None if no ad has several frames; the rule is then the default one."""

    def interval(self, probability: float, *, joined: bool = False) -> tuple[float, float]:
        """Return the 95 % interval of an answer: how often development rows with such a probability were right.

        Args:
            probability: of the label.
            joined: it is that of an ad of several frames. If no development ad has several, the rows' bins are used.
        """
        bins = self.ads.bins if joined and self.ads else self.bins
        return next((one for one in bins if probability <= one.most), bins[-1]).interval(probability)

    def lines(self) -> list[str]:
        """Return the findings as sentences."""
        rows = f"{self.rows} development rows in {self.groups} groups"
        bound = ", its bound: these rows do not determine it" if self.temperature in (LEAST, MOST) else ""
        lines = [f"temperature {self.temperature:.3g}{bound}, fitted on {rows}"]
        after = (
            f"{self.after['ece']:.1%} after (cross-fitted)" if self.after else "unknown after, as they are one group"
        )
        lines.append(f"expected calibration error on these rows: {self.before['ece']:.1%} before, {after}")
        rule = f"an ad's probabilities are {SAID[self.rule]}"
        if self.ads is None:
            return [*lines, f"{rule}; with no ads of several frames there, rows speak for ads, and nothing was chosen"]
        losses = ", ".join(f"{name} {loss:.3f}" for name, loss in self.ads.log_loss.items())
        return [*lines, f"{rule}, chosen by log loss on {self.ads.count} ads there ({losses}); ECE {self.ads.ece:.1%}"]

    def as_json(self) -> dict[str, Any]:
        """Return plain values for metrics.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_json` returned.

        Raises:
            KeyError, TypeError: The values are something else.
        """
        ads = values["ads"]
        if ads is not None:
            ads = Ads(**{**ads, "bins": _read_bins(ads["bins"])})
        return cls(**{**values, "bins": _read_bins(values["bins"]), "ads": ads})


def _read_bins(values: Sequence[Mapping[str, Any]]) -> tuple[Bin, ...]:
    return tuple(Bin(**one) for one in values)


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Turn logits into probabilities, [rows, C] both.

    Raises:
        FgmfnError: A logit is not a number, or a row has no finite logit.
    """
    exact = np.asarray(logits, dtype=np.float64)
    broken = ~np.isfinite(exact.max(axis=1))  # of NaN, too; a class without training rows has -inf
    if broken.any():
        raise FgmfnError(
            f"row {int(broken.argmax()) + 1} of {len(exact)}: the model answers {exact[broken.argmax()].tolist()}, "
            f"which are no numbers; its weights are damaged or overflow"
        )
    shares: np.ndarray = softmax(exact / temperature, axis=1)
    return shares


def fit_temperature(logits: np.ndarray, labels: Sequence[int]) -> float:
    """Return the temperature with the least log loss within its bounds; 1 if all are equally good.

    Args:
        logits: [rows, C].
        labels: the rows' classes.

    Raises:
        FgmfnError: As `probabilities`.
    """
    probabilities(logits)
    exact, numbers = np.asarray(logits, dtype=np.float64), np.arange(len(labels))
    own = exact[numbers, np.asarray(labels)]
    possible = np.isfinite(own)  # no temperature helps a row with a class that is never predicted
    gaps = exact[possible] - own[possible, None]
    finite = np.where(np.isfinite(gaps), gaps, 0.0)
    if not finite.any():
        return 1.0

    def slope(inverse: float) -> float:
        """Return the slope of the log loss, which is convex in the temperature's inverse."""
        return float((softmax(inverse * gaps, axis=1) * finite).sum())

    coldest, hottest = 1 / LEAST, 1 / MOST
    if slope(hottest) >= 0:
        return MOST
    if slope(coldest) <= 0:
        return LEAST
    return float(1 / brentq(slope, hottest, coldest, xtol=1e-12))


def join(frames: np.ndarray, rule: Rule) -> np.ndarray:
    """Join the probabilities of an ad's frames, [F, C] -> [C]; the frames' order has no effect."""
    weights = frames.max(axis=1, keepdims=True) if rule == "confidence" else np.ones((len(frames), 1))
    # sorted, so that rounding does not depend on the order
    joined: np.ndarray = np.sort(weights * frames, axis=0).sum(axis=0) / np.sort(weights, axis=0).sum()
    return joined


def calibrate(
    logits: np.ndarray, labels: Sequence[int], groups: Sequence[str], ads: Sequence[str], checksum: str
) -> Calibration:
    """Calibrate a model's probabilities on development rows.

    Args:
        logits: of the rows, [rows, C].
        labels: their classes.
        groups: the group of each row; rows of one group are not independent.
        ads: the ad of each row, a part of its group.
        checksum: of the rows.

    Raises:
        FgmfnError: As `probabilities`, or there are no rows.
    """
    if not len(labels):
        raise FgmfnError("no development rows to calibrate by")
    true, families = np.asarray(labels), np.asarray(groups)
    temperature = fit_temperature(logits, labels)
    fitted = _cross_fitted(logits, true, families)
    shares = probabilities(logits, temperature) if fitted is None else fitted
    joined = _judge_ads(shares, true, families, np.asarray(ads))
    return Calibration(
        temperature=temperature,
        rule=joined[0] if joined else "mean",
        rows=len(true),
        groups=len(np.unique(families)),
        checksum=checksum,
        before=_errors(probabilities(logits), true),
        after=None if fitted is None else _errors(fitted, true),
        bins=_bins(shares, true, families),
        ads=joined[1] if joined else None,
    )


def _cross_fitted(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray | None:
    """Return each row's probabilities by a temperature that was fitted without its group, [rows, C]."""
    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2:
        return None
    shares = np.empty(logits.shape)
    for others, own in GroupKFold(folds).split(logits, groups=groups):
        shares[own] = probabilities(logits[own], fit_temperature(logits[others], labels[others].tolist()))
    return shares


def _errors(shares: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    return {"log_loss": _log_loss(shares, labels)} | reliability(labels.tolist(), shares)


def _log_loss(shares: np.ndarray, labels: np.ndarray) -> float:
    return float(log_loss(labels, shares, labels=list(range(shares.shape[1]))))


def _judge_ads(shares: np.ndarray, labels: np.ndarray, groups: np.ndarray, ads: np.ndarray) -> tuple[Rule, Ads] | None:
    """Choose the rule with the least log loss on ads of several frames; None if there are none."""
    _, first, numbers, frames = np.unique(ads, return_index=True, return_inverse=True, return_counts=True)
    several = frames > 1
    if not several.any() or (labels != labels[first][numbers]).any():
        return None
    own, kept = labels[first][several], [shares[numbers == number] for number in np.flatnonzero(several)]
    joined = {rule: np.stack([join(one, rule) for one in kept]) for rule in SAID}
    losses = {rule: _log_loss(one, own) for rule, one in joined.items()}
    best = min(losses, key=losses.__getitem__)  # the mean if both are equally good
    bins = _bins(joined[best], own, groups[first][several])
    return best, Ads(len(own), losses, reliability(own.tolist(), joined[best])["ece"], bins)


def _bins(shares: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[Bin, ...]:
    """Sort answers into bins by their probability, about equally many in each."""
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    number = max(1, min(BINS, len(np.unique(groups)) // GROUPS_PER_BIN))
    inner = np.unique(np.quantile(sure, np.arange(1, number) / number))
    places = np.searchsorted(inner, sure, side="left")
    return tuple(_bin(sure[own], right[own], groups[own]) for own in (places == place for place in np.unique(places)))


def _bin(sure: np.ndarray, right: np.ndarray, groups: np.ndarray) -> Bin:
    share = float(right.mean())
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    fewest = len(sure) ** 2 / float((sizes**2).sum())  # Kish: all rows of a group alike
    off = np.bincount(numbers, right - share)
    spread = float((off**2).sum()) * len(sizes) / max(len(sizes) - 1, 1)  # a sum's variance, of groups as they are
    alone = len(sure) * share * (1 - share)  # of independent rows
    effective = fewest if alone == 0 else len(sure) * alone / max(spread, alone / len(sure))
    return Bin(
        float(sure.min()),
        float(sure.max()),
        float(sure.mean()),
        share,
        len(sure),
        min(max(effective, fewest), float(len(sure))),
    )
