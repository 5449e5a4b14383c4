"""MTVAF (Li et al., 2024): BERT reads what the picture shows as words, and the picture itself before each layer.

These words are a caption, a description of faces and the text on the picture. They are not made here: they come from
the data's column `auxiliary`, with its parts separated by `[SEP]`; a row without any is read without. The paper cuts
three crops with a detector. Here there is no detector: three quarters of the picture replace its crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import DynamicCache

from fgmfn.baselines.parts.crops import CROPS, whole_and_quarters
from fgmfn.configuration import PictureConfig, PiecesConfig, require
from fgmfn.distributed import mean_count
from fgmfn.encoders import ImageEncoder, build_text_encoder
from fgmfn.inputs import PAIR, SEPARATOR, Extra, Inputs, Sentence
from fgmfn.modeling import Baseline, SentimentOutput

CHUNKS = 4
"""Pairs of keys and values that are mixed for each position of the prefix, by one gate per layer."""
CELLS = 2
"""Cells along one side of the grid that each stage of the backbone is pooled to."""
MOST_FURTHER = 256
"""Most tokens of further words that are read."""


@strict
class MtvafConfig(PiecesConfig, PictureConfig):
    """Settings of MTVAF."""

    model_type = "fgmfn_mtvaf"
    counts: ClassVar[tuple[str, ...]] = ("prefix_width",)

    backbone: str = "resnet50"
    """Name of a timm model with five feature levels, of which the last four are read."""
    dropout: float | int = 0.1
    prefix_width: int = 800
    """Width between the backbone's stages and the prefix."""
    crops: int = 3
    """Crops in addition to the whole picture."""
    alignment_weight: float | int = 1.0
    """Weight of the divergence between the predictions from the words alone and with the further words."""

    def check(self) -> None:
        """Refuse values out of their range."""
        super().check()
        require(0 <= self.crops < CROPS, "crops", self.crops, f"0 to {CROPS - 1}")
        require(self.alignment_weight >= 0, "alignment_weight", self.alignment_weight, "0 or more")
        kind = self.text_config["model_type"]
        require(kind == "bert", "text_encoder", self.text_encoder, f"a BERT, whose layers take a prefix, not {kind}")


def further_ids(sentence: Sentence, tokenizer: Any) -> np.ndarray:
    """Return the tokens of a row's further words, with a separator after each part."""
    parts = [part for part in map(str.strip, sentence.auxiliary.split(SEPARATOR)) if part]
    if not parts:
        return np.zeros(0, dtype=np.int64)
    cut = tokenizer(parts, add_special_tokens=False, truncation=True, max_length=MOST_FURTHER)["input_ids"]
    ids = [number for part in cut for number in (*part, tokenizer.sep_token_id)]
    return np.array(ids[:MOST_FURTHER], dtype=np.int64)


def further_mask(sentence: Sentence, tokenizer: Any) -> np.ndarray:
    """Return 1 for each token of `further_ids`."""
    return np.ones_like(further_ids(sentence, tokenizer))


def cells_of(stages: Iterable[Tensor]) -> Tensor:
    """Stages [N, c, h, w] of the backbone -> cells of all of them side by side, [N, 4, c]."""
    pooled = [F.adaptive_avg_pool2d(stage, CELLS).flatten(2) for stage in stages]
    return torch.cat(pooled, dim=1).transpose(1, 2)


