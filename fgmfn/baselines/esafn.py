"""ESAFN (Yu et al., 2020): the words left and right of the target and the picture, each attended by the target."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.layers import AdditiveAttention, BilinearAttention, MaskedLSTM, left_and_right
from fgmfn.baselines.parts.words import WordVectors
from fgmfn.configuration import PictureConfig, WordsConfig
from fgmfn.encoders import ImageEncoder
from fgmfn.inputs import SENTENCE, TARGET, Inputs
from fgmfn.modeling import Baseline, SentimentOutput
from fgmfn.pooling import masked_mean


@strict
class EsafnConfig(WordsConfig, PictureConfig):
    """Settings of ESAFN."""

    model_type = "fgmfn_esafn"
    counts: ClassVar[tuple[str, ...]] = ("hidden_size",)

    word_size: int = 100
    hidden_size: int = 100
    """d: width of the LSTMs, of the picture's vector and of every interaction."""


class LowRankInteraction(nn.Module):
    """tanh(W1 a) * tanh(W2 b): a bilinear form of rank d in each of its d outputs (Kim et al., 2017)."""

    def __init__(self, first_size: int, second_size: int, d: int) -> None:
        super().__init__()
        self.first = nn.Linear(first_size, d)
        self.second = nn.Linear(second_size, d)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """[B, first_size] and [B, second_size] -> [B, d]."""
        return self.first(first).tanh() * self.second(second).tanh()


class Side(nn.Module):
    """The words on one side of the target: read by an LSTM, attended by the target and joined with it."""

    def __init__(self, word_size: int, d: int) -> None:
        super().__init__()
        self.lstm = MaskedLSTM(word_size, d, bidirectional=False)
        self.attention = BilinearAttention(d, d)
        self.interaction = LowRankInteraction(d, d, d)

    def forward(self, words: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Word vectors [B, n, word_size] and the target [B, d] -> [interaction; context], [B, 2d]."""
        context = self.attention(self.lstm(words, mask), target, mask)
        return torch.cat([self.interaction(context, target), context], dim=-1)


class GatedPicture(nn.Module):
    """The regions that the target attends to, gated by the words."""

    def __init__(self, channels: int, text_size: int, d: int) -> None:
        super().__init__()
        self.attention = AdditiveAttention(channels, d, d)
        self.picture = nn.Linear(channels, d)
        self.gate = nn.Linear(text_size + channels, d)

    def forward(self, regions: Tensor, target: Tensor, text: Tensor) -> Tensor:
        """Regions [B, k, channels], target [B, d] and words [B, text_size] -> [B, d]."""
        seen = self.attention(regions, target)
        gate = self.gate(torch.cat([text, seen], dim=-1)).sigmoid()
        return gate * self.picture(seen.tanh())


class EsafnForSentiment(Baseline):
    """ESAFN; both sides are read forwards, each with its own weights, and the word vectors are trained too.

    An ad's target is its category: all of its words are on the right side, and the left side is empty.
    """

    config_class = EsafnConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *SENTENCE, *TARGET, "target_span"), tokens="words")
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}
    # From the authors' run.sh and train.py, except the epochs, which are ours: they train 8 and choose more often.
    recipe: ClassVar[dict[str, Any]] = {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "epochs": 20,
        "batch_size": 10,
        "max_gradient_norm": 5.0,
    }

    def __init__(self, config: EsafnConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.words = WordVectors(config)
        self.image_encoder = ImageEncoder(config)
        self.target_lstm = MaskedLSTM(config.word_size, d, bidirectional=False)
        self.left, self.right = Side(config.word_size, d), Side(config.word_size, d)
        self.gated_picture = GatedPicture(self.image_encoder.channels[-1], 4 * d, d)
        self.fusion = LowRankInteraction(4 * d, d, d)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(6 * d, config.num_labels)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        target_ids: Tensor,
        target_mask: Tensor,
        target_span: Tensor,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with words [B, n] around targets [B, m]."""
        target = masked_mean(self.target_lstm(self.words(target_ids), target_mask), target_mask)
        (left, left_mask), (right, right_mask) = left_and_right(input_ids, attention_mask, target_span)
        sides = self.left(self.words(left), left_mask, target), self.right(self.words(right), right_mask, target)
        text = torch.cat(sides, dim=-1)
        image = self.gated_picture(self.image_encoder.regions(pixel_values), target, text)
        features = torch.cat([text, image, self.fusion(text, image)], dim=-1)
        return self.task_output(self.classifier(self.dropout(features)), labels)
