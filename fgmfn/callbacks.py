"""Callbacks of a training: parts that are unfrozen, an early end without progress, reports of each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from fgmfn.data import SplitDataset
from fgmfn.modeling import SentimentModel, parameters_at
from fgmfn.predictions import MEASURES
from fgmfn.settings import Selection

LOSS_PARTS = ("task_loss", "itc_loss", "mi_loss")
DEV_FIGURES = ("accuracy", "macro_f1", "loss", *LOSS_PARTS)


class Patience(TrainerCallback):
    """Ends a training without improvement for some epochs; the scores come from the log, which survives a resume."""

    def __init__(self, epochs: int, selection: Selection) -> None:
        self._epochs, self._selection = epochs, selection

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop if the best epoch so far is too long ago."""
        control.should_training_stop = is_over(state.log_history, self._epochs, self._selection)


def is_over(history: Sequence[Mapping[str, float]], patience: int | None, selection: Selection) -> bool:
    """Return whether the best epoch of a log is `patience` epochs or more before its last one."""
    scored = scored_epochs(history)
    return patience is not None and len(scored) > 0 and len(scored) - 1 - best_epoch(scored, selection) >= patience


def scored_epochs(history: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Return the entries of a log that are scores of development rows, one per epoch."""
    return [entry for entry in history if "eval_macro_f1" in entry]


def best_epoch(scored: Sequence[Mapping[str, float]], selection: Selection) -> int:
    """Return the index of the best epoch: by the chosen score, then the lower loss, then the earliest."""

    def rank(entry: Mapping[str, float]) -> tuple[float, float]:
        loss = entry["eval_loss"]
        spared = -loss if loss == loss else -math.inf  # a loss that is not a number is the worst
        return (spared if selection == "loss" else entry[f"eval_{selection}"]), spared

    return max(range(len(scored)), key=lambda place: rank(scored[place]))


class Thaw(TrainerCallback):
    """Keeps parts unchanged for the first epochs: their gradients are 0, and no step decays them.

    They always take part in the exchange between processes, which would otherwise not know them afterwards.
    """

    def __init__(self, model: SentimentModel, beginnings: Sequence[str], epochs: int) -> None:
        chosen = parameters_at(model, beginnings).values()
        # parameters that are never trained have no gradient to stop
        self._weights, self._epochs, self._frozen = [one for one in chosen if one.requires_grad], epochs, True
        for weight in self._weights:
            weight.register_hook(lambda gradient: torch.zeros_like(gradient) if self._frozen else gradient)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Unfreeze after the set number of epochs."""
        self._frozen = round(state.epoch or 0) < self._epochs

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Make the optimizer skip what is frozen."""
        for weight in self._weights if self._frozen else ():
            weight.grad = None


AfterEpoch = Callable[[int, float], None]
"""Called with an epoch's number and its macro-F1 on the development rows; may raise to end the training there."""


class Hooks(TrainerCallback):
    """Draws new crops in every epoch, clips weights to their bounds after every step, and calls a caller's function.

    Args:
        model: its `after_step` is called.
        rows: get the epoch's number; accelerate sets it only when it trains in one process.
        after_epoch: called after each epoch.
    """

    def __init__(self, model: SentimentModel, rows: SplitDataset, after_epoch: AfterEpoch | None) -> None:
        self._model, self._rows, self._after_epoch = model, rows, after_epoch

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Draw this epoch's crops."""
        self._rows.set_epoch(round(state.epoch or 0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Clip weights to their bounds."""
        self._model.after_step()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Call the caller's function."""
        if self._after_epoch is not None:
            self._after_epoch(round(state.epoch or 0), float(given["metrics"]["eval_macro_f1"]))


@dataclass(frozen=True)
class Epoch:
    """Report of one epoch of a training."""

    model: str
    number: int
    of: int
    losses: Mapping[str, float]
    """Means over the epoch: `loss`, and the parts of eq. 12 that the model has."""
    dev: Mapping[str, float]
    """`accuracy`, `macro_f1` and the same losses on the development rows; empty where there are none."""
    rows_per_s: float
    remaining_s: float
    """Time for the remaining epochs, if they take as long as this one."""
    flops_per_s: float
    """Operations per second of its training steps, on all devices: matrix products, convolutions, attention."""
    mfu: float | None
    """Share of the peak in the devices' data sheets; None for a CPU and for unknown GPUs."""

    def __str__(self) -> str:
        scores = [f"{MEASURES[name]} {self.dev[name]:.3f}" for name in MEASURES if name in self.dev]
        dev = [f"dev {', '.join([*scores, _losses(self.dev)])}"] if scores else []
        said = "; ".join([_losses(self.losses), *dev])
        left = f", {self.remaining_s / 60:.1f} min left" if self.number < self.of else ""
        use = f"{self.flops_per_s / 1e12:.3g} TFLOP/s" + ("" if self.mfu is None else f" (MFU {100 * self.mfu:.1f} %)")
        return f"{self.model}: epoch {self.number}/{self.of}: {said}; {self.rows_per_s:.1f} rows/s, {use}{left}"


def _losses(known: Mapping[str, float]) -> str:
    """Return the loss, followed in brackets by its parts other than the task's."""
    parts = [f"{name.removesuffix('_loss')} {known[name]:.3f}" for name in LOSS_PARTS if name in known]
    return f"loss {known['loss']:.3f}" + (f" ({', '.join(parts)})" if len(parts) > 1 else "")


OnEpoch = Callable[[Epoch], None]
"""Called after each epoch, in the process that reports."""


class EpochReports(TrainerCallback):
    """Reports each epoch to a caller: after its development rows are scored, or after its loss is known.

    Args:
        model: the model's title.
        rows: number of training rows.
        has_dev: there are development rows.
        on_epoch: the caller's function.
        peak: operations per second that all devices together may do, if it is known.
    """

    def __init__(self, model: str, rows: int, has_dev: bool, on_epoch: OnEpoch, peak: float | None) -> None:
        self._model, self._rows, self._has_dev, self._on_epoch, self._peak = model, rows, has_dev, on_epoch, peak
        self._started, self._flops_before, self._flops_per_s = time.monotonic(), 0.0, 0.0

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self._started, self._flops_before = time.monotonic(), state.total_flos

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Report the epoch as soon as all its figures are known."""
        if "loss" in given["logs"]:  # its steps are done, its development rows are not scored yet
            self._flops_per_s = (state.total_flos - self._flops_before) / (time.monotonic() - self._started)
        if not state.is_world_process_zero or ("eval_macro_f1" if self._has_dev else "loss") not in given["logs"]:
            return
        newest = {name: value for entry in state.log_history for name, value in entry.items()}
        number, took_s = round(state.epoch or 0), time.monotonic() - self._started
        self._on_epoch(
            Epoch(
                self._model,
                number,
                round(args.num_train_epochs),
                {name: newest[name] for name in ("loss", *LOSS_PARTS) if name in newest},
                {name: newest[f"eval_{name}"] for name in DEV_FIGURES if f"eval_{name}" in newest},
                self._rows / took_s,
                took_s * (round(args.num_train_epochs) - number),
                self._flops_per_s,
                self._flops_per_s / self._peak if self._peak else None,
            )
        )


class ProgressBar(TrainerCallback):
    """One bar over all steps on standard error; silent when that is not a terminal."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar at the step where training starts or resumes."""
        hidden = None if state.is_world_process_zero else True
        self._bar = tqdm(
            total=state.max_steps, initial=state.global_step, desc=self._title, unit="step", disable=hidden
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance the bar."""
        self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Show the newest loss and development score."""
        if self._bar is None:
            return
        newest = {name: value for entry in state.log_history for name, value in entry.items()}
        shown = {"loss": newest.get("loss"), "dev macro-F1": newest.get("eval_macro_f1")}
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items() if value is not None})

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leave the full bar on the terminal."""
        self._bar.close()