class VisualPrefix(nn.Module):
    """A picture and its crops as keys and values that precede those of each layer.

    A layer's gate reads a picture's mean over chunks and positions; the description does not say what it reads.
    """

    def __init__(self, channels: int, width: int, d: int, layers: int) -> None:
        super().__init__()
        self.chunks = nn.Sequential(nn.Linear(channels, width), nn.Tanh(), nn.Linear(width, CHUNKS * 2 * d))
        self.gates = nn.ModuleList(nn.Linear(2 * d, CHUNKS) for _ in range(layers))

    def forward(self, cells: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Cells [B, crops, 4, c] of the backbone's stages -> keys and values [B, crops * 4, d] for each layer."""
        chunks = self.chunks(cells).unflatten(-1, (CHUNKS, -1))  # [B, crops, cells, chunks, 2 d]
        seen = chunks.mean(dim=(2, 3))
        mixed = [torch.einsum("bkg,bkpgd->bkpd", gate(seen).softmax(dim=-1), chunks) for gate in self.gates]
        halves = [both.flatten(1, 2).chunk(2, dim=-1) for both in mixed]
        return [(key, value) for key, value in halves]


class MtvafForSentiment(Baseline):
    """MTVAF; one encoder reads the words with the further ones, which gives the answer, and the words alone.

    Both readings are trained to predict the class and, by the Kullback-Leibler divergence of the first from the second,
    to agree; the description names the divergence but not its direction. A row without further words has nothing to
    align. The target follows the sentence as BERT's second segment.
    """

    config_class = MtvafConfig
    modalities = ("text", "image")
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}
    recomputed_parts = ()  # the prefix is passed as cached keys and values, which recomputed layers ignore
    inputs = Inputs(
        ("pixel_values", *PAIR),
        pair="always",
        marked=True,
        extras=(Extra("further_ids", ("k",), further_ids), Extra("further_mask", ("k",), further_mask)),
    )
    # Ours throughout, usual for BERT: the description names no recipe.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 2e-5, "epochs": 10, "batch_size": 16}
    notes: ClassVar[tuple[str, ...]] = (
        "no detector: quarters of the picture stand in place of the crops",
        "no captions, descriptions of faces and words on the picture but those of the data's column auxiliary",
    )

    def __init__(self, config: MtvafConfig) -> None:
        super().__init__(config)
        encoder: Any = build_text_encoder(config)
        self.text_encoder = encoder
        self.image_encoder = ImageEncoder(config)
        channels = sum(self.image_encoder.channels[1:])
        layers = encoder.config.num_hidden_layers
        self.prefix = VisualPrefix(channels, config.prefix_width, config.hidden_size, layers)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        further_ids: Tensor,
        further_mask: Tensor,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with word pieces [B, n] and those of further words [B, k]."""
        prefix = self.prefix(self.cells(pixel_values))
        ids = torch.cat([input_ids, further_ids], dim=1)
        mask = torch.cat([attention_mask, further_mask], dim=1)
        segments = torch.cat([token_type_ids, torch.ones_like(further_ids)], dim=1)
        logits = self.read(ids, mask, segments, prefix)
        richer = further_mask.any(dim=1)
        # The number of such rows differs between processes and may be 0.
        rows = mean_count(richer.sum()) if self.training else richer.sum()
        if labels is None or not richer.any():
            return self.task_output(logits, labels)
        words = self.read(
            input_ids[richer],
            attention_mask[richer],
            token_type_ids[richer],
            [(key[richer], value[richer]) for key, value in prefix],
        )
        divergence = F.kl_div(
            words.float().log_softmax(dim=-1),
            logits[richer].float().log_softmax(dim=-1),
            log_target=True,
            reduction="sum",
        )
        task_loss = self.classification_loss(logits, labels)
        words_loss = self.classification_loss(words, labels[richer]) * len(words)
        loss = task_loss + (words_loss + self.config.alignment_weight * divergence) / rows
        return SentimentOutput(loss=loss, logits=logits, task_loss=task_loss)

    def encoding(self, field: str) -> dict[str, Any]:
        """Return what `encode` depends on beside the encoder and its input."""
        own = {"cells": CELLS, "pictures": 1 + self.config.crops} if field == "pixel_values" else {}
        return super().encoding(field) | own

    def encode(self, field: str, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the cells of a batch's pictures, which may replace the pictures: [B, crops * 4 * c]."""
        return self.cells(batch[field]).flatten(1) if field == "pixel_values" else super().encode(field, batch)

    def cells(self, pixel_values: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] -> cells of the last four levels of the whole and of its crops, [B, crops, 4, c]."""
        shown = 1 + self.config.crops
        if pixel_values.ndim == 2:
            return pixel_values.unflatten(1, (shown, CELLS**2, -1))
        crops = whole_and_quarters(pixel_values, shown)
        return cells_of(self.image_encoder(crops.flatten(0, 1))[1:]).unflatten(0, crops.shape[:2])

    def read(self, ids: Tensor, mask: Tensor, segments: Tensor, prefix: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Logits [B, C] of words [B, t] behind a prefix; positions count real tokens, wherever padding lies."""
        encoder: Any = self.text_encoder
        places = mask.cumsum(dim=1).sub(1).clamp(min=0)
        longest = encoder.config.max_position_embeddings
        mask = mask.bool() & (places < longest)
        before = mask.new_ones(mask.shape[0], prefix[0][0].shape[1])
        ignored = ~torch.cat([before, mask], dim=1)
        # A mask with four axes is used as it is; one with two would be expanded to as many keys as there are queries.
        bias = prefix[0][0].new_zeros(ignored.shape).masked_fill(ignored, torch.finfo(prefix[0][0].dtype).min)
        states = encoder(
            input_ids=ids,
            attention_mask=bias[:, None, None].expand(-1, -1, ids.shape[1], -1),
            token_type_ids=segments,
            position_ids=places.clamp(max=longest - 1),
            past_key_values=DynamicCache([(self.by_head(key), self.by_head(value)) for key, value in prefix]),
        ).last_hidden_state
        return self.classifier(self.dropout(states[:, 0]))

    def by_head(self, states: Tensor) -> Tensor:
        """[B, t, d] -> [B, heads, t, d / heads]."""
        return states.unflatten(-1, (self.config.heads, -1)).transpose(1, 2)
