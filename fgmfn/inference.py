"""A trained model at work: load a checkpoint, predict single ads or a release's split."""

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
from PIL import Image, UnidentifiedImageError
from torch.utils.data import DataLoader
from tqdm import tqdm

from fgmfn.baselines import model_class, model_of_class
from fgmfn.data import Collator, Release, SplitDataset
from fgmfn.errors import InputError, ReleaseDataError, WeightsError
from fgmfn.evaluation import Metrics, score
from fgmfn.processing import FgmfnProcessor
from fgmfn.quiet import quiet_libraries

if TYPE_CHECKING:
    from fgmfn.modeling import SentimentModel

log = logging.getLogger(__name__)

METRICS = "metrics.json"
"""What a finished training says of itself, beside its weights."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with everything it needs to predict."""

    path: Path
    name: str
    """The model's name in `fgmfn.baselines.MODELS`."""
    model: SentimentModel
    processor: FgmfnProcessor
    row_set_hash: str | None
    """The rows it was trained on; None where its metrics.json is missing."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits."""
        return tuple(self.model.config.id2label[number] for number in range(self.model.config.num_labels))


@dataclass(frozen=True)
class Prediction:
    """What a model says about one ad."""

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
    try:
        with quiet_libraries():
            model = model_class(name).from_pretrained(path, local_files_only=True)
            processor = FgmfnProcessor.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: the checkpoint is incomplete or damaged: {error}") from error
    trained_on = (_read_object(path / METRICS) or {}).get("row_set_hash")
    return Checkpoint(path, name, model.to(_device()).eval(), processor, trained_on)


def _read_object(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None where there is no such thing."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def predict(checkpoint: Checkpoint, images: Sequence[Image.Image], texts: Sequence[str]) -> list[Prediction]:
    """Classify pictures with their words, one prediction per pair."""
    if len(images) != len(texts):
        raise InputError(f"{len(images)} pictures and {len(texts)} texts; every picture needs its words")
    rgb = [image.convert("RGB") for image in images]
    batch = checkpoint.processor(images=rgb, text=texts)
    probabilities = _probabilities(checkpoint.model, dict(batch))
    return [
        Prediction(
            label=checkpoint.class_names[int(row.argmax())],
            probabilities=dict(zip(checkpoint.class_names, map(float, row), strict=True)),
        )
        for row in probabilities
    ]


def read_image(path: Path) -> Image.Image:
    """Read a picture file.

    Raises:
        InputError: It is missing or not a picture.
    """
    try:
        return Image.open(path).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as a picture: {error}") from error


def predict_split(
    checkpoint: Checkpoint, release: Release, split: str, *, batch_size: int = 32, progress: bool = True
) -> np.ndarray:
    """Return class probabilities [rows, C] for a split, in the release's order.

    Warns where the release is not the one that the checkpoint was trained on.

    Raises:
        ReleaseDataError: The split is empty, or the release's classes are not the model's.
    """
    rows = release.splits.get(split)
    if not rows:
        filled = [name for name, values in release.splits.items() if len(values)]
        raise ReleaseDataError(f"{release.path}: split {split!r} has no rows; with rows: {', '.join(filled)}")
    if release.class_names != checkpoint.class_names:
        raise ReleaseDataError(
            f"{release.path}: classes {list(release.class_names)}, but {checkpoint.path} was trained on "
            f"{list(checkpoint.class_names)}"
        )
    if release.row_set_hash != checkpoint.row_set_hash:
        # Another release may have split the same ads otherwise.
        log.warning(
            "%s: not the rows that %s was trained on (%s); rows of this %s split may have been trained on, "
            "and scores on them measure memory",
            release.path,
            checkpoint.path,
            checkpoint.row_set_hash or f"no {METRICS} names them",
            split,
        )
    dataset = SplitDataset(rows, checkpoint.processor, with_images="image" in checkpoint.model.modalities)
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=Collator(checkpoint.processor))
    bar = tqdm(loader, desc=f"{checkpoint.name} on {split}", unit="batch", disable=None if progress else True)
    return np.concatenate([_probabilities(checkpoint.model, batch) for batch in bar])


def evaluate_split(checkpoint: Checkpoint, release: Release, split: str, *, progress: bool = True) -> Metrics:
    """Score a checkpoint on a split of a release."""
    predicted = predict_split(checkpoint, release, split, progress=progress).argmax(axis=1)
    return score(release.splits[split].label, predicted.tolist(), len(release.class_names))


def prediction_table(release: Release, split: str, probabilities: np.ndarray) -> pa.Table:
    """Set predictions beside the rows they are for: frame_id, video_id, label, predicted, probability per class."""
    rows, names = release.splits[split], release.class_names
    columns = {
        "frame_id": pa.array(rows.frame_id),
        "video_id": pa.array(rows.video_id),
        "label": pa.array([names[number] for number in rows.label]),
        "predicted": pa.array([names[number] for number in probabilities.argmax(axis=1)]),
    }
    columns |= {f"probability_{name}": pa.array(probabilities[:, number]) for number, name in enumerate(names)}
    return pa.table(columns)


@torch.inference_mode()
def _probabilities(model: SentimentModel, batch: dict[str, torch.Tensor]) -> np.ndarray:
    seen = {name: values.to(model.device) for name, values in batch.items() if name not in ("labels", "groups")}
    return model(**seen).logits.float().softmax(dim=-1).cpu().numpy()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
