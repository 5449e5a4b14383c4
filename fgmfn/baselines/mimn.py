"""MIMN (Xu et al., 2019): memories of words and of regions, read hop by hop by queries that start at the target."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.layers import AdditiveAttention, MaskedLSTM
from fgmfn.baselines.parts.words import WordVectors
from fgmfn.configuration import PictureConfig, WordsConfig
from fgmfn.encoders import ImageEncoder
from fgmfn.inputs import SENTENCE, TARGET, Inputs
from fgmfn.modeling import Baseline, SentimentOutput
from fgmfn.pooling import masked_mean


@strict
class MimnConfig(WordsConfig, PictureConfig):
    """Settings of MIMN."""

    model_type = "fgmfn_mimn"
    counts: ClassVar[tuple[str, ...]] = ("hidden_size", "hops")

    hidden_size: int = 100
    """Width of one direction of the three BiLSTMs; a query is twice as wide."""
    hops: int = 3
    """Number of times that both memories are read."""


class Memory(nn.Module):
    """One modality's memory, its two attentions and the cell of its query; all hops share them."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.by_own = AdditiveAttention(d, d, d)
        self.by_other = AdditiveAttention(d, d, d)
        self.cell = nn.GRUCell(d, d)

    def forward(self, states: Tensor, mask: Tensor | None, own: Tensor, other: Tensor) -> Tensor:
        """Read states [B, k, d] with both modalities' queries [B, d] and return this modality's next one."""
        read = (self.by_own(states, own, mask) + self.by_other(states, other, mask)) / 2
        return self.cell(read, own)


class MimnForSentiment(Baseline):
    """MIMN; the context is the sentence with the target in its place, and a picture's regions are read row by row.

    An ad's target is its category. Each hop reads both memories with the queries of the hop before.
    """

    config_class = MimnConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *SENTENCE, *TARGET), tokens="words")
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}
    # Adam's rate is the paper's. Batch and epochs are ours; the authors' main_asp.py has 128 and at most 100.
    recipe: ClassVar[dict[str, Any]] = {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "epochs": 20,
        "batch_size": 32,
    }

    def __init__(self, config: MimnConfig) -> None:
        super().__init__(config)
        self.words = WordVectors(config)
        self.image_encoder = ImageEncoder(config)
        self.context_lstm = MaskedLSTM(config.word_size, config.hidden_size, bidirectional=True)
        self.target_lstm = MaskedLSTM(config.word_size, config.hidden_size, bidirectional=True)
        self.region_lstm = MaskedLSTM(self.image_encoder.channels[-1], config.hidden_size, bidirectional=True)
        d = self.target_lstm.out_size
        self.text_memory, self.image_memory = Memory(d), Memory(d)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * d, config.num_labels)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        target_ids: Tensor,
        target_mask: Tensor,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with words [B, n] and targets [B, m]."""
        context = self.context_lstm(self.words(input_ids), attention_mask)
        regions = self.image_encoder.regions(pixel_values)
        regions = self.region_lstm(regions, regions.new_ones(regions.shape[:2]))
        target = masked_mean(self.target_lstm(self.words(target_ids), target_mask), target_mask)
        text, image = self.read(context, attention_mask, regions, target)
        return self.task_output(self.classifier(self.dropout(torch.cat([text, image], dim=-1))), labels)

    def read(self, context: Tensor, mask: Tensor, regions: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return both queries [B, d] after all hops over words [B, n, d] and regions [B, k, d]."""
        text = image = target
        for _ in range(self.config.hops):
            text, image = (
                self.text_memory(context, mask, text, image),
                self.image_memory(regions, None, image, text),
            )
        return text, image
