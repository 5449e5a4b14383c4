"""RoBERTa (Liu et al., 2019) on the sentence and its target: the strongest row that sees no picture."""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.layers import Pooler
from fgmfn.configuration import PiecesConfig
from fgmfn.encoders import build_text_encoder
from fgmfn.inputs import SENTENCE, Inputs
from fgmfn.modeling import Baseline, SentimentOutput

ROBERTA_BASE: dict[str, Any] = {
    "model_type": "roberta",
    "vocab_size": 50265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}


@strict
class RobertaForSentimentConfig(PiecesConfig):
    """Settings of the RoBERTa row."""

    model_type = "fgmfn_roberta"
    text_defaults: ClassVar[dict[str, Any]] = ROBERTA_BASE

    text_encoder: str = "roberta-base"
    """Name on the Hugging Face Hub or local folder of the text encoder and its tokenizer."""
    dropout: float | int = 0.1


class RobertaForSentiment(Baseline):
    """First token, dense, tanh, dropout, linear."""

    config_class = RobertaForSentimentConfig
    modalities = ("text",)
    inputs = Inputs(SENTENCE, pair="always", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"input_ids": "text_encoder"}
    # Rate, batch and epochs are of those that Liu et al. tune on GLUE with: 1e-5 to 3e-5, 16 or 32, at most 10.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 2e-5, "epochs": 10, "batch_size": 32}

    def __init__(self, config: RobertaForSentimentConfig) -> None:
        super().__init__(config)
        self.text_encoder = build_text_encoder(config)
        self.pooler = Pooler(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> SentimentOutput:
        """Classify word pieces [B, n]."""
        states = self.encode_text(input_ids, attention_mask, None)
        return self.task_output(self.classifier(self.dropout(self.pooler(states))), labels)
