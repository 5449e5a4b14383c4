"""Layers that several baselines share; every mask is True, or 1, where a position is real."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fgmfn.encoders import build_text_encoder
from fgmfn.modeling import Baseline
from fgmfn.pooling import masked_softmax


def positions(mask: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return where start <= position < end and mask [B, n] is real, [B, n]; the ends are [B].

    With a batch's `target_span` it is the target; from 0 to its start the left context; from its end to n the right.
    """
    numbers = torch.arange(mask.shape[1], device=mask.device)
    return mask.bool() & (numbers >= start[:, None]) & (numbers < end[:, None])


class AdditiveAttention(nn.Module):
    """score = w . tanh(W query + V key), as in Bahdanau et al. (2015): regions by a target, words by a picture.

    W query + V key is a linear layer over [key; query]. Without a query it is attention by content alone.

    Args:
        key_size: d.
        query_size: q; 0 where there is no query.
        hidden_size: width inside.
    """

    def __init__(self, key_size: int, query_size: int, hidden_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(key_size, hidden_size)
        self.query = nn.Linear(query_size, hidden_size, bias=False) if query_size else None
        # A bias here would add the same to every score and never learn.
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, keys: Tensor, query: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the keys' weighted sum, [B, d]; zero where mask [B, k] leaves none."""
        inside = self.key(keys)
        if self.query is not None and query is not None:
            inside = inside + self.query(query).unsqueeze(1)
        weights = masked_softmax(self.score(torch.tanh(inside)).squeeze(-1), mask)
        return (weights.unsqueeze(1) @ keys).squeeze(1)


class BilinearAttention(nn.Module):
    """score = tanh(query W key), as in Luong et al. (2015) with a tanh around it."""

    def __init__(self, key_size: int, query_size: int) -> None:
        super().__init__()
        self.weight = nn.Linear(query_size, key_size, bias=False)

    def forward(self, keys: Tensor, query: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the keys' weighted sum, [B, d]; zero where mask [B, k] leaves none."""
        scores = torch.tanh((keys @ self.weight(query).unsqueeze(-1)).squeeze(-1))
        return (masked_softmax(scores, mask).unsqueeze(1) @ keys).squeeze(1)


class MaskedLSTM(nn.Module):
    """One LSTM layer; both directions stand side by side in its states.

    Args:
        input_size: width of what it reads.
        hidden_size: width per direction.
        bidirectional: read backwards, too.
    """

    def __init__(self, input_size: int, hidden_size: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True, bidirectional=bidirectional)
        self.out_size = hidden_size * (2 if bidirectional else 1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Turn [B, n, input_size] into [B, n, out_size], zero where mask [B, n] is not real.

        Real positions must come first; a row without any stays zero.
        """
        # Packing does not accept empty sequences: such a row is read as one step and then set to zero.
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        read, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=states.shape[1])
        return read * mask.to(read.dtype).unsqueeze(-1)


class Pooler(nn.Module):
    """[B, n, d] -> [B, d]."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.dense = nn.Linear(d, d)

    def forward(self, states: Tensor) -> Tensor:
        """Return one vector for the whole sequence."""
        return self.dense(states[:, 0]).tanh()


def left_and_right(ids: Tensor, mask: Tensor, span: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Cut sentences at their targets.

    Args:
        ids: tokens, [B, n].
        mask: where a token is real, [B, n].
        span: first token of the target and the one after its last, [B, 2]; (0, 0) if the sentence does not contain it.

    Returns:
        Tokens and mask, [B, n] each, of the words left and right of the target; both begin at position 0, and neither
            contains the target. Tokens after the mask's end have no meaning.
    """
    start, end = span.unbind(dim=1)
    nowhere, everywhere = end.new_zeros(end.shape), end.new_full(end.shape, ids.shape[1])
    left, right = positions(mask, nowhere, start), positions(mask, end, everywhere)
    # A stable sort by "not on the right" brings the right side to the front in its own order.
    order = (~right).int().argsort(dim=1, stable=True)
    return (ids, left), (ids.gather(1, order), right.gather(1, order))


class TwoTextEncoders(Baseline):
    """A baseline with a second text encoder for the target."""

    text_parts = ("text_encoder", "target_encoder")

    def add_text_encoders(self) -> None:
        """Build both encoders with the same random weights; they are trained separately."""
        self.text_encoder = build_text_encoder(self.config)
        self.target_encoder = copy.deepcopy(self.text_encoder)

    def load_pretrained(self, tokenizer: Any) -> None:
        """Load the pretrained parts as every model does, and copy the text encoder once more."""
        super().load_pretrained(tokenizer)
        self.target_encoder = copy.deepcopy(self.text_encoder)

    def encode_target(self, target_ids: Tensor, target_mask: Tensor) -> Tensor:
        """Tokens of the target [B, m] -> their states [B, m, d]."""
        return self.target_encoder(input_ids=target_ids, attention_mask=target_mask).last_hidden_state
