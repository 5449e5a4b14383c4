"""Models to measure, at full size with random weights, and batches of made-up rows for them.

The rows are tweets of syllables with a target in each and a picture of noise. A tokenizer learned from them, the
processor and the collator make batches of them as of any others; every sentence is cut to the same length, so that no
token is padding. A probe's encoders, which always read their full length, get tokens and pixels drawn at random.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from fgmfn.baselines import model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.baselines.probes import Probe
from fgmfn.building import model_config
from fgmfn.configuration import PiecesConfig
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.encoders import longest_text
from fgmfn.errors import ConfigError
from fgmfn.modeling import SentimentModel
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer, train_words
from fgmfn.sizes import parameter_counts

CLASS_NAMES = ("negative", "neutral", "positive")
SYLLABLES = tuple(consonant + vowel for consonant in "bdgklmn" for vowel in "aeiou")
VOCABULARY = 60
TARGET_TOKENS = 4
SHORTEST = 16
"""Tokens that leave room for a target and the marks of a pair."""
PICTURE_SIDE = 64

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Noise:
    """Pictures of noise, drawn where they are read."""

    def read(self, row: int) -> bytes:
        """Return the row's picture."""
        pixels = np.random.default_rng(row).integers(0, 256, (PICTURE_SIDE, PICTURE_SIDE, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        return file.getvalue()


@dataclass(frozen=True)
class Specimen:
    """A model and how batches for it are made."""

    network: nn.Module
    """On the device, in evaluation."""
    parameters: tuple[int, int]
    """In total and those that train."""
    make_batch: Callable[[int], Batch]
    """A batch of so many rows on the device, with labels where the model trains in steps."""


def build_specimen(name: str, settings: dict[str, Any], text_length: int, device: torch.device) -> Specimen | None:
    """Build a registered model, or return None where there are no layers to measure.

    Args:
        name: in the registry.
        settings: the model's own; nothing is pretrained.
        text_length: tokens per sentence, with all marks and the target where the model reads them as a pair.
        device: where the model and its batches lie.

    Raises:
        ConfigError: The text encoder reads no sentence of that length.
    """
    kind = model_class(name)
    config = model_config(kind, settings, CLASS_NAMES)
    if issubclass(kind, Probe):
        return _probe(kind, config, device)
    if issubclass(kind, FittedModel):
        return None
    _check_length(name, kind, config, text_length)
    torch.manual_seed(0)
    with device:
        network: SentimentModel = kind(config).to(device)

    def make_batch(count: int) -> Batch:
        made = _collate(network, made_up_rows(count, text_length), text_length)
        return {field: values.to(device) for field, values in made.items()}

    return Specimen(network.eval(), parameter_counts(network), make_batch)


def _check_length(name: str, kind: type[SentimentModel], config: Any, text_length: int) -> None:
    longest = text_length
    if kind.inputs.tokens == "pieces" and isinstance(config, PiecesConfig):
        longest = longest_text(config.text_config)
    if not SHORTEST <= text_length <= longest:
        raise ConfigError(f"text length {text_length}: {name} can be measured with {SHORTEST} to {longest} tokens")


def made_up_rows(count: int, text_length: int) -> Rows:
    """Return tweets of syllables, longer than `text_length` tokens, the same ones every time."""
    rng = np.random.default_rng(0)
    words = rng.choice(SYLLABLES, (count, text_length + TARGET_TOKENS)).tolist()
    start = text_length // 4
    targets = [" ".join(row[start : start + TARGET_TOKENS]) for row in words]
    left = [len(" ".join(row[:start])) + 1 for row in words]
    names = [f"row {number}" for number in range(count)]
    return Rows(
        names,
        names,
        [" ".join(row) for row in words],
        targets,
        [(at, at + len(target)) for at, target in zip(left, targets, strict=True)],
        [number % len(CLASS_NAMES) for number in range(count)],
        names,
        Noise(),
        has_targets=True,
    )


def _collate(network: SentimentModel, rows: Rows, text_length: int) -> Batch:
    learns_words = network.inputs.tokens == "words"
    tokenizer = train_words(rows.text, 1) if learns_words else train_tokenizer(rows.text, VOCABULARY)
    processor = FgmfnProcessor(
        image_processor(network.config), tokenizer, max_tokens=text_length, max_target_tokens=TARGET_TOKENS
    )
    dataset = SplitDataset(rows, processor, network.inputs)
    return Collator(processor, network.inputs)([dataset[row] for row in range(len(rows))])


def _probe(kind: type[Probe], config: Any, device: torch.device) -> Specimen:
    sizes = {"text_config": dict(config.text_config), "vision_config": dict(config.vision_config)}
    with device:
        encoders = AutoModel.from_config(AutoConfig.for_model(config.family, **sizes))
    text, vision = encoders.config.text_config, encoders.config.vision_config

    def make_batch(count: int) -> Batch:
        drawn = torch.Generator().manual_seed(0)
        ids = torch.randint(text.vocab_size, (count, text.max_position_embeddings), generator=drawn)
        pixels = torch.randn(count, 3, vision.image_size, vision.image_size, generator=drawn)
        return {"input_ids": ids.to(device), "pixel_values": pixels.to(device)}

    return Specimen(encoders.eval(), kind(config).parameter_counts() or (0, 0), make_batch)
