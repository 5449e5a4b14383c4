"""A trained model at work: load a checkpoint, predict single ads or a split of a source."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch.utils.data import DataLoader
from tqdm import tqdm

from fgmfn.baselines import model_class, model_of_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.console import quiet_libraries
from fgmfn.data import Collator, Rows, Source, SplitDataset
from fgmfn.data.overlap import linked
from fgmfn.data.rows import NOWHERE, UNKNOWN, given_rows
from fgmfn.errors import DataError, InputError, WeightsError
from fgmfn.evaluation import Metrics
from fgmfn.images import NO_PICTURE, as_seen
from fgmfn.inputs import Words
from fgmfn.predictions import METRICS
from fgmfn.processing import FgmfnProcessor, refuse_single
from fgmfn.statistics import measure

if TYPE_CHECKING:
    from fgmfn.modeling import SentimentModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with everything it needs to predict."""

    path: Path
    name: str
    """The model's name in `fgmfn.baselines.MODELS`."""
    model: SentimentModel | FittedModel
    processor: FgmfnProcessor | None
    """None where the model is fitted and reads the rows themselves."""
    row_set_hash: str | None
    """The rows it was trained on; None where its metrics.json is missing."""
    has_targets: bool | None = None
    """Whether those rows named what their sentences are about; None where its metrics.json does not say."""
    words: Words = "text"
    """What of their words it has read."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits."""
        return tuple(self.model.config.id2label[number] for number in range(self.model.config.num_labels))

    def reads_target(self, *, real: bool) -> bool:
        """Whether the model learns anything of a target, a real one or an ad's category."""
        if isinstance(self.model, FittedModel):
            return real and "text" in self.model.modalities
        return self.model.inputs.reads_target(real=real)


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one ad."""

    label: str
    probabilities: dict[str, float]


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a trained model of the comparison from the folder that `fgmfn train` printed.

    Raises:
        WeightsError: The folder holds no such model.
    """
    config = _read_object(path / "config.json")
    if config is None:
        raise WeightsError(f"{path}: no readable config.json, so this is not a checkpoint of fgmfn train")
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    name = model_of_class(architecture)
    if name is None:
        raise WeightsError(f"{path}: config.json names the model {architecture!r}, which fgmfn does not know")
    record = _read_object(path / METRICS) or {}
    origin = record.get("row_set_hash"), record.get("has_targets"), record.get("words", "text")
    try:
        with quiet_libraries():
            kind = model_class(name)
            if issubclass(kind, FittedModel):
                return Checkpoint(path, name, kind.from_pretrained(path), None, *origin)
            model, info = kind.from_pretrained(path, local_files_only=True, output_loading_info=True)
            if missing := sorted(info["missing_keys"]):
                raise WeightsError(f"{path}: its weights lack {len(missing)} tensors, such as {missing[0]}")
            processor = FgmfnProcessor.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise WeightsError(f"{path}: the checkpoint is incomplete or damaged: {error}") from error
    return Checkpoint(path, name, model.to(_device()).eval(), processor, *origin)


def trained_on_targets(path: Path) -> bool | None:
    """Whether the rows that a model was trained on had targets, or None where its folder does not say."""
    return (_read_object(path / METRICS) or {}).get("has_targets")


def _read_object(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None where there is no such thing."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def predict(
    checkpoint: Checkpoint,
    images: Sequence[Image.Image],
    texts: Sequence[str],
    targets: Sequence[str] | None = None,
    auxiliary: Sequence[str] | None = None,
) -> list[Prediction]:
    """Classify pictures with their words, one prediction per pair.

    A target is given to a model that was trained on rows with targets. To one that was trained on ads it may give
    the category, if it reads that; what it does not read is left out, with a warning.

    Args:
        checkpoint: a trained model.
        images: one picture per text; none at all for a model that looks at none.
        texts: the words.
        targets: what of each text the sentiment is about; None: nothing special.
        auxiliary: further words per text for models that read them, such as a caption; None: none. A model that was
            trained on them alone reads no text.

    Raises:
        InputError: The numbers differ, the model needs a target or auxiliary texts and there are none, or it needs the
            target's place in the text and the target does not stand there.
    """
    refuse_single(images=images, texts=texts, targets=targets, auxiliary=auxiliary)
    looks = "image" in checkpoint.model.modalities
    if len(images) != len(texts) and (looks or len(images)):
        raise InputError(f"{len(images)} pictures and {len(texts)} texts; every picture needs its words")
    for what, values in (("targets", targets), ("auxiliary texts", auxiliary)):
        if values is not None and len(values) != len(texts):
            raise InputError(f"{len(values)} {what} and {len(texts)} texts; every text needs its own")
    if not len(texts):
        return []
    read = _read_targets(checkpoint, targets)
    real = read is not None if checkpoint.has_targets is None else checkpoint.has_targets
    if auxiliary is None and checkpoint.words != "text":
        raise InputError(
            f"{checkpoint.path}: {checkpoint.name} was trained with words = {checkpoint.words!r}: give the auxiliary "
            f"texts (--auxiliary)"
        )
    rows = given_rows(images, texts, read, auxiliary, has_targets=real).reading(checkpoint.words)
    model = checkpoint.model
    if isinstance(model, FittedModel):
        return [_prediction(checkpoint, row) for row in model.probabilities(rows, progress=False)]
    if rows.has_targets and "target_span" in model.inputs.fields:
        _refuse_lost_targets(checkpoint.name, rows)
    processor: Any = checkpoint.processor
    dataset = SplitDataset(rows, processor, model.inputs)
    batch = Collator(processor, model.inputs)([dataset[row] for row in range(len(rows))])
    return [_prediction(checkpoint, row) for row in _probabilities(model, batch)]


