"""ARFN (Jia et al., 2023): the target looks at regions of the picture and at the sentence, and both are joined.

The paper takes the four regions that a detector ranks as the most affective. Here there is no detector: the four
quarters of the picture, row by row, replace its regions, so no part of the picture is left out.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.crops import CROPS, whole_and_quarters
from fgmfn.baselines.parts.layers import MaskedLSTM, Pooler, TwoTextEncoders
from fgmfn.configuration import PictureConfig, PiecesConfig, require
from fgmfn.encoders import ImageEncoder
from fgmfn.fusion import AttendTo
from fgmfn.inputs import PAIR, TARGET, Inputs
from fgmfn.modeling import SentimentOutput

REGIONS = CROPS - 1


@strict
class ArfnConfig(PiecesConfig, PictureConfig):
    """Settings of ARFN."""

    model_type = "fgmfn_arfn"
    counts: ClassVar[tuple[str, ...]] = ("cell_size",)

    dropout: float | int = 0.1
    cell_size: int = 4096
    """Width between a grid cell of all four regions and a token."""

    def check(self) -> None:
        """Refuse values out of their range."""
        super().check()
        require(self.hidden_size % 2 == 0, "hidden_size", self.hidden_size, "an even width, half for each direction")


class AttendedBy(nn.Module):
    """A cross layer in which the target reads other states; returns its first token after a dense layer and GELU."""

    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer = AttendTo(d, heads, dropout, feed_forward=True)
        self.dense = nn.Linear(d, d)
        self.activation = nn.GELU()

    def forward(self, target: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
        """Target [B, m, d] and what it reads, [B, k, d] -> [B, d]."""
        return self.activation(self.dense(self.layer(target, states, mask)[:, 0]))


class ArfnForSentiment(TwoTextEncoders):
    """ARFN; its description gives the widths between layers but no activation: here a GELU follows each.

    An ad's target is its category. The pooler of the sentence starts untrained.
    """

    config_class = ArfnConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *PAIR, *TARGET), pair="always", marked=True)
    # Ours throughout, usual for BERT: the description names no recipe.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 2e-5, "epochs": 10, "batch_size": 16}
    notes: ClassVar[tuple[str, ...]] = ("no detector: the picture's four quarters are its affective regions",)

    def __init__(self, config: ArfnConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.add_text_encoders()
        self.image_encoder = ImageEncoder(config)
        channels = REGIONS * self.image_encoder.channels[-1]
        self.cells = nn.Sequential(
            nn.Linear(channels, config.cell_size), nn.GELU(), nn.Linear(config.cell_size, d), nn.GELU()
        )
        self.sentence_lstm = MaskedLSTM(d, d // 2, bidirectional=True)
        self.from_image = AttendedBy(d, config.heads, config.dropout)
        self.from_sentence = AttendedBy(d, config.heads, config.dropout)
        self.pooler = Pooler(d)
        self.fusion = nn.Sequential(nn.Linear(3 * d, 3 * d // 2), nn.GELU(), nn.Linear(3 * d // 2, d), nn.GELU())
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
        pair = self.encode_text(input_ids, attention_mask, token_type_ids)
        target = self.encode_target(target_ids, target_mask)
        image = self.from_image(target, self.cells(self.region_cells(pixel_values)), None)
        sentence = self.from_sentence(target, self.sentence_lstm(pair, attention_mask), attention_mask.bool())
        fused = self.fusion(torch.cat([image, sentence, self.pooler(pair)], dim=-1))
        return self.task_output(self.classifier(self.dropout(fused)), labels)

    def region_cells(self, pixel_values: Tensor) -> Tensor:
        """Put the same cell of every region side by side: [B, 3, H, W] -> [B, 49, 4 * channels]."""
        quarters = whole_and_quarters(pixel_values)[:, 1:]
        cells = self.image_encoder.regions(quarters.flatten(0, 1)).unflatten(0, quarters.shape[:2])
        return cells.transpose(1, 2).flatten(2)
