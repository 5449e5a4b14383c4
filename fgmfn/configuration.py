"""Every setting of the model under one roof: `FgmfnConfig`, checked when it is made, saved as config.json.

The defaults are the paper's model at full size (ResNet-18, BERT-base, d = 768). Where the paper leaves a
choice open or prints something that cannot be meant, the setting offers both readings.
"""

from __future__ import annotations

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig

from fgmfn.base_configuration import STRIDE, PictureConfig, PiecesConfig, SentimentConfig, require
from fgmfn.errors import ConfigError

HEADS = ("mlp", "paper")
MI_DIRECTIONS = ("paper", "reverse", "symmetric")
__all__ = ["STRIDE", "FgmfnConfig", "SentimentConfig", "text_settings"]


@strict
class FgmfnConfig(PiecesConfig, PictureConfig):
    """Settings of FGMFN and of the single-modality models that stand beside it.

    Raises:
        ConfigError: A value is out of its range or two values contradict each other.
    """

    model_type = "fgmfn"

    # --- the two encoders -------------------------------------------------------------------------
    backbone: str = "resnet18"
    """Name of a timm model with five feature levels."""
    freeze_backbone: bool = False

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

    def check(self) -> None:
        """Refuse values out of their range."""
        super().check()
        require(self.head in HEADS, "head", self.head, f"one of {', '.join(HEADS)}")
        require(
            self.mi_direction in MI_DIRECTIONS, "mi_direction", self.mi_direction, f"one of {', '.join(MI_DIRECTIONS)}"
        )
        for name in ("cross_attention_layers", "transformer_layers", "itc_projection"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        rate = self.cross_attention_dropout
        require(0 <= rate < 1, "cross_attention_dropout", rate, "in [0, 1)")
        for name in ("itc_alpha", "mi_beta", "mi_lambda"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(
            0 < self.itc_temperature_min <= self.itc_temperature <= self.itc_temperature_max,
            "itc_temperature",
            self.itc_temperature,
            f"between itc_temperature_min={self.itc_temperature_min} (above 0) "
            f"and itc_temperature_max={self.itc_temperature_max}",
        )


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
