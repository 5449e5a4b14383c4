"""Two text encoders, for the sentence with its target and for the target alone; the second starts as a copy."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from fgmfn.encoders import build_text_encoder
from fgmfn.modeling import Baseline


class TwoTextEncoders(Baseline):
    """A baseline that reads the target apart, with an encoder of its own."""

    def add_text_encoders(self) -> None:
        """Build both encoders with the same random weights, which then train apart."""
        self.text_encoder = build_text_encoder(self.config)
        self.target_encoder = copy.deepcopy(self.text_encoder)

    def load_pretrained(self, tokenizer: Any) -> None:
        """Load the pretrained parts as every model does, and copy the text encoder once more."""
        super().load_pretrained(tokenizer)
        self.target_encoder = copy.deepcopy(self.text_encoder)

    def encode_target(self, target_ids: Tensor, target_mask: Tensor) -> Tensor:
        """Tokens of the target [B, m] -> their states [B, m, d]."""
        return self.target_encoder(input_ids=target_ids, attention_mask=target_mask).last_hidden_state
