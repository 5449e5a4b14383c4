"""Comparison of two models on the same rows: the difference with its interval, or that they are not distinguishable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import accuracy_score, f1_score

from fgmfn.errors import DataError
from fgmfn.predictions import MEASURES, METRICS, Predictions, file_digest, predictions_file, read_predictions
from fgmfn.statistics import LEVEL, Interval, McNemar, PairedDifference, mcnemar, paired_difference

Predict = Callable[[Path, str], pa.Table]
"""Predicts a split again with the run in a folder; the record's checksum of its rows is given."""


@dataclass(frozen=True)
class Side:
    """One of the two models: its runs on one split, by seed."""

    path: Path
    """The folder or pattern that was given."""
    model: str
    checksum: str
    """Checksum of the rows as the model reads them."""
    cases: str
    """Checksum of the rows that does not depend on which of their words the model reads."""
    runs: Mapping[int, Predictions]
    departures: tuple[str, ...] = ()
    """Differences from the model's paper."""


@dataclass(frozen=True)
class Outcome:
    """By how much model A is better than B; negative if it is worse."""

    split: str
    class_names: tuple[str, ...]
    a: Side
    b: Side
    seeds: tuple[int, ...]
    """Seeds that both sides have; with one run on each side, A's seed."""
    left_out: tuple[int, ...]
    """Seeds that only one side has."""
    scores: tuple[Mapping[str, float], Mapping[str, float]]
    """Scores of A and B, means over the seeds: `accuracy`, `macro_f1`, and `f1 NAME` of each class."""
    difference: PairedDifference
    mcnemar: tuple[McNemar, ...]
    """By seed: rows on which only B is right, and rows on which only A is."""

    @property
    def differences(self) -> dict[str, tuple[Interval, float]]:
        """By the names of `scores`: the difference with its interval and its p value."""
        found = self.difference
        return dict(
            zip(self.scores[0], zip((found.accuracy, found.macro_f1, *found.f1), found.p, strict=True), strict=True)
        )

    def verdict(self, measure: str) -> str:
        """Say in a sentence which side is better in `accuracy` or `macro_f1`."""
        (value, low, high), p = self.differences[measure]
        said = f"{100 * value:+.1f} points of {MEASURES[measure]} [{100 * low:+.1f}, {100 * high:+.1f}], {p_value(p)}"
        if p < LEVEL:
            return f"{'A' if value > 0 else 'B'} is better: {said}"
        return f"not distinguishable: {said}{few_groups(low, high, p)}"

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        sides = {
            name: {
                "path": str(side.path),
                "model": side.model,
                "checksum": side.checksum,
                "departures": list(side.departures),
                "scores": dict(scores),
            }
            for name, side, scores in zip("ab", (self.a, self.b), self.scores, strict=True)
        }
        differences = {
            name: {"difference": value, "low": low, "high": high, "p": p, "distinguishable": p < LEVEL}
            for name, ((value, low, high), p) in self.differences.items()
        }
        return {
            "split": self.split,
            "checksum": self.a.checksum,
            "rows": self.difference.rows,
            "groups": self.difference.groups,
            "seeds": list(self.seeds),
            "left_out": list(self.left_out),
            **sides,
            "differences": differences,
            "mcnemar": [{"b_alone_right": one.old, "a_alone_right": one.new, "p": one.p} for one in self.mcnemar],
        }


def few_groups(low: float, high: float, p: float) -> str:
    """Return a note on an interval without 0 although two models are not distinguishable; else an empty string."""
    lacks = p >= LEVEL and (low > 0 or high < 0)
    return " (the interval lacks 0, but so few groups may differ so by chance)" if lacks else ""


