"""A trained model at work: load a checkpoint, and let it say what it makes of pictures with their words, or of ads."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from scipy.special import softmax
from tqdm import tqdm

from fgmfn.baselines import model_class, model_of_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.console import quiet_libraries
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.data.rows import NOWHERE, given_rows
from fgmfn.engines import Engine, OnnxEngine, TorchEngine, is_export
from fgmfn.errors import InputError, WeightsError
from fgmfn.images import NO_PICTURE, as_seen
from fgmfn.inputs import Words
from fgmfn.predictions import METRICS
from fgmfn.processing import FgmfnProcessor, refuse_single
from fgmfn.sizes import on_meta_device

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
    engine: Engine | None = None
    """What computes an export's logits: its `model` knows its inputs and classes and has no weights."""

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
    """A model's answer for a picture with its words."""

    label: str
    """The likeliest class."""
    probabilities: dict[str, float]
    """Of each class, calibrated where the checkpoint is."""
    interval: tuple[float, float] | None = None
    """95 %, of the label's probability: how often development rows with such a probability were right. None: unknown,
    as of a checkpoint that was not calibrated."""
    sure: bool | None = None
    """False where the interval reaches down to one half: the answer may be wrong as often as right."""


@dataclass(frozen=True)
class AdPrediction(Prediction):
    """A model's answer for an ad, joined from those for its frames."""

    frames: tuple[Prediction, ...] = ()
    """In the order of the frames."""


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a trained model of the comparison from the folder that `fgmfn train` printed, or from an export of it.

    Raises:
        WeightsError: The folder holds no such model, or an export that is not as it was made.
    """
    engine = OnnxEngine(path) if is_export(path) else None
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
            if engine:
                return _load_export(path, name, kind, origin, engine)
            model, info = kind.from_pretrained(path, local_files_only=True, output_loading_info=True)
            if missing := sorted(info["missing_keys"]):
                raise WeightsError(f"{path}: its weights lack {len(missing)} tensors, such as {missing[0]}")
            processor = FgmfnProcessor.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(f"{path}: the checkpoint is incomplete or damaged: {error}") from error
    return Checkpoint(path, name, model.to(_device()).eval(), processor, *origin)


def _load_export(path: Path, name: str, kind: Any, origin: tuple[Any, Any, Any], engine: OnnxEngine) -> Checkpoint:
    model: Any = on_meta_device(kind, kind.config_class.from_pretrained(path))
    processor = FgmfnProcessor.from_pretrained(path, local_files_only=True)
    checkpoint = Checkpoint(path, name, model.eval(), processor, *origin, engine)
    engine.refuse_others(name, model.inputs.varying, checkpoint.class_names)
    return checkpoint


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


class Predictor:
    """Answers for any number of pictures with their words, or ads, in batches.

    An answer is the same whatever else is asked for beside it, and in whatever order.

    Args:
        checkpoint: a trained model.
        engine: computes its logits; None: the checkpoint's own, or PyTorch. A fitted model has none.
        batch_size: rows that are computed together.

    Raises:
        InputError: The batch size is below 1.
    """

    def __init__(self, checkpoint: Checkpoint, *, engine: Engine | None = None, batch_size: int = 32) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size = {batch_size}; expected 1 or more")
        self.checkpoint = checkpoint
        self._batch_size = batch_size
        self._engine = engine or checkpoint.engine

    @classmethod
    def open(cls, path: Path, *, engine: Literal["torch", "onnx"] | None = None, batch_size: int = 32) -> Self:
        """Load a trained model from its folder, or from an export of it.

        Args:
            path: the folder.
            engine: what the folder must be for; None: ONNX Runtime computes an export, and PyTorch a run.
            batch_size: rows that are computed together.

        Raises:
            WeightsError: The folder holds no such model, or not for this engine.
        """
        found = "onnx" if is_export(path) else "torch"
        if engine not in (None, found):
            expected = "an export of fgmfn export" if engine == "onnx" else "a run of fgmfn train"
            raise WeightsError(f"{path}: engine = {engine!r} computes {expected}, and this is none")
        return cls(load_checkpoint(path), batch_size=batch_size)

    def predict(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        targets: Sequence[str] | None = None,
        auxiliary: Sequence[str] | None = None,
    ) -> list[Prediction]:
        """Classify pictures with their words, one prediction per pair.

        A target is given to a model that was trained on rows with targets. To one that was trained on ads it may give
        the category, if it reads that; what it does not read is left out, with a warning.

        Args:
            images: one picture per text; none at all for a model that looks at none.
            texts: the words.
            targets: what of each text the sentiment is about; None: nothing special.
            auxiliary: further words per text for models that read them, such as a caption; None: none. A model that
                was trained on them alone reads no text.

        Raises:
            InputError: The numbers differ, the model needs a target or auxiliary texts and there are none, or it needs
                the target's place in the text and the target does not stand there.
        """
        refuse_single(images=images, texts=texts, targets=targets, auxiliary=auxiliary)
        if not len(texts) and not len(images):
            return []
        rows = asked_rows(self.checkpoint, images, texts, targets, auxiliary)
        logits = self.logits(rows, prepared=self._dataset(rows, together=False))
        return [self.prediction(row) for row in self.probabilities(logits)]

    def predict_ads(
        self,
        ads: Sequence[Sequence[tuple[Image.Image, str]]],
        targets: Sequence[str] | None = None,
        auxiliary: Sequence[Sequence[str]] | None = None,
    ) -> list[AdPrediction]:
        """Classify ads by their frames, one prediction per ad; frames of many ads share batches.

        Args:
            ads: the frames of each, a picture with its words.
            targets: of each ad, as in `predict`: of a model of ads its category.
            auxiliary: of each frame of each ad.

        Raises:
            InputError: As `predict`, or an ad has no frame.
        """
        if (empty := next((number for number, frames in enumerate(ads, 1) if not len(frames)), None)) is not None:
            raise InputError(f"ad {empty} has no frame; an answer needs one or more")
        for what, values in (("targets", targets), ("lists of auxiliary texts", auxiliary)):
            if values is not None and len(values) != len(ads):
                raise InputError(f"{len(values)} {what} and {len(ads)} ads; every ad needs its own")
        frames = self.predict(
            [image for ad in ads for image, _ in ad],
            [text for ad in ads for _, text in ad],
            None if targets is None else [target for target, ad in zip(targets, ads, strict=True) for _ in ad],
            None if auxiliary is None else [text for texts in auxiliary for text in texts],
        )
        ends = np.cumsum([len(ad) for ad in ads], dtype=int)
        return [self.joined(frames[end - len(ad) : end]) for end, ad in zip(ends, ads, strict=True)]

    def logits(self, rows: Rows, *, prepared: SplitDataset | None = None, title: str | None = None) -> np.ndarray:
        """Return the logits of rows, [rows, C], before any calibration.

        Those of a fitted model are the logarithms of its probabilities.

        Args:
            rows: in their order.
            prepared: the rows as the model's inputs, where they are at hand.
            title: of a bar on standard error, if that is a terminal; None: no bar.

        Raises:
            DataError: The model looks at pictures, and one is missing or cannot be decoded.
        """
        model = self.checkpoint.model
        if isinstance(model, FittedModel):
            with np.errstate(divide="ignore"):
                return np.log(model.probabilities(rows, progress=title is not None).astype(np.float64))
        engine, processor = self._engine or TorchEngine(model), self.checkpoint.processor
        dataset: Any = prepared or self._dataset(rows)
        collate, numbers = Collator(cast(FgmfnProcessor, processor), model.inputs), range(len(rows))
        starts = tqdm(numbers[:: self._batch_size], desc=title, unit="batch", disable=None if title else True)
        batches = (collate([dataset[row] for row in numbers[at : at + self._batch_size]]) for at in starts)
        return np.concatenate([engine.logits(_inputs(batch)) for batch in batches])

    def _dataset(self, rows: Rows, *, together: bool = True) -> SplitDataset | None:
        """Rows as the model's inputs; those that are not of one split never see each other's pictures."""
        model = self.checkpoint.model
        if isinstance(model, FittedModel):
            return None
        inputs = model.inputs if together else replace(model.inputs, shuffled=False)
        return SplitDataset(rows, cast(FgmfnProcessor, self.checkpoint.processor), inputs)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits into the probabilities that are answered, [rows, C] both."""
        shares: np.ndarray = softmax(logits.astype(np.float64), axis=1)
        return shares

    def prediction(self, probabilities: np.ndarray) -> Prediction:
        """Return the answer of a row's probabilities, [C]."""
        names = self.checkpoint.class_names
        return Prediction(names[int(probabilities.argmax())], dict(zip(names, map(float, probabilities), strict=True)))

    def joined(self, frames: Sequence[Prediction]) -> AdPrediction:
        """Return the answer for an ad of the answers for its frames."""
        # sorted, the sum is the same for every order of the frames
        shares = np.sort([list(frame.probabilities.values()) for frame in frames], axis=0).mean(axis=0)
        return AdPrediction(**vars(self.prediction(shares)), frames=tuple(frames))


