"""A model's answers: for ads of the catalog, and for the ads that it was tried on when it was trained."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from data_catalog.catalog import Catalog
from data_catalog.storage import Place
from fgmfn.images import NO_PICTURE, as_seen
from fgmfn.predictions import predictions_file, read_predictions
from flows.ocr.texts import TextFrame

if TYPE_CHECKING:
    from fgmfn.inference import AdPrediction, Predictor

_ADS_AT_ONCE = 8
_HELD_OUT = ("validation", "test")


@dataclass(frozen=True)
class Answer:
    """The model's answer for one ad."""

    label: str
    probability: float
    interval: tuple[float, float] | None
    """95 %, of that probability; None of a model without calibration."""
    sure: bool | None
    n_frames: int
    learned: bool
    """The model has learned from the ad, or its scores chose the model: the answer may be memory."""

    @property
    def sign(self) -> int:
        """1 for positive, -1 for negative, 0 for any other class."""
        return int(self.label == "positive") - int(self.label == "negative")


@dataclass(frozen=True)
class Confidence:
    """Of some ads the likeliest class by the mean over their frames, and its mean probability."""

    labels: dict[str, str]
    confidences: dict[str, float]


def ask(
    predictor: Predictor,
    catalog: Catalog,
    frames: Mapping[str, Sequence[TextFrame]],
    learned: frozenset[str],
    advance: Callable[[float], object],
) -> tuple[dict[str, Answer], Confidence]:
    """Ask a model about ads, a few at a time; one of whose frames no picture is left has no answer.

    Args:
        predictor: the model.
        catalog: holds the pictures.
        frames: of each ad those with enough words.
        learned: ads that the model has learned from.
        advance: is told of every ad.

    Raises:
        InputError: the model reads what a catalog does not have, such as captions.
    """
    reads_category = predictor.checkpoint.reads_target(real=False)
    answers: dict[str, Answer] = {}
    shares: dict[str, np.ndarray] = {}
    names = predictor.checkpoint.class_names
    for begin in range(0, len(frames), _ADS_AT_ONCE):
        some = list(frames)[begin : begin + _ADS_AT_ONCE]
        pictures = _pictures(catalog, [frame.frame_id for ad in some for frame in frames[ad]])
        seen = {
            ad: [(pictures[frame.frame_id], frame.text) for frame in frames[ad] if frame.frame_id in pictures]
            for ad in some
        }
        asked = [ad for ad in some if seen[ad]]
        targets = [frames[ad][0].category for ad in asked] if reads_category else None
        for ad, found in zip(asked, predictor.predict_ads([seen[ad] for ad in asked], targets), strict=True):
            answers[ad] = _answer(found, ad in learned)
            shares[ad] = np.mean([[frame.probabilities[name] for name in names] for frame in found.frames], axis=0)
        advance(len(some))
    return answers, _confidence(shares, names)


def read_tried(run: Place, predictor: Predictor) -> Confidence:
    """The answers for the validation and test ads of a run's release, as it kept them, calibrated as it answers now."""
    shares: dict[str, list[np.ndarray]] = defaultdict(list)
    for split in _HELD_OUT:
        file = run / predictions_file(split)
        if not file.is_file():
            continue
        held = read_predictions(pq.read_table(io.BytesIO(file.read_bytes())))
        with np.errstate(divide="ignore"):
            right = predictor.probabilities(np.log(np.asarray(held.probabilities, dtype=np.float64)))
        for ad, row in zip(held.groups, right, strict=True):
            shares[ad].append(row)
    means = {ad: np.mean(rows, axis=0) for ad, rows in shares.items()}
    return _confidence(means, predictor.checkpoint.class_names)


def _confidence(shares: Mapping[str, np.ndarray], names: Sequence[str]) -> Confidence:
    best = {ad: int(row.argmax()) for ad, row in shares.items()}
    return Confidence(
        {ad: names[number] for ad, number in best.items()},
        {ad: float(shares[ad][number]) for ad, number in best.items()},
    )


def _answer(found: AdPrediction, learned: bool) -> Answer:
    return Answer(found.label, found.probabilities[found.label], found.interval, found.sure, len(found.frames), learned)


def _pictures(catalog: Catalog, frame_ids: Sequence[str]) -> dict[str, Image.Image]:
    wanted = pc.field("frame_id").isin(pa.array(frame_ids, pa.string()))
    pictures: dict[str, Image.Image] = {}
    for row in catalog.read("frames", ["frame_id", "image"], where=wanted).to_pylist():
        try:
            pictures[row["frame_id"]] = as_seen(Image.open(io.BytesIO(row["image"]["bytes"])))
        except NO_PICTURE:
            continue
    return pictures
