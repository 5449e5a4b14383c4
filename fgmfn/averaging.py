"""An exponential moving average of the weights: it is scored and saved, while the weights themselves keep training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

TRAINING_WEIGHTS = "training_weights.safetensors"
"""File of a checkpoint with the weights that keep training; the checkpoint's model has the averages."""


class Averages(TrainerCallback):
    """Averages the trained weights and the batch statistics after each step.

    At first the decay is smaller, (1 + step) / (10 + step), or the average would keep the initial weights too long.

    Args:
        model: the one that trains.
        decay: share that the average keeps of itself at each step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._averages: dict[str, Tensor] = {}

    def _training(self) -> dict[str, Tensor]:
        """Return the model's tensors by name; moving the model to another device replaces them."""
        weights = {name: weight for name, weight in self._model.named_parameters() if weight.requires_grad}
        return weights | {name: values for name, values in self._model.named_buffers() if values.is_floating_point()}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start from the initial weights, unless a training is resumed."""
        if not self._averages:
            self._averages = {name: values.detach().clone() for name, values in self._training().items()}

    @torch.no_grad()
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Add the step's weights to the average."""
        kept = min(self._decay, (1 + state.global_step) / (10 + state.global_step))
        training = self._training()
        torch._foreach_lerp_([self._averages[name] for name in training], list(training.values()), 1 - kept)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Put the average into the model, unless the best checkpoint's average has been loaded."""
        if not args.load_best_model_at_end:
            self._exchange()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the averaged weights within the block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, values in self._training().items():
            average = self._averages[name]
            trained = values.clone()
            values.copy_(average)
            average.copy_(trained)

    def save_training_weights(self, folder: Path) -> None:
        """Write the weights that keep training."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: values.contiguous() for name, values in self._training().items()}, folder / TRAINING_WEIGHTS)

    @torch.no_grad()
    def resume(self, folder: Path) -> None:
        """Resume from a checkpoint; the model has just loaded its averages."""
        self._averages = {name: values.detach().clone() for name, values in self._training().items()}
        saved = load_file(folder / TRAINING_WEIGHTS)
        for name, values in self._training().items():
            values.copy_(saved[name])
