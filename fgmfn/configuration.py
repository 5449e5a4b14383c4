"""Every setting of the model under one roof: `FgmfnConfig`, checked when it is made, saved as config.json.

The defaults are the paper's model at full size (ResNet-18, BERT-base, d = 768). Where the paper leaves a
choice open or prints something that cannot be meant, the setting offers both readings.
"""

from __future__ import annotations

import inspect
from dataclasses import field
from typing import Any, ClassVar, get_origin

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from fgmfn.errors import ConfigError

HEADS = ("mlp", "paper")
MI_DIRECTIONS = ("paper", "reverse", "symmetric")
STRIDE = 32
"""Pixels of the picture per cell of the deepest feature level (and, pooled, per visual token)."""


@strict
class FgmfnConfig(PreTrainedConfig):
    """Settings of FGMFN and of the single-modality models that stand beside it.

    Raises:
        ConfigError: A value is out of its range or two values contradict each other.
    """

    model_type = "fgmfn"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["task_loss", "itc_loss", "mi_loss"]

    # --- the two encoders -------------------------------------------------------------------------
    backbone: str = "resnet18"
    """Name of a timm model with five feature levels."""
    backbone_weights: str | None = None
    """Local weight file for the backbone, in place of timm's download."""
    text_encoder: str = "bert-base-uncased"
    """Name on the Hugging Face Hub or local folder of the text encoder and its tokenizer."""
    text_config: dict[str, Any] = field(default_factory=dict)
    """The text encoder's own configuration; empty values are BERT's, at this model's width."""
    pretrained: bool = True
    """Start both encoders from pretrained weights; False starts them at random and downloads nothing."""
    image_size: int = 224
    """Side of the square picture in pixels; 224 makes grids of 56, 14 and 7 cells."""
    hidden_size: int = 768
    """d: width of every token of both modalities."""
    heads: int = 12
    """Attention heads of the fusion layers."""

    # --- multiscale visual features (eqs. 1, 3, 4) ------------------------------------------------
    msvf_enabled: bool = True
    """False is the ablation w/o MSVF: the deepest grid and a plain pooled token."""
    msvf_global_gate: bool = True
    """Gate the global token by the joint map; False prepends the global feature as it is."""

    # --- fusion (eqs. 5, 6) -----------------------------------------------------------------------
    cross_attention_enabled: bool = True
    """False is the ablation w/o CA: one Transformer encoder over [text ; image]."""
    cross_attention_layers: int = 2
    cross_attention_tie_directions: bool = False
    """Text-to-image and image-to-text attention share their weights."""
    cross_attention_feed_forward: bool = False
    """A feed-forward block after each attention, as in LXMERT."""
    cross_attention_dropout: float | int = 0.1
    transformer_layers: int = 6
    """Depth of the Transformer encoder of the ablation w/o CA."""

    # --- classification (eqs. 7, 8) ---------------------------------------------------------------
    head: str = "mlp"
    """`mlp`: linear, tanh, dropout, linear. `paper`: softmax(tanh(FC(z))), which bounds every logit by 1."""
    dropout: float | int = 0.5

    # --- image-text contrast (eq. 9) --------------------------------------------------------------
    itc_alpha: float | int = 0.5
    """Weight of the contrastive loss in eq. 12; 0 is the ablation w/o ITC."""
    itc_projection: int = 256
    itc_temperature: float | int = 0.1
    itc_temperature_min: float | int = 0.01
    itc_temperature_max: float | int = 0.5

    # --- mutual information (eqs. 10, 11) ---------------------------------------------------------
    mi_beta: float | int = 0.05
    """Weight of the mutual-information loss in eq. 12; 0 is the ablation w/o MI."""
    mi_lambda: float | int = 1.0
    """Weight of the views' own likelihoods. 0 is the paper's letter and lets both views become constant."""
    mi_direction: str = "paper"
    """`paper`: KL(text || image). `reverse`: KL(image || text), image detached. `symmetric`: their mean."""

    def __post_init__(self, **kwargs: Any) -> None:
        self._check_types()
        self.text_config = {
            "model_type": "bert",
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.heads,
            "intermediate_size": 4 * self.hidden_size,
        } | dict(self.text_config)
        super().__post_init__(**kwargs)
        self._check_ranges()

    def _check_types(self) -> None:
        # `strict` would check them too, but only after this method has worked with the values.
        for name, kind in model_settings().items():
            value = getattr(self, name)
            checkable = dict if get_origin(kind) is dict else kind
            fits = isinstance(value, checkable) and (kind is bool or not isinstance(value, bool))
            _require(fits, name, value, kind.__name__ if isinstance(kind, type) else str(kind))

    def _check_ranges(self) -> None:
        _require(self.head in HEADS, "head", self.head, f"one of {', '.join(HEADS)}")
        _require(
            self.mi_direction in MI_DIRECTIONS, "mi_direction", self.mi_direction, f"one of {', '.join(MI_DIRECTIONS)}"
        )
        _require(
            self.image_size >= 2 * STRIDE and self.image_size % STRIDE == 0,
            "image_size",
            self.image_size,
            f"a multiple of {STRIDE} from {2 * STRIDE} on",
        )
        for name in ("hidden_size", "heads", "cross_attention_layers", "transformer_layers", "itc_projection"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("dropout", "cross_attention_dropout"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        for name in ("itc_alpha", "mi_beta", "mi_lambda"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(
            0 < self.itc_temperature_min <= self.itc_temperature <= self.itc_temperature_max,
            "itc_temperature",
            self.itc_temperature,
            f"between itc_temperature_min={self.itc_temperature_min} (above 0) "
            f"and itc_temperature_max={self.itc_temperature_max}",
        )
        _require(
            self.hidden_size % self.heads == 0, "hidden_size", self.hidden_size, f"a multiple of heads={self.heads}"
        )
        # Encoders that name their width otherwise are checked again where they are built.
        text_width = self.text_config["hidden_size"]
        _require(
            text_width == self.hidden_size,
            "hidden_size",
            self.hidden_size,
            f"{text_width}, the width of the text encoder {self.text_encoder!r}",
        )
        _require(self.num_labels >= 2, "num_labels", self.num_labels, "2 or more classes")

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> FgmfnConfig:
        """Answer transformers' question for a nested text configuration: `text_config` is plain data here."""
        return self

    @property
    def grid(self) -> int:
        """Visual tokens along one side of the picture (7 at 224 pixels)."""
        return int(self.image_size) // STRIDE


def model_settings() -> dict[str, Any]:
    """Names and types of the settings that are this model's own, as a settings file may give them."""
    own: dict[str, Any] = inspect.get_annotations(FgmfnConfig, eval_str=True)
    return {name: kind for name, kind in own.items() if get_origin(kind) is not ClassVar}


def text_settings(model_type: str) -> set[str]:
    """Names that the configuration of a text encoder of this type knows.

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


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"model setting {name} = {value!r}; expected {expected}")
