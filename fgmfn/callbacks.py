"""What happens beside the steps of a training: parts that thaw, an end for lack of progress, reports of each epoch."""

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
    """Ends a training that has not become better for some epochs; the log says so, a resumed training's too."""

    def __init__(self, epochs: int, selection: Selection) -> None:
        self._epochs, self._selection = epochs, selection

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Look at the scores so far."""
        control.should_training_stop = is_over(state.log_history, self._epochs, self._selection)


def is_over(history: Sequence[Mapping[str, float]], patience: int | None, selection: Selection) -> bool:
    """Whether the last epoch of a log is so many epochs behind its best one."""
    scored = scored_epochs(history)
    return patience is not None and len(scored) > 0 and len(scored) - 1 - best_epoch(scored, selection) >= patience


def scored_epochs(history: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Return the entries of a log that are scores of development rows, one per epoch."""
    return [entry for entry in history if "eval_macro_f1" in entry]


def best_epoch(scored: Sequence[Mapping[str, float]], selection: Selection) -> int:
    """Return the place of the best of some epochs: by the chosen score, then by the lower loss, then the earliest."""

    def rank(entry: Mapping[str, float]) -> tuple[float, float]:
        loss = entry["eval_loss"]
        spared = -loss if loss == loss else -math.inf  # a loss that is no number is the worst
        return (spared if selection == "loss" else entry[f"eval_{selection}"]), spared

    return max(range(len(scored)), key=lambda place: rank(scored[place]))


class Thaw(TrainerCallback):
    """Keeps parts as they are for the first epochs: their gradients are 0, and no step decays them.

    They take part in the exchange between processes all the while, which would not know them afterwards.
    """

    def __init__(self, model: SentimentModel, beginnings: Sequence[str], epochs: int) -> None:
        chosen = parameters_at(model, beginnings).values()
        # what a model never trains has no gradient to stop
        self._weights, self._epochs, self._frozen = [one for one in chosen if one.requires_grad], epochs, True
        for weight in self._weights:
            weight.register_hook(lambda gradient: torch.zeros_like(gradient) if self._frozen else gradient)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Thaw when the time has come."""
        self._frozen = round(state.epoch or 0) < self._epochs

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Let the optimizer pass over what is frozen."""
        for weight in self._weights if self._frozen else ():
            weight.grad = None


AfterEpoch = Callable[[int, float], None]
"""Called with an epoch's number and its macro-F1 on the development rows; may raise to end the training there."""


class Hooks(TrainerCallback):
    """Fresh crops in every epoch, weights within their bounds after every step, and a caller's own function.

    Args:
        model: may put its weights back within bounds.
        rows: are told which epoch it is; accelerate tells them only when it trains in one process.
        after_epoch: called after each epoch.
    """

    def __init__(self, model: SentimentModel, rows: SplitDataset, after_epoch: AfterEpoch | None) -> None:
        self._model, self._rows, self._after_epoch = model, rows, after_epoch

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Draw this epoch's crops."""
        self._rows.set_epoch(round(state.epoch or 0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Put weights back within their bounds."""
        self._model.after_step()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Call the caller's function."""
        if self._after_epoch is not None:
            self._after_epoch(round(state.epoch or 0), float(given["metrics"]["eval_macro_f1"]))


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training, for those who watch it."""

    model: str
    number: int
    of: int
    losses: Mapping[str, float]
    """Means over the epoch: `loss`, and the parts of eq. 12 that the model has."""
    dev: Mapping[str, float]
    """`accuracy`, `macro_f1` and the same losses on the development rows; empty where there are none."""
    rows_per_s: float
    remaining_s: float
    """Time that the epochs to come will take, if they take as long as this one."""
    flops_per_s: float
    """Operations per second of its training steps, on all devices: matrix products, convolutions, attention."""
    mfu: float | None
    """Their share of what the devices' data sheets promise; None for a CPU, and for GPUs that are not known."""

    def __str__(self) -> str:
        scores = [f"{MEASURES[name]} {self.dev[name]:.3f}" for name in MEASURES if name in self.dev]
        dev = [f"dev {', '.join([*scores, _losses(self.dev)])}"] if scores else []
        said = "; ".join([_losses(self.losses), *dev])
        left = f", {self.remaining_s / 60:.1f} min left" if self.number < self.of else ""
        use = f"{self.flops_per_s / 1e12:.3g} TFLOP/s" + ("" if self.mfu is None else f" (MFU {100 * self.mfu:.1f} %)")
        return f"{self.model}: epoch {self.number}/{self.of}: {said}; {self.rows_per_s:.1f} rows/s, {use}{left}"


def _losses(known: Mapping[str, float]) -> str:
    """The loss, and behind it in brackets the parts that it has beside that of the task."""
    parts = [f"{name.removesuffix('_loss')} {known[name]:.3f}" for name in LOSS_PARTS if name in known]
    return f"loss {known['loss']:.3f}" + (f" ({', '.join(parts)})" if len(parts) > 1 else "")


OnEpoch = Callable[[Epoch], None]
"""Called after each epoch, in the process that reports."""


class EpochReports(TrainerCallback):
    """Tells a caller of each epoch: after its development rows are scored, or after its loss is known.

    Args:
        model: title.
        rows: of training.
        has_dev: there are development rows.
        on_epoch: the caller's.
        peak: operations per second that all devices together may do, if it is known.
    """

    def __init__(self, model: str, rows: int, has_dev: bool, on_epoch: OnEpoch, peak: float | None) -> None:
        self._model, self._rows, self._has_dev, self._on_epoch, self._peak = model, rows, has_dev, on_epoch, peak
        self._started, self._flops_before, self._flops_per_s = time.monotonic(), 0.0, 0.0

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self._started, self._flops_before = time.monotonic(), state.total_flos

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Tell of the epoch as soon as all is known of it."""
        if "loss" in given["logs"]:  # its steps are done, its development rows are not
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
        """Open the bar where training starts or resumes."""
        hidden = None if state.is_world_process_zero else True
        self._bar = tqdm(
            total=state.max_steps, initial=state.global_step, desc=self._title, unit="step", disable=hidden
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move on."""
        self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Show the newest loss and development score."""
        if self._bar is None:
            return
        newest = {name: value for entry in state.log_history for name, value in entry.items()}
        shown = {"loss": newest.get("loss"), "dev macro-F1": newest.get("eval_macro_f1")}
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items() if value is not None})

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leave the full bar standing."""
        self._bar.close()