def _inputs(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leave out what a model learns from and does not answer from."""
    return {name: values for name, values in batch.items() if name not in ("labels", "groups")}


def predict(
    checkpoint: Checkpoint,
    images: Sequence[Image.Image],
    texts: Sequence[str],
    targets: Sequence[str] | None = None,
    auxiliary: Sequence[str] | None = None,
) -> list[Prediction]:
    """Classify pictures with their words once, as `Predictor.predict`."""
    return Predictor(checkpoint).predict(images, texts, targets, auxiliary)


def asked_rows(
    checkpoint: Checkpoint,
    images: Sequence[Image.Image],
    texts: Sequence[str],
    targets: Sequence[str] | None,
    auxiliary: Sequence[str] | None,
) -> Rows:
    """Make rows of what is asked for, as those that the model was trained on.

    Raises:
        InputError: As `Predictor.predict`.
    """
    model = checkpoint.model
    if len(images) != len(texts) and ("image" in model.modalities or len(images)):
        raise InputError(f"{len(images)} pictures and {len(texts)} texts; every picture needs its words")
    for what, values in (("targets", targets), ("auxiliary texts", auxiliary)):
        if values is not None and len(values) != len(texts):
            raise InputError(f"{len(values)} {what} and {len(texts)} texts; every text needs its own")
    read = _read_targets(checkpoint, targets)
    real = read is not None if checkpoint.has_targets is None else checkpoint.has_targets
    if auxiliary is None and checkpoint.words != "text":
        raise InputError(
            f"{checkpoint.path}: {checkpoint.name} was trained with words = {checkpoint.words!r}: give the auxiliary "
            f"texts (--auxiliary)"
        )
    rows = given_rows(images, texts, read, auxiliary, has_targets=real).reading(checkpoint.words)
    if not isinstance(model, FittedModel) and rows.has_targets and "target_span" in model.inputs.fields:
        _refuse_lost_targets(checkpoint.name, rows)
    return rows


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


def read_image(path: Path) -> Image.Image:
    """Read a picture file.

    Raises:
        InputError: It is missing or not a picture.
    """
    try:
        return as_seen(Image.open(path))
    except NO_PICTURE as error:
        raise InputError(f"{path}: cannot be read as a picture: {error}") from error


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
