"""An exponential moving average of the weights: it is scored and kept, while the weights themselves train on."""

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
"""File of a checkpoint: the weights that train on, beside the averages, which are its model."""


class Averages(TrainerCallback):
    """Averages what trains, and batch statistics, after each step.

    At first the average forgets faster, as (1 + step) / (10 + step), or it would remember the weights of the start.

    Args:
        model: the one that trains.
        decay: share that the average keeps of itself at each step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._averages: dict[str, Tensor] = {}

    def _training(self) -> dict[str, Tensor]:
        """Tensors of the model by name; a model that moves to another device has other ones."""
        weights = {name: weight for name, weight in self._model.named_parameters() if weight.requires_grad}
        return weights | {name: values for name, values in self._model.named_buffers() if values.is_floating_point()}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin with the weights of the start, unless a training is resumed."""
        if not self._averages:
            self._averages = {name: values.detach().clone() for name, values in self._training().items()}

    @torch.no_grad()
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Take the step's weights into the average."""
        kept = min(self._decay, (1 + state.global_step) / (10 + state.global_step))
        training = self._training()
        torch._foreach_lerp_([self._averages[name] for name in training], list(training.values()), 1 - kept)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leave the average in the model, unless the best checkpoint's has been loaded."""
        if not args.load_best_model_at_end:
            self._exchange()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averages meanwhile."""
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
        """Write the weights that train on."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: values.contiguous() for name, values in self._training().items()}, folder / TRAINING_WEIGHTS)

    @torch.no_grad()
    def resume(self, folder: Path) -> None:
        """Go on from a checkpoint whose averages the model has just loaded."""
        self._averages = {name: values.detach().clone() for name, values in self._training().items()}
        saved = load_file(folder / TRAINING_WEIGHTS)
        for name, values in self._training().items():
            values.copy_(saved[name])
