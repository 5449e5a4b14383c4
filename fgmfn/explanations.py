"""An explanation of an answer: words and regions with their effects, modalities, and similar training ads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from PIL import Image
from pydantic import ConfigDict, TypeAdapter

from fgmfn.inference import AdPrediction, Prediction
from fgmfn.neighbours import Neighbour
from fgmfn.occlusion import Box, Word

TOP = 5
"""Words and regions that are named first."""


@dataclass(frozen=True)
class WordEffect:
    """A word of a text and its effect on the answer."""

    word: Word
    points: float | None
    """Change of the label's probability by the word: above 0 it supports the label, below 0 it opposes it. Equal words
    are removed together and share their effect. None: the word is not read or is part of the target."""


@dataclass(frozen=True)
class RegionEffect:
    """A region of a picture and its effect on the answer."""

    box: Box
    points: float | None
    """As of a word; None: it is not shown to the model."""


@dataclass(frozen=True)
class Modalities:
    """The label's probability with one modality or both of them masked; None: see `left_out`."""

    words_alone: float | None = None
    picture_alone: float | None = None
    neither: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Explanation of a model's answer for a picture with its words."""

    __pydantic_config__: ClassVar = ConfigDict(arbitrary_types_allowed=True)

    prediction: Prediction
    label: str
    """The class that is explained: the answer, or that of the whole ad."""
    probability: float
    """Of that class."""
    text: str
    """As the model is given it, which may be a caption."""
    words: tuple[WordEffect, ...]
    """In their order; none where the model reads no text."""
    grid: tuple[int, int]
    """Columns and rows of the regions; (0, 0) where the model looks at no picture."""
    regions: tuple[RegionEffect, ...]
    """Row by row."""
    modalities: Modalities
    neighbours: tuple[Neighbour, ...]
    """The nearest training row of each of the nearest groups, never of the row's own."""
    is_training_row: bool | None
    """Whether the model was trained on exactly this input; None: unknown."""
    left_out: Mapping[str, str]
    """Missing parts of the explanation, each with its reason."""
    passes: int
    """Number of the model's predictions."""
    picture: Image.Image | None = field(default=None, compare=False, repr=False)

    @property
    def top_words(self) -> list[WordEffect]:
        """The words that count most, each once."""
        once = {effect.word.key: effect for effect in reversed(self.words) if effect.points}
        return sorted(once.values(), key=lambda one: -abs(one.points or 0))[:TOP]

    @property
    def top_regions(self) -> list[RegionEffect]:
        """The regions that count most."""
        return sorted((one for one in self.regions if one.points), key=lambda one: -abs(one.points or 0))[:TOP]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; the picture is left out."""
        return {
            **asdict(self.prediction),
            "explained": self.label,
            "probability": self.probability,
            "text": self.text,
            "words": [asdict(one.word) | {"points": one.points} for one in self.words],
            "grid": list(self.grid),
            "regions": [asdict(one.box) | {"points": one.points} for one in self.regions],
            "modalities": asdict(self.modalities),
            "neighbours": [asdict(one) for one in self.neighbours],
            "is_training_row": self.is_training_row,
            "left_out": dict(self.left_out),
            "passes": self.passes,
        }


@dataclass(frozen=True)
class AdExplanation:
    """Explanation of a model's answer for an ad: over its frames, in points of the ad's probability."""

    prediction: AdPrediction
    frames: tuple[Explanation, ...]
    """Each for the ad's label; its words and regions count in points of the ad's probability."""
    words: tuple[tuple[str, float], ...]
    """The words of all frames that count most, each with the sum of what it does in them."""
    modalities: Modalities
    neighbours: tuple[Neighbour, ...]
    """Of all frames together."""

    @property
    def passes(self) -> int:
        """Number of the model's predictions."""
        return sum(frame.passes for frame in self.frames)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; pictures are left out."""
        return {
            **asdict(self.prediction),
            "explanations": [frame.as_json() for frame in self.frames],
            "words": [{"text": text, "points": points} for text, points in self.words],
            "modalities": asdict(self.modalities),
            "neighbours": [asdict(one) for one in self.neighbours],
            "passes": self.passes,
        }

    @classmethod
    def from_json(cls, values: Any, pictures: Sequence[Image.Image | None]) -> AdExplanation:
        """Read what `as_json` returned.

        Args:
            values: what JSON holds, from wherever.
            pictures: of its frames, in their order.

        Raises:
            ValueError: it is none, or of another number of frames.
        """
        try:
            frames = [_nested(*one) for one in zip(values["explanations"], pictures, strict=True)]
            words = [(one["text"], one["points"]) for one in values["words"]]
            return TypeAdapter(cls).validate_python(values | {"prediction": values, "frames": frames, "words": words})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an explanation: {error!r}") from error


def _nested(values: Any, picture: Image.Image | None) -> dict[str, Any]:
    """The fields of an `Explanation`."""
    words = [{"word": one, "points": one["points"]} for one in values["words"]]
    regions = [{"box": one, "points": one["points"]} for one in values["regions"]]
    nested = {"prediction": values, "label": values["explained"], "words": words, "regions": regions}
    return {**values, **nested, "picture": picture if any(values["grid"]) else None}
