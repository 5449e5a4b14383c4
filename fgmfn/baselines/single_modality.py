"""FGMFN's two halves: BERT alone and ResNet alone. Without the first beside it, a multimodal row proves nothing."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fgmfn.configuration import FgmfnConfig
from fgmfn.inputs import PAIR, Inputs
from fgmfn.modeling import SentimentHead, SentimentModel, SentimentOutput
from fgmfn.pooling import TextPooling


class TextOnlyForSentiment(SentimentModel):
    """The text encoder, pooled, then FGMFN's own head."""

    modalities = ("text",)
    inputs = Inputs(PAIR, pair="real_target", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"input_ids": "text_encoder"}

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__(config)
        self.add_encoders()
        self.pooling = TextPooling(config.pooling, config.hidden_size)
        self.head = SentimentHead(config, config.hidden_size)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify word pieces [B, n]."""
        text = self.encode_text(input_ids, attention_mask, token_type_ids)
        return self.task_output(self.head(self.pooling(text, attention_mask)), labels)


class ImageOnlyForSentiment(SentimentModel):
    """The deepest feature level, averaged over its grid, then FGMFN's own head."""

    modalities = ("image",)
    inputs = Inputs(("pixel_values",))
    main_input_name = "pixel_values"
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__(config)
        self.add_encoders()
        self.head = SentimentHead(config, self.image_encoder.channels[-1])
        self.post_init()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> SentimentOutput:
        """Classify pictures [B, 3, H, W]."""
        deepest = self.image_encoder(pixel_values)[-1]
        return self.task_output(self.head(deepest.mean(dim=(2, 3))), labels)
