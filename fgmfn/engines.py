"""What computes a batch's logits: PyTorch here; another runtime is another class with the same method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

if TYPE_CHECKING:
    from fgmfn.modeling import SentimentModel


class Engine(Protocol):
    """Computes the logits of a batch; it may be asked by one thread at a time."""

    def logits(self, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Return the logits, [B, C] in float32.

        Args:
            batch: the fields that the model's `inputs` name, by name, on the CPU.
        """


class TorchEngine:
    """PyTorch, on the device where the model lies.

    Args:
        model: in evaluation.
    """

    def __init__(self, model: SentimentModel) -> None:
        self._model = model

    @torch.inference_mode()
    def logits(self, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Return the logits, [B, C]."""
        there: dict[str, Any] = {name: values.to(self._model.device) for name, values in batch.items()}
        logits: np.ndarray = self._model(**there).logits.float().cpu().numpy()
        return logits
