"""Settings that models share: `SentimentConfig` for every model, and one class per kind of part it may have.

A model's own configuration derives from those of the parts it has, so that it knows their settings and no
others: `class TomBertConfig(PiecesConfig, PictureConfig)`. It is checked when it is made and saved as config.json.
"""

from __future__ import annotations

import inspect
from dataclasses import field
from typing import Any, ClassVar, Self, get_origin

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from fgmfn.errors import ConfigError

STRIDE = 32
"""Pixels of the picture per cell of the deepest feature level (and, pooled, per visual token)."""


@strict
class SentimentConfig(PreTrainedConfig):
    """What every model of the comparison can be told; `num_labels` and the classes' names come from the data.

    Raises:
        ConfigError: A value is out of its range or two values contradict each other.
    """

    model_type = "fgmfn_baseline"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["task_loss", "itc_loss", "mi_loss"]

    dropout: float | int = 0.5

    def __post_init__(self, **kwargs: Any) -> None:
        self._check_types()
        self.complete()
        super().__post_init__(**kwargs)
        self.check()

    def complete(self) -> None:
        """Fill in settings that follow from others; a part's class does so after its base class."""

    def check(self) -> None:
        """Refuse values out of their range, this class's and those of its bases."""
        require(0 <= self.dropout < 1, "dropout", self.dropout, "in [0, 1)")
        require(self.num_labels >= 2, "num_labels", self.num_labels, "2 or more classes")

    def _check_types(self) -> None:
        # `strict` would check them too, but only after `complete` has worked with the values.
        for name, kind in model_settings(type(self)).items():
            value = getattr(self, name)
            checkable = dict if get_origin(kind) is dict else kind
            fits = isinstance(value, checkable) and (kind is bool or not isinstance(value, bool))
            require(fits, name, value, kind.__name__ if isinstance(kind, type) else str(kind))

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Self:
        """Answer transformers' question for a nested text configuration: `text_config` is plain data here."""
        return self


@strict
class WordsConfig(SentimentConfig):
    """A model that reads words of the training split."""

    vocab_size: int = 10_000
    """Words, known ones and the special ones; set to the training split's when a training starts."""
    word_size: int = 300
    """Width of a word's vector."""
    word_vectors: str | None = None
    """Text file of pretrained vectors as GloVe writes them, a word and its numbers per line; unset: drawn."""
    word_seed: int = 0
    """Of the vectors that are drawn: all, or those of words that the file lacks."""

    def check(self) -> None:
        """Refuse sizes below 1."""
        super().check()
        for name in ("vocab_size", "word_size"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")


@strict
class PiecesConfig(SentimentConfig):
    """A model with a pretrained text encoder that reads word pieces."""

    text_encoder: str = "bert-base-uncased"
    """Name on the Hugging Face Hub or local folder of the text encoder and its tokenizer."""
    text_config: dict[str, Any] = field(default_factory=dict)
    """The text encoder's own configuration; empty values are its type's, at this model's width."""
    pretrained: bool = True
    """Start the encoders from pretrained weights; False starts them at random and downloads nothing."""
    hidden_size: int = 768
    """d: width of the text encoder's tokens."""
    heads: int = 12
    """Attention heads of the text encoder and of layers behind it."""

    text_defaults: ClassVar[dict[str, Any]] = {"model_type": "bert"}
    """What distinguishes the text encoder's type, beside its width."""

    def complete(self) -> None:
        """Give the text encoder this model's width."""
        super().complete()
        width = {
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.heads,
            "intermediate_size": 4 * self.hidden_size,
        }
        self.text_config = self.text_defaults | width | dict(self.text_config)

    def check(self) -> None:
        """Refuse widths that do not go together."""
        super().check()
        for name in ("hidden_size", "heads"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(
            self.hidden_size % self.heads == 0, "hidden_size", self.hidden_size, f"a multiple of heads={self.heads}"
        )
        # Encoders that name their width otherwise are checked again where they are built.
        text_width = self.text_config["hidden_size"]
        require(
            text_width == self.hidden_size,
            "hidden_size",
            self.hidden_size,
            f"{text_width}, the width of the text encoder {self.text_encoder!r}",
        )


@strict
class PictureConfig(SentimentConfig):
    """A model with a timm backbone that looks at pictures."""

    backbone: str = "resnet152"
    """Name of a timm model with five feature levels."""
    backbone_weights: str | None = None
    """Local weight file for the backbone, in place of timm's download."""
    pretrained: bool = True
    """Start the encoders from pretrained weights; False starts them at random and downloads nothing."""
    freeze_backbone: bool = True
    """Never train the backbone; it then also keeps the batch statistics it came with."""
    image_size: int = 224
    """Side of the square picture in pixels; 224 makes a grid of 7 x 7."""

    def check(self) -> None:
        """Refuse pictures that the backbone's stride does not divide."""
        super().check()
        require(
            self.image_size >= 2 * STRIDE and self.image_size % STRIDE == 0,
            "image_size",
            self.image_size,
            f"a multiple of {STRIDE} from {2 * STRIDE} on",
        )

    @property
    def grid(self) -> int:
        """Cells along one side of the picture (7 at 224 pixels)."""
        return int(self.image_size) // STRIDE


def model_settings(config_class: type[PreTrainedConfig]) -> dict[str, Any]:
    """Names and types of the settings that are a model's own, as a settings file may give them."""
    ours = [kind for kind in reversed(config_class.__mro__) if issubclass(kind, SentimentConfig)]
    found: dict[str, Any] = {}
    for kind in ours:
        found |= inspect.get_annotations(kind, eval_str=True)
    return {name: kind for name, kind in found.items() if get_origin(kind) is not ClassVar}


def require(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse a setting's value.

    Raises:
        ConfigError: It does not hold.
    """
    if not holds:
        raise ConfigError(f"model setting {name} = {value!r}; expected {expected}")