def p_value(p: float) -> str:
    """Return `p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def compare(a: Side, b: Side, split: str) -> Outcome:
    """Compare two models on rows that both have predicted.

    Seeds of both are paired; one run of each is compared whatever its seed.

    Raises:
        DataError: They have predicted different rows, or have no common seed.
    """
    if a.cases != b.cases:
        raise DataError(
            f"the {split} rows differ, and are not compared: {a.checksum} of {a.path}, {b.checksum} of {b.path}"
        )
    if len(a.runs) == len(b.runs) == 1:
        seeds, pairs = tuple(a.runs), list(zip(a.runs.values(), b.runs.values(), strict=True))
        left_out: tuple[int, ...] = ()
    else:
        seeds = tuple(sorted(a.runs.keys() & b.runs.keys()))
        left_out = tuple(sorted(a.runs.keys() ^ b.runs.keys()))
        pairs = [(a.runs[seed], b.runs[seed]) for seed in seeds]
    if not pairs:
        raise DataError(f"no seed in common: {a.path} has {sorted(a.runs)}, {b.path} has {sorted(b.runs)}")
    first = pairs[0][0]
    for run in (run for pair in pairs for run in pair):
        if (run.labels, run.groups, run.class_names) != (first.labels, first.groups, first.class_names):
            raise DataError(f"{a.path} and {b.path}: predictions of the same rows with other classes, labels or groups")
    new, old = (np.stack([pair[side].predicted for pair in pairs]) for side in (0, 1))
    found = paired_difference(first.labels, old, new, first.groups, len(first.class_names))
    scores = _mean_scores(first, new), _mean_scores(first, old)
    tests = tuple(mcnemar(first.labels, *pair) for pair in zip(old.tolist(), new.tolist(), strict=True))
    return Outcome(split, first.class_names, a, b, seeds, left_out, scores, found, tests)


def _mean_scores(rows: Predictions, predicted: np.ndarray) -> dict[str, float]:
    """Mean over the seeds of each score, of predictions [S, N]."""
    classes = list(range(len(rows.class_names)))
    f1 = np.mean(
        [f1_score(rows.labels, one, labels=classes, average=None, zero_division=0) for one in predicted], axis=0
    )
    accuracy = float(np.mean([accuracy_score(rows.labels, one) for one in predicted]))
    by_class = {f"f1 {name}": float(value) for name, value in zip(rows.class_names, f1, strict=True)}
    return {"accuracy": accuracy, "macro_f1": float(f1.mean())} | by_class


STARS = ((0.01, "**"), (LEVEL, "*"))
MEANING = "* p < 0.05, ** p < 0.01, no mark: not distinguishable; not corrected for the number of rows"


def stars(p: float) -> str:
    """Return the mark of a p value, as `MEANING` explains."""
    return next((mark for least, mark in STARS if p < least), "")


def read_side(path: Path, split: str, predict: Predict | None = None) -> Side:
    """Read the predictions of a run, or of a folder of one model's runs over seeds, for a split.

    Args:
        path: a run's folder, a folder of runs, or a pattern of run folders such as `runs/text_only-*`.
        split: `validation` or `test`.
        predict: predicts again if a run has kept no predictions.

    Raises:
        DataError: There is no such run, it is unfinished or damaged, or runs differ in more than their seed.
    """
    records = {folder: read_record(folder) for folder in _find_runs(path)}
    finished = {folder: record for folder, record in records.items() if record.get("finished") is not False}
    if not finished:
        raise DataError(f"{path}: no run has finished there")
    runs: dict[int, Predictions] = {}
    (first, known), *_ = finished.items()
    for folder, record in finished.items():
        if differing := _differing(known, record):
            raise DataError(f"{path}: {first.name} and {folder.name} differ in {differing}, not in their seed alone")
        if record["seed"] in runs:
            raise DataError(f"{path}: several runs of seed {record['seed']}, such as {folder.name}; keep one")
        if split not in record.get("checksums", {}):
            raise DataError(f"{folder}: no {split} rows")
        runs[record["seed"]] = _read_run(folder, record, split, predict)
    checksum = known["checksums"][split]
    departures = dict.fromkeys(each for record in finished.values() for each in record.get("departures", ()))
    cases = known.get("cases", {}).get(split, checksum)
    return Side(path, known["model"], checksum, cases, runs, tuple(departures))


def _find_runs(path: Path) -> list[Path]:
    if (path / METRICS).is_file():
        return [path]
    inside = path.glob(f"*/{METRICS}") if path.is_dir() else path.parent.glob(f"{path.name}/{METRICS}")
    if runs := sorted(file.parent for file in inside):
        return runs
    raise DataError(f"{path}: neither a run nor a folder of runs; a run has a {METRICS}")


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a run, finished or not.

    Raises:
        DataError: There is none, or it is damaged.
    """
    file = folder / METRICS
    if not file.is_file():
        raise DataError(f"{folder}: no run of fgmfn train; a run has a {METRICS}")
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        _ = record["model"], record["seed"], record["settings"], record["row_set_hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: damaged ({error!r}); train again") from error
    return record


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Return the name of a difference between two runs other than their seed."""
    for name in ("model", "row_set_hash", "class_names"):
        if one.get(name) != other.get(name):
            return f"{name} ({one.get(name)} and {other.get(name)})"
    tables: Sequence[str] = [*one["settings"]]
    for table in tables:
        here, there = one["settings"][table], other["settings"].get(table, {})
        for name in (here | there).keys() - {"seed", "workers", "report_to", "cache", "cache_gb", "cache_days"}:
            if here.get(name) != there.get(name):
                return f"[{table}] {name} ({here.get(name)} and {there.get(name)})"
    return None


def _read_run(folder: Path, record: Mapping[str, Any], split: str, predict: Predict | None) -> Predictions:
    name = predictions_file(split)
    digest, file = record.get("files", {}).get(name), folder / name
    if digest is None or not file.is_file():
        if predict is None:
            raise DataError(f"{folder}: no predictions of the {split} rows were kept; name the data (--data)")
        table = predict(folder, record["checksums"][split])
    elif file_digest(file) != digest:
        raise DataError(f"{file}: not the file that was written; remove the folder to train again")
    else:
        table = pq.read_table(file)
    try:
        return read_predictions(table)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
