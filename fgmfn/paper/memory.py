"""Whether a training fits into memory at all, known before anything is downloaded or built."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from fgmfn.baselines.fitted import FittedModel
from fgmfn.encoders import on_meta_device, parameter_counts

BYTES_HELD, BYTES_TRAINED = 4, 12
"""Per parameter in float32: its value; its gradient and Adam's two moments."""


def least_training_bytes(kind: Any, config: Any) -> int:
    """Bytes for weights, gradients and Adam's moments; a batch's activations come on top.

    Args:
        kind: a model's class.
        config: its configuration; a learned vocabulary may still change its size a little.
    """
    if issubclass(kind, FittedModel):
        sizes = kind(config).parameter_counts() or (0, 0)
    else:
        sizes = parameter_counts(on_meta_device(kind, config))
    return sizes[0] * BYTES_HELD + sizes[1] * BYTES_TRAINED


def free_bytes() -> int:
    """Memory that a training could take now: the GPU's where there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out; PyTorch says so on a CPU by a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
