"""Late fusion: RoBERTa's vector of the words and CLIP's of the picture, joined only in the head."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.roberta import ROBERTA_BASE
from fgmfn.configuration import PictureConfig, PiecesConfig
from fgmfn.encoders import PictureVector, build_text_encoder
from fgmfn.inputs import SENTENCE, Inputs
from fgmfn.modeling import Baseline, SentimentOutput


@strict
class LateFusionConfig(PiecesConfig, PictureConfig):
    """Settings of late fusion."""

    model_type = "fgmfn_late_fusion"
    text_defaults: ClassVar[dict[str, Any]] = ROBERTA_BASE

    text_encoder: str = "roberta-base"
    """Name on the Hugging Face Hub or local folder of the text encoder and its tokenizer."""
    backbone: str = "vit_base_patch32_clip_quickgelu_224.openai"
    """Name of a timm model: CLIP's ViT-B/32."""
    freeze_backbone: bool = False
    dropout: float | int = 0.1
    picture_norm: bool = False
    """Layer norm of the picture's vector, for backbones with values on another scale than the words'."""


class LateFusionForSentiment(Baseline):
    """The RoBERTa row with a picture: the same words, both encoders tuned, and the same head over both vectors.

    Dense, tanh, dropout, linear. CLIP's vector is the one before its projection into the space of texts.
    """

    config_class = LateFusionConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *SENTENCE), pair="always", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "picture_encoder", "input_ids": "text_encoder"}
    # Ours, like the row itself: the recipe of the RoBERTa row, so that only the picture makes the difference.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 2e-5, "epochs": 10, "batch_size": 32}

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.text_encoder = build_text_encoder(config)
        self.picture_encoder = PictureVector(config)
        size = self.picture_encoder.size
        self.picture_norm = nn.LayerNorm(size) if config.picture_norm else nn.Identity()
        self.head = nn.Sequential(
            nn.Linear(d + size, d),
            nn.Tanh(),
            nn.Dropout(config.dropout),
            nn.Linear(d, config.num_labels),
        )
        self.post_init()

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with word pieces [B, n]."""
        words = self.encode_text(input_ids, attention_mask, None)[:, 0]
        both = torch.cat([words, self.picture_norm(self.picture_encoder(pixel_values))], dim=-1)
        return self.task_output(self.head(both), labels)
