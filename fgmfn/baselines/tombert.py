"""TomBERT (Yu and Jiang, 2019): the target looks at the picture, and one more BERT layer joins it with the sentence."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.layers import Pooler, TwoTextEncoders
from fgmfn.configuration import PictureConfig, PiecesConfig
from fgmfn.encoders import ImageEncoder
from fgmfn.fusion import AttendTo
from fgmfn.inputs import PAIR, TARGET, Inputs
from fgmfn.modeling import SentimentOutput


@strict
class TomBertConfig(PiecesConfig, PictureConfig):
    """Settings of TomBERT."""

    model_type = "fgmfn_tombert"

    dropout: float | int = 0.1


class TomBertForSentiment(TwoTextEncoders):
    """TomBERT, the variant that classifies by the first token of the joined layer, which is the picture's.

    An ad's target is its category.
    """

    config_class = TomBertConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *PAIR, *TARGET), pair="always", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder", "input_ids": "text_encoder"}
    # From the authors' run_multimodal_classifier.py.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5, "epochs": 8, "batch_size": 32, "warmup": 0.1}

    def __init__(self, config: TomBertConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.add_text_encoders()
        self.image_encoder = ImageEncoder(config)
        self.regions = nn.Linear(self.image_encoder.channels[-1], d)
        self.target_to_image = AttendTo(d, config.heads, config.dropout, feed_forward=True)
        self.image_pooler = Pooler(d)
        self.joined = AttendTo(d, config.heads, config.dropout, feed_forward=True)
        self.pooler = Pooler(d)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(d, config.num_labels)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        target_ids: Tensor,
        target_mask: Tensor,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with word pieces [B, n] of sentence and target, and of targets [B, m]."""
        sentence = self.encode_text(input_ids, attention_mask, token_type_ids)
        target = self.encode_target(target_ids, target_mask)
        regions = self.regions(self.image_encoder.regions(pixel_values))
        # Tokens of the target do not read each other here, and the pooler's first token is never padding.
        image = self.image_pooler(self.target_to_image(target, regions, None)).unsqueeze(1)
        both = torch.cat([image, sentence], dim=1)
        mask = torch.cat([attention_mask.new_ones(image.shape[:2]), attention_mask], dim=1).bool()
        joined = self.joined(both, both, mask)
        return self.task_output(self.classifier(self.dropout(self.pooler(joined))), labels)
