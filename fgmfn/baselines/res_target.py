"""Res-Target: a frozen ResNet-152 with regions weighted by the target, without the sentence."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.layers import AdditiveAttention, MaskedLSTM
from fgmfn.baselines.parts.words import WordVectors
from fgmfn.configuration import PictureConfig, WordsConfig
from fgmfn.encoders import ImageEncoder
from fgmfn.inputs import TARGET, Inputs
from fgmfn.modeling import Baseline, SentimentOutput
from fgmfn.pooling import masked_mean


@strict
class ResTargetConfig(WordsConfig, PictureConfig):
    """Settings of Res-Target."""

    model_type = "fgmfn_res_target"
    counts: ClassVar[tuple[str, ...]] = ("hidden_size",)

    word_size: int = 100
    hidden_size: int = 100
    """Width of the target's and of the picture's vector."""


class ResTargetForSentiment(Baseline):
    """Res-Target; an ad's target is its category."""

    config_class = ResTargetConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *TARGET), tokens="words")
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}
    main_input_name = "pixel_values"
    # Ours throughout: the recipe of ESAFN, which has the same parts.
    recipe: ClassVar[dict[str, Any]] = {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "epochs": 20,
        "batch_size": 10,
        "max_gradient_norm": 5.0,
    }

    def __init__(self, config: ResTargetConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.words = WordVectors(config)
        self.target_lstm = MaskedLSTM(config.word_size, d, bidirectional=False)
        self.image_encoder = ImageEncoder(config)
        channels = self.image_encoder.channels[-1]
        self.attention = AdditiveAttention(channels, d, d)
        self.picture = nn.Linear(channels, d)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * d, config.num_labels)
        self.post_init()

    def forward(
        self, pixel_values: Tensor, target_ids: Tensor, target_mask: Tensor, labels: Tensor | None = None
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with targets [B, m]."""
        target = masked_mean(self.target_lstm(self.words(target_ids), target_mask), target_mask)
        seen = self.attention(self.image_encoder.regions(pixel_values), target)
        both = torch.cat([target, self.picture(seen).tanh()], dim=-1)
        return self.task_output(self.classifier(self.dropout(both)), labels)
