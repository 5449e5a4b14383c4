"""Certainty of scores: intervals, paired differences, tests and calibration, with ads as the sampling units.

Rows of one group, such as the frames of an ad, are not independent: resampling draws whole groups. Runs of several
seeds are a second source of chance. A draw of a figure over S seeds is its mean over the seeds on
the drawn groups, plus t * s / sqrt(S): s is its standard deviation over the seeds on all rows, t is drawn from
Student's distribution with S - 1 degrees of freedom. Drawing the few seeds themselves again would make intervals too
short. What a seed does to single rows counts in both terms, which makes intervals a little too long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, precision_recall_fscore_support

from fgmfn.errors import FgmfnError
from fgmfn.evaluation import Metrics, score

DRAWS = 2000
BATCH = 250
"""Draws at a time, for less memory."""
BINS = 15
"""Of equal width, as in Guo et al. 2017."""
LEVEL = 0.05
"""A p value below it distinguishes two models."""


class Interval(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} (95 % interval {self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True)
class Intervals:
    """Scores of one model, over one seed or several."""

    accuracy: Interval
    macro_f1: Interval


@dataclass(frozen=True)
class PairedDifference:
    """Gain of one model over another on the same rows."""

    accuracy: Interval
    macro_f1: Interval
    f1: tuple[Interval, ...]
    """Of each class."""
    p: tuple[float, ...]
    """Of accuracy, macro-F1 and each class's F1, in this order."""
    rows: int
    groups: int
    seeds: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class McNemar(NamedTuple):
    """McNemar's exact test: of the rows on which one of two models alone is right, how many are which one's.

    It takes rows for independent, which those of one group are not: its p is then too small.
    """

    old: int
    """Rows on which the one model alone is right."""
    new: int
    """Rows on which the other one alone is right."""
    p: float


def measure(
    true: Sequence[int], probabilities: np.ndarray, groups: Sequence[str], class_names: Sequence[str]
) -> Metrics:
    """Score a model on one split with all that a reader needs to judge its scores.

    Args:
        true: classes of the rows, [N].
        probabilities: of each class, [N, C].
        groups: the ad of each row.
        class_names: of the C classes.

    Raises:
        FgmfnError: There is nothing to score.
    """
    n_classes = len(class_names)
    labels, predicted = [int(label) for label in true], probabilities.argmax(axis=1).tolist()
    scored = score(labels, predicted, n_classes)
    intervals = score_intervals(labels, predicted, groups, n_classes)
    ads = by_group(labels, probabilities, groups)
    of_ads = score(ads[0].tolist(), ads[1].argmax(axis=1).tolist(), n_classes) if ads else None
    most = max(range(n_classes), key=labels.count)
    line = score(labels, [most] * len(labels), n_classes)
    figures = precision_recall_fscore_support(labels, predicted, labels=list(range(n_classes)), zero_division=0)
    return replace(
        scored,
        groups=len(set(groups)),
        accuracy_interval=intervals.accuracy[1:],
        macro_f1_interval=intervals.macro_f1[1:],
        per_class={
            name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "rows": int(rows)}
            for name, precision, recall, f1, rows in zip(class_names, *figures, strict=True)
        },
        majority={"class": class_names[most], "accuracy": line.accuracy, "macro_f1": line.macro_f1},
        calibration=calibration(labels, probabilities),
        per_group={"accuracy": of_ads.accuracy, "macro_f1": of_ads.macro_f1, "groups": of_ads.rows} if of_ads else None,
    )