def _read_targets(checkpoint: Checkpoint, targets: Sequence[str] | None) -> Sequence[str] | None:
    """Refuse targets that are missing and drop those that nothing reads."""
    name = checkpoint.name
    if targets is None:
        if checkpoint.has_targets and checkpoint.reads_target(real=True):
            raise InputError(
                f"{checkpoint.path}: {name} was trained on texts with targets, and says how a text speaks of one: "
                f"give what each text is about (--target)"
            )
        return None
    if checkpoint.words != "auxiliary" and checkpoint.reads_target(real=checkpoint.has_targets is not False):
        return targets
    trained = "was trained on ads and reads no target" if checkpoint.reads_target(real=True) else "reads no target"
    log.warning("%s: %s %s; the targets that were given change nothing", checkpoint.path, name, trained)
    return None


def _refuse_lost_targets(name: str, rows: Rows) -> None:
    """A model that reads what is left and right of a target needs its place."""
    lost = [row for row, span in enumerate(rows.span) if span == NOWHERE]
    if lost:
        raise InputError(
            f"target {rows.target[lost[0]][:80]!r} does not stand in text {lost[0] + 1}; {name} reads the words "
            f"around it: give it as it is written there"
        )


def _prediction(checkpoint: Checkpoint, probabilities: np.ndarray) -> Prediction:
    names = checkpoint.class_names
    return Prediction(names[int(probabilities.argmax())], dict(zip(names, map(float, probabilities), strict=True)))


def read_image(path: Path) -> Image.Image:
    """Read a picture file.

    Raises:
        InputError: It is missing or not a picture.
    """
    try:
        return as_seen(Image.open(path))
    except NO_PICTURE as error:
        raise InputError(f"{path}: cannot be read as a picture: {error}") from error


def predict_split(
    checkpoint: Checkpoint,
    source: Source,
    split: str,
    *,
    batch_size: int = 32,
    progress: bool = True,
    prepared: SplitDataset | None = None,
) -> np.ndarray:
    """Return class probabilities [rows, C] for a split, in the source's order.

    Warns where the rows are not those that the checkpoint was trained on. `prepared` is the split where it is open.

    Raises:
        DataError: The split is empty, the classes are not the model's, or pictures or targets are needed and not
            there.
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
    model = checkpoint.model
    if isinstance(model, FittedModel):
        return model.probabilities(rows, progress=progress)
    processor: Any = checkpoint.processor
    dataset = prepared or SplitDataset(rows, processor, model.inputs)
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=Collator(processor, model.inputs))
    bar = tqdm(loader, desc=f"{checkpoint.name} on {split}", unit="batch", disable=None if progress else True)
    return np.concatenate([_probabilities(model, batch) for batch in bar])


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
        DataError: As `predict_split`, or the split's labels are hidden.
    """
    if len(source.splits.get(split, ())) and not source.splits[split].scorable:
        raise DataError(f"{source.path}: the labels of split {split!r} are hidden; predict it instead")
    return measure_split(source, split, predict_split(checkpoint, source, split, progress=progress, prepared=prepared))


def measure_split(source: Source, split: str, probabilities: np.ndarray) -> Metrics:
    """Score predictions, [rows, C], for a split whose labels are known."""
    rows = source.splits[split]
    return measure(rows.label, probabilities, linked(rows, grouped=True), source.class_names)


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


@torch.inference_mode()
def _probabilities(model: SentimentModel, batch: dict[str, torch.Tensor]) -> np.ndarray:
    seen: dict[str, Any] = {
        name: values.to(model.device) for name, values in batch.items() if name not in ("labels", "groups")
    }
    return model(**seen).logits.float().softmax(dim=-1).cpu().numpy()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
