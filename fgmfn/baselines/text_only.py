"""BERT alone: what the words decide without the picture. The row without which a multimodal row proves nothing."""

from __future__ import annotations

from torch import Tensor

from fgmfn.configuration import FgmfnConfig
from fgmfn.inputs import PAIR, Inputs
from fgmfn.modeling import SentimentHead, SentimentModel, SentimentOutput


class TextOnlyForSentiment(SentimentModel):
    """First token of the text encoder, then FGMFN's own head."""

    modalities = ("text",)
    inputs = Inputs(PAIR, pair="real_target", marked=True)

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__(config)
        self.add_encoders()
        self.head = SentimentHead(config, config.hidden_size)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        groups: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Take FGMFN's batch and leave the pictures unseen: ids [B, n] -> logits [B, C]."""
        text = self.encode_text(input_ids, attention_mask, token_type_ids)
        return self.task_output(self.head(text[:, 0]), labels)
