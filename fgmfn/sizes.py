"""Parameters of models, counted without memory for them, and whether a training of them fits into memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psutil
import torch
from torch import nn

from fgmfn.baselines import model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.configuration import SentimentConfig

BYTES_HELD, BYTES_TRAINED = 4, 12
"""Per parameter in float32: its value; its gradient and Adam's two moments."""


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """Return a model's parameters: in total, and those that train."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trains in sizes if trains)


def on_meta_device(model_class: type[nn.Module], config: SentimentConfig) -> nn.Module:
    """Build a model without memory for its weights: enough to count them."""
    with torch.device("meta"):
        return model_class(config)


def size_of(kind: Any, config: Any) -> tuple[int, int] | None:
    """Count the parameters of a model's class under a configuration, in total and those that train.

    Returns:
        None where the data decides how many there are.
    """
    if issubclass(kind, FittedModel):
        return kind(config).parameter_counts()
    return parameter_counts(on_meta_device(kind, config))


@cache
def full_size(name: str) -> tuple[int, int] | None:
    """Count a registered model's parameters at its paper's full size, as `size_of` does."""
    kind = model_class(name)
    return size_of(kind, kind.config_class(num_labels=3))


def least_training_bytes(kind: Any, config: Any) -> int:
    """Bytes for weights, gradients and Adam's moments; a batch's activations come on top.

    Args:
        kind: a model's class.
        config: its configuration; a learned vocabulary may still change its size a little.
    """
    total, trained = size_of(kind, config) or (0, 0)
    return total * BYTES_HELD + trained * BYTES_TRAINED


def free_bytes() -> int:
    """Memory that a training could take now: the GPU's where there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


def out_of_memory(error: BaseException) -> str | None:
    """Return the first line of an error that says that memory has run out, or None for any other.

    PyTorch says so on a CPU by a plain RuntimeError.
    """
    said = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in said:
        return said.splitlines()[0] if said else type(error).__name__
    return None


@contextmanager
def freeing_memory() -> Iterator[None]:
    """Free a training's memory when it ends, with or without an error."""
    try:
        yield
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
