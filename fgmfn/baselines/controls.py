"""Controls of FGMFN: its own encoders without its fusion, and itself with the pictures of other ads.

FGMFN's gain over the former is due to the fusion, its gain over the latter to the content of the pictures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from fgmfn.configuration import FgmfnConfig
from fgmfn.inputs import PAIR, Inputs
from fgmfn.modeling import FgmfnForSentiment, SentimentHead, SentimentModel, SentimentOutput
from fgmfn.multiscale import DeepestGrid, MultiscaleFeatures
from fgmfn.pooling import TextPooling


class OwnLateFusionForSentiment(SentimentModel):
    """FGMFN's encoders without its fusion: its head reads the words' vector and the deepest level's mean, each normed.

    Without the norms, the vector with the larger values would dominate.
    """

    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *PAIR), pair="real_target", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder", "input_ids": "text_encoder"}

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__(config)
        self.add_encoders()
        d, channels = config.hidden_size, self.image_encoder.channels[-1]
        self.pooling = TextPooling(config.pooling, d)
        self.text_norm, self.image_norm = nn.LayerNorm(d), nn.LayerNorm(channels)
        self.head = SentimentHead(config, d + channels)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with word pieces [B, n]."""
        text = self.pooling(self.encode_text(input_ids, attention_mask, token_type_ids), attention_mask)
        image = self.image_encoder(pixel_values)[-1].mean(dim=(2, 3))
        return self.task_output(self.head(torch.cat([self.text_norm(text), self.image_norm(image)], dim=-1)), labels)


class PictureBranchForSentiment(SentimentModel):
    """FGMFN's picture branch alone: its multiscale tokens, pooled, then its head."""

    modalities = ("image",)
    inputs = Inputs(("pixel_values",))
    main_input_name = "pixel_values"
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__(config)
        self.add_encoders()
        visual = MultiscaleFeatures if config.msvf_enabled else DeepestGrid
        self.visual_tokens = visual(config, self.image_encoder.channels)
        self.image_pooling = TextPooling("mean", config.hidden_size)
        self.head = SentimentHead(config, config.hidden_size)
        self.post_init()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> SentimentOutput:
        """Classify pictures [B, 3, H, W]."""
        tokens = self.visual_tokens(self.image_encoder(pixel_values))
        everywhere = torch.ones(tokens.shape[:2], device=tokens.device)
        return self.task_output(self.head(self.image_pooling(tokens, everywhere)), labels)


class ShuffledPicturesForSentiment(FgmfnForSentiment):
    """FGMFN, trained and tested with each row's words beside the picture of another ad of the same split."""

    inputs = replace(FgmfnForSentiment.inputs, shuffled=True)
