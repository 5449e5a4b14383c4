"""Scores of models: accuracy, macro-F1 and the confusion matrix, and the table that compares models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from fgmfn.errors import FgmfnError

if TYPE_CHECKING:
    from rich.table import Table


REDUCED = "†"
"""Mark next to the figures of a model that differs from its paper."""


@dataclass(frozen=True)
class Metrics:
    """Scores of one model on one split."""

    accuracy: float
    macro_f1: float
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the true classes, columns the predicted ones."""
    rows: int
    groups: int | None = None
    """Number of ads or other groups; this and all fields below are None if unknown, as in older runs."""
    accuracy_interval: tuple[float, float] | None = None
    """95 %, from a bootstrap over groups."""
    macro_f1_interval: tuple[float, float] | None = None
    per_class: Mapping[str, Mapping[str, float]] | None = None
    """By class its `precision`, `recall`, `f1` and `rows`."""
    majority: Mapping[str, Any] | None = None
    """Of always naming the most frequent class of these rows: `class`, `accuracy`, `macro_f1`."""
    calibration: Mapping[str, Any] | None = None
    """As `fgmfn.statistics.calibration`."""
    per_group: Mapping[str, float] | None = None
    """`accuracy` and `macro_f1` of `groups`, each by its rows' mean probabilities; None where a row is a group too."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values for metrics.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Metrics:
        """Read back what `as_json` gave, of an older version too."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        for name in ("accuracy_interval", "macro_f1_interval"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        return cls(**known | {"confusion": tuple(tuple(row) for row in values["confusion"])})


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


@dataclass(frozen=True)
class Comparison:
    """One row of the comparison."""

    title: str
    dev: Metrics | None
    test: Metrics | None
    seconds: float
    departures: tuple[str, ...] = ()
    """Differences from the model's paper."""


def reduced_lines(departures: Mapping[str, Iterable[str]]) -> list[str]:
    """Return lines that explain the mark below a table, one for all models with the same differences."""
    alike: dict[str, list[str]] = {}
    for title, those in departures.items():
        alike.setdefault("; ".join(those), []).append(title)
    return [f"{REDUCED} {'; '.join(titles)}: {said}" for said, titles in alike.items() if said]


def comparison_table(rows: Sequence[Comparison], title: str) -> Table:
    """Return a table of models: accuracy and macro-F1 on both splits."""
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
        if row.test and row.test.accuracy_interval and row.test.macro_f1_interval:
            table.add_row("", "", "", bracket(row.test.accuracy_interval), bracket(row.test.macro_f1_interval), "")
    return table


def confusion_table(metrics: Metrics, class_names: Sequence[str], title: str) -> Table:
    """Return the confusion matrix and each class's scores."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("true \\ predicted")
    for name in class_names:
        table.add_column(name, justify="right")
    known = metrics.per_class or {}
    for name in CLASS_SCORES if known else ():
        table.add_column(name, justify="right")
    for name, counts in zip(class_names, metrics.confusion, strict=True):
        scores = [f"{known[name][each]:.1%}" for each in CLASS_SCORES] if known else []
        table.add_row(name, *(str(count) for count in counts), *scores)
    return table


CLASS_SCORES = ("precision", "recall", "f1")


def surety_lines(metrics: Metrics | None, *, own: bool = True) -> list[str]:
    """Return lines on the certainty of scores and on their baselines; without what an older run lacks.

    Args:
        metrics: of one split.
        own: all of them; otherwise what holds for every model on these rows.
    """
    if metrics is None or metrics.groups is None or metrics.majority is None:
        return []
    line, calibrated, ads = metrics.majority, metrics.calibration, metrics.per_group
    drawn = f"by drawing {metrics.groups} groups of {metrics.rows} rows"
    always = f"always naming {line['class']}: accuracy {line['accuracy']:.1%}, macro-F1 {line['macro_f1']:.1%}"
    if not own:
        return [f"in brackets: 95 % intervals, {drawn}; of one seed", always]
    lines = []
    if metrics.accuracy_interval and metrics.macro_f1_interval:
        intervals = f"accuracy {bracket(metrics.accuracy_interval)}, macro-F1 {bracket(metrics.macro_f1_interval)}"
        lines.append(f"95 % intervals, {drawn}: {intervals}")
    lines.append(always)
    if ads:
        scores = f"accuracy {ads['accuracy']:.1%}, macro-F1 {ads['macro_f1']:.1%}"
        lines.append(f"per group, by the mean of its rows' probabilities: {scores}, {ads['groups']} groups")
    if calibrated:
        errors = f"ECE {calibrated['ece']:.1%} in {calibrated['of']} bins, Brier {calibrated['brier']:.3f}"
        lines.append(f"calibration: {errors}")
    return lines


def bracket(interval: tuple[float, float]) -> str:
    """Return an interval of shares in percent, `[67.6, 75.3]`."""
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _figures(metrics: Metrics | None, mark: str) -> tuple[str, str]:
    if metrics is None:
        return "-", "-"
    return f"{metrics.accuracy:.1%}{mark}", f"{metrics.macro_f1:.1%}{mark}"
