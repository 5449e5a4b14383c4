"""Files that a run keeps next to its weights: its record, and its predictions for the validation and test rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fgmfn.errors import DataError

METRICS = "metrics.json"
"""The record of a finished training, beside its weights."""
PREDICTIONS = "predictions"
"""Folder of a run's predictions."""
SHARE = "probability_"
MEASURES = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
"""Names of the scores for people."""


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for the rows of a split."""

    names: list[str]
    groups: list[str]
    """Rows of one ad, or with one picture, share theirs."""
    labels: list[int]
    """True classes."""
    probabilities: np.ndarray
    """[rows, C]"""
    class_names: tuple[str, ...]

    @property
    def predicted(self) -> np.ndarray:
        """The likeliest class of each row, [rows]."""
        return self.probabilities.argmax(axis=1)


def read_predictions(table: pa.Table) -> Predictions:
    """Read a table of `fgmfn.scoring.prediction_table`.

    Raises:
        DataError: It is no such table, or the labels are hidden.
    """
    classes = tuple(name.removeprefix(SHARE) for name in table.column_names if name.startswith(SHARE))
    if table.column_names[2:4] != ["label", "predicted"] or not classes:
        raise DataError(f"columns {', '.join(table.column_names)}: not the predictions of a run")
    labels: Sequence[Any] = table["label"].to_pylist()
    if None in labels:
        raise DataError("the labels are hidden: there is nothing to compare predictions with")
    numbers = {name: number for number, name in enumerate(classes)}
    shares = np.stack([table[SHARE + name].to_numpy() for name in classes], axis=1)
    names, groups = ([str(value) for value in table.column(place).to_pylist()] for place in (0, 1))
    return Predictions(names, groups, [numbers[label] for label in labels], shares, classes)


def predictions_file(split: str) -> str:
    """Name of a split's predictions within a run's folder."""
    return f"{PREDICTIONS}/{split}.parquet"


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
