"""Attention-based BiLSTM (Zhou et al., 2016): words in both directions, summed, then weighted by their content."""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.layers import MaskedLSTM
from fgmfn.baselines.parts.words import WordVectors
from fgmfn.configuration import WordsConfig
from fgmfn.inputs import SENTENCE, Inputs
from fgmfn.modeling import Baseline, SentimentOutput
from fgmfn.pooling import masked_softmax


@strict
class BiLstmConfig(WordsConfig):
    """Settings of the BiLSTM."""

    model_type = "fgmfn_bilstm"
    counts: ClassVar[tuple[str, ...]] = ("hidden_size",)
    shares: ClassVar[tuple[str, ...]] = ("word_dropout",)

    hidden_size: int = 300
    """Width of one direction's states, and of their sum."""
    word_dropout: float | int = 0.3
    """Dropout of the word vectors and of the LSTM's states."""


class BiLstmForSentiment(Baseline):
    """BiLSTM over the sentence, followed by the target if the data have targets."""

    config_class = BiLstmConfig
    modalities = ("text",)
    inputs = Inputs(SENTENCE, tokens="words", pair="real_target", marked=True)
    # Zhou et al. train with AdaDelta at rate 1 and batches of 10; Adam at its usual rate stands in for it. Batch
    # and epochs are ours.
    recipe: ClassVar[dict[str, Any]] = {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 1e-5,
        "epochs": 20,
        "batch_size": 32,
    }

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        self.words = WordVectors(config)
        self.lstm = MaskedLSTM(config.word_size, config.hidden_size, bidirectional=True)
        self.score = nn.Linear(config.hidden_size, 1, bias=False)
        self.word_dropout = nn.Dropout(config.word_dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> SentimentOutput:
        """Classify words [B, n]."""
        words = self.word_dropout(self.words(input_ids))
        forward, backward = self.lstm(words, attention_mask).chunk(2, dim=-1)
        states = self.word_dropout(forward + backward)
        weights = masked_softmax(self.score(states.tanh()).squeeze(-1), attention_mask)
        sentence = (weights.unsqueeze(1) @ states).squeeze(1).tanh()
        return self.task_output(self.classifier(self.dropout(sentence)), labels)
