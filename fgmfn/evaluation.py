"""Scores of models: accuracy, macro-F1 and the confusion matrix, and the table that compares models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from fgmfn.errors import FgmfnError

if TYPE_CHECKING:
    from rich.table import Table


REDUCED = "†"
"""Stands beside the figures of a model that is not as its paper has it."""


@dataclass(frozen=True)
class Metrics:
    """Scores of one model on one split."""

    accuracy: float
    macro_f1: float
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the true classes, columns the predicted ones."""
    rows: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values for metrics.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Metrics:
        """Read back what `as_json` gave."""
        return cls(
            accuracy=values["accuracy"],
            macro_f1=values["macro_f1"],
            confusion=tuple(tuple(row) for row in values["confusion"]),
            rows=values["rows"],
        )


def score(true: Sequence[int], predicted: Sequence[int], n_classes: int) -> Metrics:
    """Compare predictions with labels.

    The macro-F1 runs over all classes, a class without rows or predictions included as 0: a split that lacks
    one cannot score 1, which is better noticed than hidden.

    Raises:
        FgmfnError: There is nothing to score.
    """
    if not len(true):
        raise FgmfnError("no rows to score")
    classes = list(range(n_classes))
    matrix = confusion_matrix(true, predicted, labels=classes)
    return Metrics(
        accuracy=float(accuracy_score(true, predicted)),
        macro_f1=float(f1_score(true, predicted, labels=classes, average="macro", zero_division=0)),
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
        rows=len(true),
    )


class Interval(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} (95 % interval {self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True)
class PairedDifference:
    """Gain of one model over another on the same rows."""

    accuracy: Interval
    macro_f1: Interval
    rows: int
    groups: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def paired_difference(
    true: Sequence[int],
    old: Sequence[int],
    new: Sequence[int],
    groups: Sequence[str],
    n_classes: int,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """Compare two models' predictions for the same rows: scores of `new` less those of `old`.

    The interval is the percentile interval of a bootstrap over groups: rows of one ad are no independent witnesses.

    Args:
        true: classes of the rows.
        old: what the one model predicts.
        new: what the other one predicts.
        groups: the ad of each row.
        n_classes: number of classes, those without rows included.
        draws: samples of the bootstrap.
        seed: of the bootstrap.

    Raises:
        FgmfnError: There is nothing to compare.
    """
    if not len(true):
        raise FgmfnError("no rows to compare two models on")
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((2, len(names), n_classes, n_classes))
    for side, predicted in enumerate((old, new)):
        np.add.at(counts[side], (numbers, np.asarray(true), np.asarray(predicted)), 1)
    random, even = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
    drawn = (random.multinomial(len(names), even) for _ in range(draws))
    gains = np.array([_gains(np.einsum("g,sgtp->stp", weights, counts)) for weights in drawn])
    low, high = np.quantile(gains, (0.025, 0.975), axis=0)
    accuracy, macro_f1 = map(Interval, _gains(counts.sum(axis=1)).tolist(), low.tolist(), high.tolist())
    return PairedDifference(accuracy, macro_f1, len(true), len(names))


def _gains(confusion: np.ndarray) -> np.ndarray:
    """Accuracy and macro-F1 of the second of two confusion matrices, [2, C, C], less those of the first."""
    right = np.einsum("scc->sc", confusion)
    named = confusion.sum(axis=1) + confusion.sum(axis=2)
    f1 = np.divide(2 * right, named, out=np.zeros_like(right), where=named > 0).mean(axis=1)
    accuracy = right.sum(axis=1) / confusion.sum(axis=(1, 2))
    return np.array([accuracy[1] - accuracy[0], f1[1] - f1[0]])


@dataclass(frozen=True)
class Comparison:
    """One row of the comparison."""

    title: str
    dev: Metrics | None
    test: Metrics | None
    seconds: float
    departures: tuple[str, ...] = ()
    """In what the model is not its paper's."""


def reduced_lines(departures: Mapping[str, Iterable[str]]) -> list[str]:
    """Say below a table, by model, what the mark beside its figures means."""
    return [f"{REDUCED} {title}: {'; '.join(those)}" for title, those in departures.items() if those]


def comparison_table(rows: Sequence[Comparison], title: str) -> Table:
    """Set models side by side: accuracy and macro-F1 on both splits."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for split in ("dev", "test"):
        table.add_column(f"{split}\naccuracy", justify="right")
        table.add_column(f"{split}\nmacro-F1", justify="right")
    table.add_column("trained\nin", justify="right")
    for row in rows:
        mark = REDUCED if row.departures else ""
        table.add_row(row.title, *_figures(row.dev, mark), *_figures(row.test, mark), f"{row.seconds:.0f} s")
    return table


def confusion_table(metrics: Metrics, class_names: Sequence[str], title: str) -> Table:
    """Show which class is taken for which."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("true \\ predicted")
    for name in class_names:
        table.add_column(name, justify="right")
    for name, counts in zip(class_names, metrics.confusion, strict=True):
        table.add_row(name, *(str(count) for count in counts))
    return table


def _figures(metrics: Metrics | None, mark: str) -> tuple[str, str]:
    if metrics is None:
        return "-", "-"
    return f"{metrics.accuracy:.1%}{mark}", f"{metrics.macro_f1:.1%}{mark}"
