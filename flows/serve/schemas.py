"""Bodies of requests and answers, as the OpenAPI description has them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field


class _Described(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class AskedRow(_Described):
    """A picture and the words on it."""

    picture: Base64Bytes | None = None
    """A JPEG, PNG, WebP or GIF as base64; a model that reads only words needs none."""
    text: str | None = None
    """The words; if absent, they are read from the picture, which takes a second or more."""


class Asked(_Described):
    """A batch of pictures with their words."""

    rows: Annotated[list[AskedRow], Field(min_length=1)]


class Verdict(_Described):
    """The model's answer."""

    label: str
    """The likeliest class."""
    probabilities: dict[str, float]
    """Of each class."""
    interval: tuple[float, float] | None = None
    """95 % interval of the label's probability; null if the model was not calibrated."""
    sure: bool | None = None
    """False if the interval reaches down to one half or below."""


class FrameAnswer(_Described):
    """A frame of a video."""

    timestamp_s: float
    text: str
    """The words read on it."""
    verdict: Verdict | None
    """Null if the frame has too few words for the model."""
    picture: str | None = None
    """The frame as base64 of a JPEG, if `pictures=true` asks for it."""
    why: Why | None = None
    """Reasons for the answer of the frame with the highest probability, if `why=true` asks for them."""


class WordPoints(_Described):
    """A word and its effect on the answer."""

    text: str
    points: float
    """Change of the label's probability by the word; above 0 it supports the label."""


class RegionPoints(_Described):
    """A region of the picture, in shares of its width and height, and its effect on the answer."""

    left: float
    top: float
    right: float
    bottom: float
    points: float
    """As of a word."""


class Why(_Described):
    """Reasons for the answer, found by running the model again without each word, region and modality."""

    words: list[WordPoints]
    """The words with the largest effect."""
    regions: list[RegionPoints]
    modalities: dict[str, float | None]
    """The label's probability by `words_alone`, `picture_alone` and `neither`."""


class Answer(Verdict):
    """The model's answer for a picture with its words, or for an ad."""

    text: str | None = None
    """Words of a picture."""
    frames: list[FrameAnswer] = []
    """Of a video."""
    why: Why | None = None
    """Reasons for the answer, if `why=true` asks for them."""


class Answers(_Described):
    """Answers in the order of the request."""

    model: str
    """The run that answered."""
    answers: list[Answer]


class ModelFacts(_Described):
    """A model that answers."""

    name: str
    kind: str
    """Its row of the comparison, such as `fgmfn`."""
    classes: list[str]
    modalities: list[str]
    calibrated: bool
    test: dict[str, Any] | None
    """Its scores on the test rows, as recorded by its training."""
    loaded_at: datetime


class Models(_Described):
    """The model that answers, and the promoted model that could not be loaded."""

    models: list[ModelFacts]
    refused: str | None


class Health(_Described):
    """Health of the service."""

    status: str
    """`ok`; `degraded`: an older model answers, as the promoted one cannot be loaded; `stuck`: no answer comes."""
    model: str
    refused_model: str | None
    """The promoted model that cannot be loaded; the log says why."""
    queue_rows: int
