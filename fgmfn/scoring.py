"""Predictions and scores of a trained model on the splits of a source."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa

from fgmfn.calibration import Calibration, calibrate, probabilities
from fgmfn.data import Rows, Source, SplitDataset
from fgmfn.data.overlap import linked
from fgmfn.data.rows import UNKNOWN
from fgmfn.errors import DataError
from fgmfn.evaluation import Metrics
from fgmfn.inference import Checkpoint, Predictor
from fgmfn.predictions import METRICS
from fgmfn.statistics import calibration as reliability
from fgmfn.statistics import measure

log = logging.getLogger(__name__)


def split_of(checkpoint: Checkpoint, source: Source, split: str) -> Rows:
    """Return the rows of a split that a model can be asked about.

    Warns where the rows are not those that the checkpoint was trained on.

    Raises:
        DataError: As `split_logits`.
    """
    rows = source.splits.get(split)
    if not rows:
        filled = [name for name, values in source.splits.items() if len(values)]
        raise DataError(f"{source.path}: split {split!r} has no rows; with rows: {', '.join(filled)}")
    if source.class_names != checkpoint.class_names:
        raise DataError(
            f"{source.path}: classes {list(source.class_names)}, but {checkpoint.path} was trained on "
            f"{list(checkpoint.class_names)}"
        )
    if checkpoint.has_targets and not rows.has_targets and checkpoint.reads_target(real=True):
        raise DataError(
            f"{source.path}: its rows have no targets, and {checkpoint.path} was trained on rows that have; "
            f"name their column by target in [source]"
        )
    if rows.words != checkpoint.words:
        raise DataError(
            f"{source.path}: opened with words = {rows.words!r}, but {checkpoint.path} was trained with "
            f"{checkpoint.words!r}; set it in [source] (--words)"
        )
    if source.row_set_hash != checkpoint.row_set_hash:
        # Another release may have split the same ads otherwise.
        log.warning(
            "%s: not the rows that %s was trained on (%s); rows of this %s split may have been trained on, "
            "and scores on them measure memory",
            source.path,
            checkpoint.path,
            checkpoint.row_set_hash or f"no {METRICS} names them",
            split,
        )
    return rows


def predict_split(
    checkpoint: Checkpoint,
    source: Source,
    split: str,
    *,
    batch_size: int = 32,
    progress: bool = True,
    prepared: SplitDataset | None = None,
) -> np.ndarray:
    """Return class probabilities [rows, C] for a split, as `split_logits`, calibrated where the checkpoint is."""
    logits = split_logits(checkpoint, source, split, batch_size=batch_size, progress=progress, prepared=prepared)
    return Predictor(checkpoint).probabilities(logits)


def split_logits(
    checkpoint: Checkpoint,
    source: Source,
    split: str,
    *,
    batch_size: int = 32,
    progress: bool = True,
    prepared: SplitDataset | None = None,
) -> np.ndarray:
    """Return the logits [rows, C] for a split, in the source's order.

    Warns where the rows are not those that the checkpoint was trained on. `prepared` is the split where it is open.

    Raises:
        DataError: The split is empty, the classes are not the model's, or pictures or targets are needed and not
            there.
    """
    rows = split_of(checkpoint, source, split)
    predictor = Predictor(checkpoint, batch_size=batch_size)
    title = f"{checkpoint.name} on {split}" if progress else None
    return predictor.logits(rows, prepared=prepared, title=title)


def evaluate_split(
    checkpoint: Checkpoint,
    source: Source,
    split: str,
    *,
    progress: bool = True,
    prepared: SplitDataset | None = None,
) -> Metrics:
    """Score a checkpoint on a split of a source; `prepared` is the split where it is open.

    Raises:
        DataError: As `split_logits`, or the split's labels are hidden.
    """
    if len(source.splits.get(split, ())) and not source.splits[split].scorable:
        raise DataError(f"{source.path}: the labels of split {split!r} are hidden; predict it instead")
    logits = split_logits(checkpoint, source, split, progress=progress, prepared=prepared)
    return measure_split(source, split, logits, checkpoint.calibration)


def measure_split(source: Source, split: str, logits: np.ndarray, calibrated: Calibration | None) -> Metrics:
    """Score a model's logits, [rows, C], for a split whose labels are known.

    The calibration of the rows that it was fitted on is the cross-fitted one. Of others, too, the errors before stand
    beside it, as `uncalibrated`.
    """
    rows = source.splits[split]
    shares = probabilities(logits, calibrated.temperature if calibrated else 1.0)
    metrics = measure(rows.label, shares, linked(rows, grouped=True), source.class_names)
    if calibrated is None:
        return metrics
    fitted = rows.checksum == calibrated.checksum
    before, after = calibrated.before, calibrated.after
    if not fitted:
        before, after = reliability(rows.label, probabilities(logits)), metrics.calibration
    if after is None:
        return replace(metrics, calibration=None)
    figures = {name: after[name] for name in ("ece", "brier", "of", "bins")}
    return replace(metrics, calibration=figures | {"uncalibrated": {"ece": before["ece"], "brier": before["brier"]}})


def calibrate_by(source: Source, logits: np.ndarray) -> Calibration | None:
    """Calibrate probabilities on the development rows of a source; None if their labels are hidden."""
    rows = source.splits["validation"]
    if not rows.scorable:
        return None
    return calibrate(logits, rows.label, linked(rows, grouped=True), rows.group, rows.checksum)


def prediction_table(source: Source, split: str, probabilities: np.ndarray) -> pa.Table:
    """Set predictions beside the rows they are for: their name and group, label, predicted, probability per class.

    Rows of one picture are of one group.
    """
    rows, names = source.splits[split], source.class_names
    columns = {
        source.row_names[0]: pa.array(rows.name),
        source.row_names[1]: pa.array(linked(rows, grouped=True)),
        "label": pa.array([None if number == UNKNOWN else names[number] for number in rows.label], pa.string()),
        "predicted": pa.array([names[number] for number in probabilities.argmax(axis=1)]),
    }
    columns |= {f"probability_{name}": pa.array(probabilities[:, number]) for number, name in enumerate(names)}
    return pa.table(columns)
