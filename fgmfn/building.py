"""A model with its initial weights and its processor, from settings and training rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fgmfn.baselines import model_of_class
from fgmfn.configuration import PiecesConfig, SentimentConfig, WordsConfig
from fgmfn.data import Rows
from fgmfn.data.batches import MULTIPLE, sentence_lengths
from fgmfn.encoders import longest_text, pretrained_text_config
from fgmfn.errors import ConfigError
from fgmfn.inputs import MARK
from fgmfn.modeling import SentimentModel
from fgmfn.packaged import PREFIX
from fgmfn.processing import (
    UNCUT,
    FgmfnProcessor,
    image_processor,
    picture_card,
    pretrained_tokenizer,
    read_by,
    train_tokenizer,
    train_words,
)
from fgmfn.settings import DataSettings, ModelSettings

log = logging.getLogger(__name__)

UNCUT_SHARE = 0.99
"""Share of training texts that fit uncut if no length is set: one long text in a hundred costs the others nothing."""


def model_config(kind: Any, model: dict[str, Any], class_names: Sequence[str]) -> SentimentConfig:
    """Make a model's configuration from its settings and the data's classes; widths may follow the text encoder's.

    Raises:
        ConfigError: A value is out of its range.
    """
    classes = dict(enumerate(class_names))
    text_config = model.get("text_config")
    if issubclass(kind.config_class, PiecesConfig) and isinstance(text_config, dict):
        model = _widths(text_config) | model
    try:
        return kind.config_class(**model, id2label=classes, label2id={name: number for number, name in classes.items()})
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"[model]: {error}") from error


def build_model(
    kind: type[SentimentModel], settings: ModelSettings, rows: Rows, class_names: Sequence[str]
) -> tuple[SentimentModel, FgmfnProcessor]:
    """Make a model with its initial weights, and the processor that turns rows into its batches.

    Args:
        kind: the model's class.
        settings: those of the model and the data are used.
        rows: the training rows; a tokenizer that is not pretrained learns its words from them.
        class_names: in the order of the labels.

    Raises:
        ConfigError: Settings contradict each other.
        WeightsError: Pretrained weights cannot be fetched or read.
    """
    config, data = model_config(kind, settings.model, class_names), settings.data
    if getattr(config, "pretrained", False):
        log.info("%s: %s", model_of_class(kind.__name__) or kind.__name__, _origins(kind, config))
    tokenizer = _fit_tokenizer(kind, config, data, rows)
    if isinstance(config, PiecesConfig) and config.pretrained and kind.inputs.tokens == "pieces":
        found = pretrained_text_config(config.text_encoder)
        config = model_config(kind, settings.model | {"text_config": found}, class_names)
    longest = UNCUT
    if kind.inputs.tokens == "pieces" and isinstance(config, PiecesConfig):
        longest = getattr(config, "longest_text", None) or longest_text(config.text_config)
        if data.max_tokens and data.max_tokens > longest:
            raise ConfigError(
                f"setting [data] max_tokens = {data.max_tokens}; the text encoder reads at most {longest}"
            )
    if settings.training.class_weights == "balanced":
        counts = np.bincount(rows.label, minlength=len(class_names))
        # A class that no row has is in no loss.
        config.class_weights = [len(rows) / (np.count_nonzero(counts) * count) if count else 1.0 for count in counts]
    model = kind(config)
    model.load_pretrained(tokenizer)
    model.freeze_text_encoder()
    if settings.training.freeze_epochs is None:
        model.freeze(settings.training.freeze)
    for part in model.loaded:
        log.info("%s: %s", model_of_class(kind.__name__) or kind.__name__, part)
    card = picture_card(config)
    processor = FgmfnProcessor(
        image_processor(config, data),
        tokenizer,
        max_tokens=data.max_tokens or MULTIPLE,
        max_target_tokens=data.max_target_tokens,
        fit=data.fit or "letterbox",
        crop_share=data.crop_share or (card.crop_pct if card else 1.0),
        interpolation=data.interpolation or (card.interpolation if card else "bicubic"),
        reads=read_by(kind.inputs, has_targets=rows.has_targets, words=rows.words),
    )
    if data.max_tokens is None and kind.inputs.sentences:
        most = np.quantile(sentence_lengths(rows, processor, kind.inputs), UNCUT_SHARE, method="higher")
        processor.max_tokens = min(longest, MULTIPLE * max(1, math.ceil(most / MULTIPLE)))
    return model, processor


def _widths(text_config: dict[str, Any]) -> dict[str, int]:
    """Return width and heads of a pretrained text encoder; the model uses them unless its settings say otherwise."""
    heads = text_config.get("num_attention_heads") or text_config.get("n_heads")
    widths = {"hidden_size": text_config.get("hidden_size"), "heads": heads}
    return {name: int(value) for name, value in widths.items() if value}


def _origins(kind: type[SentimentModel], config: SentimentConfig) -> str:
    """Say where the weights of a model's encoders come from."""
    backbone = "backbone_weights" if getattr(config, "backbone_weights", None) else "backbone"
    needed = {"input_ids": "text_encoder", "pixel_values": backbone}
    read = [name for field, name in needed.items() if field in kind.inputs.fields]
    named = [str(value) for name in read if (value := getattr(config, name, None))]
    hub = [name for name in named if not name.startswith(PREFIX) and not Path(name).exists()]
    fetched = f"; fetched from their hubs where they are not on this machine yet: {', '.join(hub)}" if hub else ""
    return f"starts from pretrained {' and '.join(named)}{fetched}"


def _fit_tokenizer(kind: type[SentimentModel], config: SentimentConfig, data: DataSettings, rows: Rows) -> Any:
    """Return a model's tokenizer; the size of a learned one is set in the configuration."""
    mark = kind.inputs.marked and rows.has_targets
    if isinstance(config, WordsConfig) and kind.inputs.tokens == "words":
        tokenizer: Any = train_words([*rows.text, *rows.target], data.min_word_count, mark=mark)
        config.vocab_size = len(tokenizer)
        return tokenizer
    if isinstance(config, PiecesConfig) and config.pretrained:
        return pretrained_tokenizer(config.text_encoder)
    texts = {*rows.text, *(rows.target if rows.has_targets or kind.inputs.pair == "always" else [])}
    tokenizer = train_tokenizer(sorted(texts | {MARK} if mark else texts), data.vocabulary)
    if isinstance(config, PiecesConfig):
        config.text_config |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return tokenizer
