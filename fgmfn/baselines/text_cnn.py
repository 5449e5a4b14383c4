"""TextCNN (Kim, 2014): filters over runs of three, four and five words, with max pooling of each."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.words import WordVectors
from fgmfn.configuration import WordsConfig, require
from fgmfn.inputs import SENTENCE, Inputs
from fgmfn.modeling import Baseline, SentimentOutput

WIDTHS = (3, 4, 5)


@strict
class TextCnnConfig(WordsConfig):
    """Settings of TextCNN."""

    model_type = "fgmfn_text_cnn"
    counts: ClassVar[tuple[str, ...]] = ("filters",)

    filters: int = 100
    """Filters of each width."""
    max_norm: float | int = 3.0
    """Largest norm of a class's weight vector; larger ones are scaled down to it after each step."""

    def check(self) -> None:
        """Refuse values out of their range."""
        super().check()
        require(self.max_norm > 0, "max_norm", self.max_norm, "above 0")


class TextCnnForSentiment(Baseline):
    """TextCNN over the sentence, followed by the target if the data have targets."""

    config_class = TextCnnConfig
    modalities = ("text",)
    inputs = Inputs(SENTENCE, tokens="words", pair="real_target", marked=True)
    # Kim trains with AdaDelta and batches of 50; Adam at its usual rate stands in for it. The epochs are ours.
    recipe: ClassVar[dict[str, Any]] = {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "epochs": 20,
        "batch_size": 50,
    }

    def __init__(self, config: TextCnnConfig) -> None:
        super().__init__(config)
        self.words = WordVectors(config)
        self.filters = nn.ModuleList(nn.Conv1d(config.word_size, config.filters, width) for width in WIDTHS)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(len(WIDTHS) * config.filters, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> SentimentOutput:
        """Classify words [B, n]."""
        # Padding is zero, and every text gets enough of it that each word begins a run of the longest width, so
        # the batch's length has no effect.
        words = self.words(input_ids) * attention_mask.to(self.words.vectors.weight.dtype).unsqueeze(-1)
        padded = F.pad(words, (0, 0, 0, max(WIDTHS) - 1)).transpose(1, 2)
        begins = attention_mask.bool().unsqueeze(1)
        answers = [self._strongest(convolve, padded, begins) for convolve in self.filters]
        return self.task_output(self.classifier(self.dropout(torch.cat(answers, dim=-1))), labels)

    def _strongest(self, convolve: nn.Module, words: Tensor, begins: Tensor) -> Tensor:
        """The largest answer over the runs that begin with a word, [B, filters]."""
        answers = F.relu(convolve(words))[..., : begins.shape[-1]]
        return answers.masked_fill(~begins, 0).amax(dim=-1)  # after ReLU nothing is below zero

    @torch.no_grad()
    def after_step(self) -> None:
        """Scale down weight vectors with a norm above `max_norm`."""
        self.classifier.weight.copy_(self.classifier.weight.renorm(2, 0, self.config.max_norm))
