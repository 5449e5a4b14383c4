"""Predictions of a trained model, for pictures with their words and for ads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from fgmfn.baselines.fitted import FittedModel
from fgmfn.calibration import join, probabilities
from fgmfn.checkpoints import Checkpoint as Checkpoint
from fgmfn.checkpoints import load_checkpoint as load_checkpoint
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.data.rows import NOWHERE, given_rows
from fgmfn.engines import Engine, TorchEngine, is_export
from fgmfn.errors import FgmfnError, InputError, WeightsError
from fgmfn.images import NO_PICTURE, as_seen
from fgmfn.processing import FgmfnProcessor, refuse_single

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """A model's answer for a picture with its words."""

    label: str
    """The likeliest class."""
    probabilities: dict[str, float]
    """Probability of each class, calibrated if the checkpoint is."""
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


class Predictor:
    """Answers for any number of pictures with their words, or ads, in batches.

    An answer does not depend on the other rows or their order.

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
        if self.checkpoint.calibration is None:
            _warn_uncalibrated(self.checkpoint.path)
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
        """Turn logits into probabilities, [rows, C] both, calibrated if the checkpoint is.

        Raises:
            WeightsError: A logit is not a number.
        """
        calibrated = self.checkpoint.calibration
        try:
            return probabilities(logits, calibrated.temperature if calibrated else 1.0)
        except FgmfnError as error:
            raise WeightsError(f"{self.checkpoint.path}: {error}") from error

    def prediction(self, shares: np.ndarray, *, joined: bool = False) -> Prediction:
        """Return the answer of a row's probabilities, [C], or of those of an ad of several frames (`joined`)."""
        names, calibrated, most = self.checkpoint.class_names, self.checkpoint.calibration, int(shares.argmax())
        interval = calibrated.interval(float(shares[most]), joined=joined) if calibrated else None
        sure = interval[0] > 0.5 if interval else None
        return Prediction(names[most], dict(zip(names, map(float, shares), strict=True)), interval, sure)

    def joined(self, frames: Sequence[Prediction]) -> AdPrediction:
        """Return the answer for an ad of those for its frames; an ad of one frame is answered as that frame is."""
        if len(frames) == 1:
            return AdPrediction(**vars(frames[0]), frames=tuple(frames))
        calibrated = self.checkpoint.calibration
        shares = np.array([list(frame.probabilities.values()) for frame in frames])
        joined = join(shares, calibrated.rule if calibrated else "mean")
        return AdPrediction(**vars(self.prediction(joined, joined=True)), frames=tuple(frames))


def _inputs(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Remove fields that are used only in training."""
    return {name: values for name, values in batch.items() if name not in ("labels", "groups")}


@cache
def _warn_uncalibrated(path: Path) -> None:
    """Warn once per run that its answers are not calibrated."""
    log.warning(
        "%s: not calibrated, as it is older or had no development rows; probabilities are the model's own, and no "
        "answer says how sure it is",
        path,
    )


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
    """Refuse missing targets and drop targets that the model does not read."""
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