def score_intervals(
    true: Sequence[int],
    predicted: Any,
    groups: Sequence[str],
    n_classes: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Intervals:
    """Say how far accuracy and macro-F1 would be elsewhere for other groups, and seeds, of the same kind.

    Args:
        true: classes of the rows, [N].
        predicted: what the model predicts, [N], or [S, N] with a run per seed.
        groups: the ad of each row.
        n_classes: number of classes, those without rows included.
        draws: samples of the bootstrap.
        seed: of the bootstrap.

    Raises:
        FgmfnError: There is nothing to score, or lengths differ.
    """
    counts = _counts(true, predicted, groups, n_classes)
    values, drawn = _bootstrap(counts, lambda confusion: _scores(confusion)[..., :2], draws, seed)
    accuracy, macro_f1 = _intervals(values, drawn, 0)
    return Intervals(accuracy, macro_f1)


def paired_difference(
    true: Sequence[int],
    old: Any,
    new: Any,
    groups: Sequence[str],
    n_classes: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> PairedDifference:
    """Compare two models' predictions for the same rows: scores of `new` less those of `old`.

    A p value is the larger one of two: that of the bootstrap which the interval is from, and that of a permutation
    test, in which the two models exchange whole groups. The first counts the seeds, the second is right for few groups.

    Args:
        true: classes of the rows, [N].
        old: what the one model predicts, [N], or [S, N] with a run per seed.
        new: what the other one predicts, of the same shape; runs of one place share their seed.
        groups: the ad of each row.
        n_classes: number of classes, those without rows included.
        draws: samples of the bootstrap, and permutations.
        seed: of both.

    Raises:
        FgmfnError: There is nothing to compare, or lengths differ.
    """
    before, after = (_counts(true, predicted, groups, n_classes) for predicted in (old, new))
    if len(before) != len(after):
        raise FgmfnError(
            f"{len(before)} runs of the one model and {len(after)} of the other: give the same seeds of both"
        )
    counts = np.stack([before, after], axis=1)

    def gains(confusion: np.ndarray) -> np.ndarray:
        return np.diff(_scores(confusion), axis=-2)[..., 0, :]

    values, drawn = _bootstrap(counts, gains, draws, seed)
    accuracy, macro_f1, *f1 = _intervals(values, drawn, -1)
    gain = values.mean(axis=0)
    sides = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
    p = np.maximum(
        np.minimum(1.0, 2 * (sides + 1) / (len(drawn) + 1)), _permutation_p(counts, gains, gain, draws, seed)
    )
    return PairedDifference(
        accuracy, macro_f1, tuple(f1), tuple(p.tolist()), len(true), counts.shape[2], counts.shape[0]
    )


def mcnemar(true: Sequence[int], old: Sequence[int], new: Sequence[int]) -> McNemar:
    """Ask whether two models are right on equally many of the rows on which they differ."""
    right = [np.asarray(predicted) == np.asarray(true) for predicted in (old, new)]
    only_old, only_new = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    differing = only_old + only_new
    return McNemar(only_old, only_new, float(binomtest(only_old, differing).pvalue) if differing else 1.0)


def calibration(true: Sequence[int], probabilities: np.ndarray, bins: int = BINS) -> dict[str, Any]:
    """Say whether a model is right as often as it is sure.

    Args:
        true: classes of the rows, [N].
        probabilities: of each class, [N, C].
        bins: of the largest probability, of equal width; each includes its upper bound.

    Returns:
        `ece`, the expected calibration error: the mean over the rows of their bin's |accuracy - confidence|; `brier`:
        the mean squared distance from the truth, 0 to 2; `bins`: of each that has rows, their number, mean confidence
        and accuracy.
    """
    shares = np.asarray(probabilities, dtype=np.float64)
    shares = shares / shares.sum(axis=1, keepdims=True)
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == np.asarray(true)
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    filled = [(places == place) for place in np.unique(places)]
    found = [
        {"rows": int(own.sum()), "confidence": float(confidence[own].mean()), "accuracy": float(right[own].mean())}
        for own in filled
    ]
    ece = sum(one["rows"] * abs(one["accuracy"] - one["confidence"]) for one in found) / len(confidence)
    brier = brier_score_loss(true, shares, labels=list(range(shares.shape[1])), scale_by_half=False)
    return {"ece": float(ece), "brier": float(brier), "of": bins, "bins": found}


def by_group(
    true: Sequence[int], probabilities: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Make a row of each group: its class, [G], and the mean of its rows' probabilities, [G, C].

    Returns:
        None where every group is a row, or one has rows of several classes.
    """
    _, first, numbers = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    labels = np.asarray(true)
    if len(first) == len(labels) or (labels != labels[first][numbers]).any():
        return None
    sums = np.zeros((len(first), probabilities.shape[1]))
    np.add.at(sums, numbers, np.asarray(probabilities, dtype=np.float64))
    return labels[first], sums / np.bincount(numbers)[:, None]


def _counts(true: Sequence[int], predicted: Any, groups: Sequence[str], n_classes: int) -> np.ndarray:
    """A confusion matrix per run and group, [S, G, C, C]."""
    if not len(true):
        raise FgmfnError("no rows to score, or to compare two models on")
    runs = np.atleast_2d(np.asarray(predicted))
    if runs.shape[1] != len(true) or len(groups) != len(true):
        raise FgmfnError(
            f"{len(true)} labels, {runs.shape[1]} predictions and {len(groups)} groups; each row needs all"
        )
    for what, classes in (("label", np.asarray(true)), ("prediction", runs)):
        if classes.min() < 0 or classes.max() >= n_classes:
            raise FgmfnError(f"{what} {classes.min()} or {classes.max()}: expected classes from 0 to {n_classes - 1}")
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(runs), len(names), n_classes, n_classes))
    for own, one in zip(counts, runs, strict=True):
        np.add.at(own, (numbers, np.asarray(true), one), 1)
    return counts


def _scores(confusion: np.ndarray) -> np.ndarray:
    """Accuracy, macro-F1 and each class's F1 of confusion matrices, [..., C, C] -> [..., 2 + C].

    A class without rows and predictions counts as 0.
    """
    right = np.einsum("...cc->...c", confusion)
    named = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    f1 = np.divide(2 * right, named, out=np.zeros_like(right), where=named > 0)
    accuracy = right.sum(axis=-1) / confusion.sum(axis=(-1, -2))
    return np.concatenate([accuracy[..., None], f1.mean(axis=-1, keepdims=True), f1], axis=-1)


def _bootstrap(counts: np.ndarray, figures: Any, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Figures of all rows by seed, [S, F], and of each draw, [D, F]."""
    n_seeds, n_groups = counts.shape[0], counts.shape[-3]
    random, even = np.random.default_rng(seed), np.full(n_groups, 1 / n_groups)
    values = figures(counts.sum(axis=-3))
    weights = (random.multinomial(n_groups, even, size=size) for size in _batches(draws))
    drawn = np.concatenate([figures(_weighted(one, counts)).mean(axis=1) for one in weights])
    if n_seeds > 1:
        moved = values.std(axis=0, ddof=1) / np.sqrt(n_seeds) * random.standard_t(n_seeds - 1, size=(draws, 1))
        drawn = np.concatenate([drawn + moved, drawn - moved])  # with both signs, no model is favoured
    return values, drawn


def _weighted(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Add up groups, each as often as a draw has it: [D, G], [..., G, C, C] -> [D, ..., C, C]."""
    return np.einsum("dg,...gtp->d...tp", weights, counts, optimize=True)


def _permutation_p(counts: np.ndarray, gains: Any, gain: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Share of exchanges of whole groups between two models that bring as large a gain; counts [S, 2, G, C, C]."""
    random, least = np.random.default_rng(seed), np.abs(gain) - 1e-12
    total, other = counts.sum(axis=2), np.flip(counts, axis=1) - counts
    reached = np.zeros_like(gain)
    for size in _batches(draws):
        exchanged = random.integers(0, 2, size=(size, counts.shape[2]))
        moved = _weighted(exchanged, other)
        reached += (np.abs(gains(total + moved).mean(axis=1)) >= least).sum(axis=0)
    return (reached + 1) / (draws + 1)


def _intervals(values: np.ndarray, drawn: np.ndarray, least: float) -> list[Interval]:
    """Intervals of figures that lie between `least` and 1."""
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0).clip(least, 1)
    return [Interval(*map(float, one)) for one in zip(values.mean(axis=0), low, high, strict=True)]


def _batches(draws: int) -> Iterator[int]:
    return (min(BATCH, draws - begun) for begun in range(0, draws, BATCH))
