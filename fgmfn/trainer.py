"""transformers' Trainer as this package uses it: loss parts in the log, one progress bar, resume from what is whole."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler
from transformers import (
    EvalPrediction,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainingArguments,
)
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_NAME

from fgmfn.averaging import TRAINING_WEIGHTS, Averages
from fgmfn.callbacks import (
    LOSS_PARTS,
    AfterEpoch,
    EpochReports,
    Hooks,
    OnEpoch,
    Patience,
    ProgressBar,
    Thaw,
    best_epoch,
    scored_epochs,
)
from fgmfn.data import Collator, SplitDataset
from fgmfn.distributed import process_count, share_batch_statistics
from fgmfn.errors import ConfigError, DivergedError
from fgmfn.evaluation import score
from fgmfn.flops import peak_flops, training_flops
from fgmfn.modeling import SentimentModel, SentimentOutput, parameters_at
from fgmfn.processing import FgmfnProcessor
from fgmfn.settings import TrainingSettings

PREFETCHED = 4
"""Batches that each process of the loader has ready."""
OPTIMIZERS: dict[str, Any] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
FOR_RESUMING = (OPTIMIZER_NAME, TRAINING_WEIGHTS)
"""Files that only the newest checkpoint keeps."""
RESUMED_FROM = (SAFE_WEIGHTS_NAME, OPTIMIZER_NAME, SCHEDULER_NAME, "rng_state*.pth")
"""Files that a checkpoint needs, beside its state, for a resumed training to end as an undisturbed one."""


class SentimentTrainer(Trainer):
    """Logs eq. 12's parts and their sum, decays only weight matrices, and measures the duration of training."""

    def __init__(self, settings: TrainingSettings, processor: FgmfnProcessor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings, self._processor = settings, processor
        self._parts: dict[str, list[torch.Tensor]] = {}
        """By name, `eval_` before those of development rows: a loss's sum over each batch's rows, and their number."""
        self._network, self._row_flops = self.model, dict[tuple[Any, ...], int]()
        self._lap_started = time.monotonic()
        self._averages = Averages(self.model, settings.ema_decay) if settings.ema_decay else None
        if self._averages:
            self.add_callback(self._averages)

    def _averaged(self) -> AbstractContextManager[None]:
        """Give the model its averaged weights within the block, if the settings enable them."""
        return self._averages.in_place() if self._averages else nullcontext()

    def evaluate(self, *given: Any, **named: Any) -> dict[str, float]:
        """Score the weights that are kept."""
        with self._averaged():
            scores: dict[str, float] = super().evaluate(*given, **named)
        return scores

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        """Load the weights of a checkpoint, and those that train on where it holds averages."""
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self._averages:
            self._averages.resume(Path(resume_from_checkpoint))

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Normalise pictures on the model's device; as bytes, they are a quarter as large to transfer."""
        prepared: dict[str, Any] = super()._prepare_inputs(inputs)
        if "pixel_values" in prepared and prepared["pixel_values"].ndim == 4:  # not encoded already
            prepared["pixel_values"] = self._processor.normalize(prepared["pixel_values"])
        return prepared

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return the operations of a step over a process's batch; they are counted once per shape of a row."""
        row = {name: values[:1] for name, values in inputs.items() if name != "labels"}
        shapes = tuple(tuple(values.shape) for values in row.values())
        if shapes not in self._row_flops:
            self._row_flops[shapes] = training_flops(self._network, self._prepare_inputs(row))
        return len(inputs["labels"]) * self._row_flops[shapes]

    def precision(self) -> str:
        """Return the precision of matrix products: `bf16`, `tf32` or `fp32`."""
        return "bf16" if self.args.bf16 else "tf32" if self.args.tf32 else "fp32"

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Draw rows by their length where the settings say so."""
        if not self._settings.by_length or not (lengths := self.train_dataset.lengths):
            return super()._get_train_sampler(train_dataset)
        return ByLength(lengths, self._settings.batch_size, self._settings.seed, self.train_dataset)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Return the batch's loss and note its parts while training."""
        outputs: SentimentOutput = model(**inputs)
        rows, before = len(inputs["labels"]), "" if model.training else "eval_"
        for name in LOSS_PARTS:
            if outputs.get(name) is not None:
                total = outputs[name].detach().float() * rows
                self._parts.setdefault(before + name, []).append(torch.stack([total, torch.full_like(total, rows)]))
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the parts' means since the last log, and the time since then, to a training or evaluation log."""
        if "eval_loss" in logs:
            logs |= self._means("eval_")
        elif "loss" in logs:
            losses = self._parts.get("task_loss", [])
            logs |= self._means("")
            self.refuse_divergence(logs, losses)
            logs["lap_runtime"] = self._lap_s()
            self._lap_started = time.monotonic()
        super().log(logs, start_time)

    def refuse_divergence(self, logs: Mapping[str, float], losses: Sequence[torch.Tensor] = ()) -> None:
        """End a diverged training before anything of it is scored or kept.

        Args:
            logs: of the epoch.
            losses: of each of its batches in this process.

        Raises:
            DivergedError: A loss or a weight is not finite.
        """
        broken = [name for name in ("loss", *LOSS_PARTS) if not np.isfinite(logs.get(name, 0.0))]
        weights = self.model.state_dict().items()
        broken += [name for name, value in weights if value.is_floating_point() and not value.isfinite().all()]
        if not broken:
            return
        numbers = (number for number, loss in enumerate(losses) if not loss.isfinite().all())
        number = next(numbers, None)
        step = "" if number is None else f", step {number // self.args.gradient_accumulation_steps + 1}"
        epoch, rates = np.ceil(self.state.epoch or 0), self._settings.learning_rates
        raise DivergedError(
            f"training diverged in epoch {epoch:.0f}{step}: {broken[0]} is not finite; lower [training] "
            f"learning_rate = {self._settings.learning_rate:g}"
            f"{''.join(f', learning_rates.{part} = {rate:g}' for part, rate in rates.items())} "
            f"or max_gradient_norm = {self._settings.max_gradient_norm:g}"
        )

    def _means(self, before: str) -> dict[str, float]:
        """Mean over the rows of all processes of each part."""
        found = {name: self._parts.pop(before + name) for name in LOSS_PARTS if before + name in self._parts}
        sums = self.accelerator.reduce({name: torch.stack(values).sum(dim=0) for name, values in found.items()}, "sum")
        return {before + name: float(total / rows) for name, (total, rows) in sums.items()}

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Choose among all epochs so far, equal ones by their loss."""
        scored, selection = scored_epochs(self.state.log_history), self._settings.selection
        if best_epoch(scored, selection) < len(scored) - 1:
            return False
        self.state.best_metric, self.state.best_global_step = metrics[f"eval_{selection}"], self.state.global_step
        return True

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Save a checkpoint; older ones keep their weights, and lose the optimizer's state, twice as large."""
        folder = Path(self.args.output_dir)
        newest = folder / f"checkpoint-{self.state.global_step}"
        if self._averages and self.args.should_save:
            self._averages.save_training_weights(newest)
        with self._averaged():
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            for file in (file for name in FOR_RESUMING for file in folder.glob(f"checkpoint-*/{name}")):
                if file.parent != newest:
                    file.unlink()

    def seconds(self) -> float:
        """Return how long training has taken, the epochs of a run that was stopped and resumed included."""
        return sum(entry.get("lap_runtime", 0.0) for entry in self.state.log_history) + self._lap_s()

    def _lap_s(self) -> float:
        return time.monotonic() - self._lap_started

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Group parameters by their learning rate, and those of a rate by whether they decay."""
        if getattr(self, "optimizer", None) is None:
            settings, decaying = self._settings, set(self.get_decay_parameter_names(self.model))
            groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
            for name, rate in learning_rates(self.model, settings).items():
                groups.setdefault((rate, name not in decaying), []).append(self.model.get_parameter(name))
            self.optimizer: Any = OPTIMIZERS[settings.optimizer](
                [
                    {"params": weights, "lr": rate, "weight_decay": 0.0 if free else settings.weight_decay}
                    for (rate, free), weights in sorted(groups.items(), key=lambda group: group[0])
                ],
                lr=settings.learning_rate,
                fused=True,
            )
        optimizer: torch.optim.Optimizer = self.optimizer
        return optimizer

    def get_decay_parameter_names(self, model: torch.nn.Module) -> list[str]:
        """Leave out what is not a matrix: biases, norms' gains, the temperature, the CRF's transitions."""
        vectors = {name for name, parameter in model.named_parameters() if parameter.ndim < 2}
        return [name for name in super().get_decay_parameter_names(model) if name not in vectors]


MEGABATCH = 50
"""Batches whose rows are sorted together."""


class ByLength(Sampler[int]):
    """Rows in batches of similar length, the batches in a drawn order; the same for the same seed and epoch.

    Args:
        lengths: of the rows.
        batch_size: rows of a step, on all devices.
        seed: of the drawing.
        rows: know which epoch it is.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, rows: SplitDataset) -> None:
        self._lengths, self._batch_size, self._seed, self._rows = np.asarray(lengths), batch_size, seed, rows

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self._seed, self._rows.epoch))
        order, size = rng.permutation(len(self)), MEGABATCH * self._batch_size
        pieces = [order[first : first + size] for first in range(0, len(order), size)]
        ordered = np.concatenate([piece[np.argsort(-self._lengths[piece], kind="stable")] for piece in pieces])
        whole = len(ordered) - len(ordered) % self._batch_size
        batches = rng.permutation(ordered[:whole].reshape(-1, self._batch_size))
        return iter([*batches.ravel().tolist(), *ordered[whole:].tolist()])


LAYER = re.compile(r"text_encoder\.(?:\w+\.)*?layers?\.(\d+)\.")


def learning_rates(model: torch.nn.Module, settings: TrainingSettings) -> dict[str, float]:
    """Return the learning rate of each parameter that trains.

    Raises:
        ConfigError: The settings name a part that the model does not have.
    """
    named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    rates = dict.fromkeys(named, settings.learning_rate)
    for beginning in sorted(settings.learning_rates, key=len):
        rates |= dict.fromkeys(parameters_at(model, [beginning]), settings.learning_rates[beginning])
    layers = {name: int(match[1]) for name in named if (match := LAYER.match(name))}
    top = max(layers.values(), default=-1)
    for name in named:
        if name.startswith("text_encoder."):  # embeddings lie below the first layer
            below = top - layers.get(name, -1 if "embed" in name else top)
            rates[name] *= settings.layer_decay**below
    return {name: rates[name] for name in named}


def make_trainer(
    model: SentimentModel,
    processor: FgmfnProcessor,
    train: SplitDataset,
    dev: SplitDataset | None,
    *,
    settings: TrainingSettings,
    checkpoints: Path,
    title: str,
    progress: bool,
    after_epoch: AfterEpoch | None = None,
    on_epoch: OnEpoch | None = None,
) -> SentimentTrainer:
    """Set up training: a checkpoint per epoch, the best one chosen by the development split.

    Without a development split nothing can be chosen by it: the last epoch's weights stay.
    """
    share_batch_statistics(model)
    check_reports(settings)
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    trainer = SentimentTrainer(
        settings,
        processor,
        model=model,
        args=_arguments(settings, checkpoints, has_dev=dev is not None),
        train_dataset=train,
        eval_dataset=dev,
        data_collator=Collator(processor, model.inputs, normalize=False),
        compute_metrics=_development_scores,
    )
    # The trainer has seeded all processes alike: rows of one place in them would be dropped out alike.
    torch.manual_seed(settings.seed + trainer.args.process_index)
    # Both of them write to standard output, which belongs to results.
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Hooks(model, train, after_epoch))
    if settings.freeze and settings.freeze_epochs:
        trainer.add_callback(Thaw(model, settings.freeze, settings.freeze_epochs))
    if settings.patience and dev is not None:
        trainer.add_callback(Patience(settings.patience, settings.selection))
    if on_epoch:
        peak = devices_peak(trainer.precision())
        trainer.add_callback(EpochReports(title, len(train), dev is not None, on_epoch, peak))
    if progress:
        trainer.add_callback(ProgressBar(title))
    return trainer


def devices_peak(precision: str) -> float | None:
    """Return the operations per second that all processes' GPUs may do; None where that is not known."""
    peak = peak_flops(torch.cuda.get_device_name(), precision) if torch.cuda.is_available() else None
    return peak and peak * process_count()


def check_reports(settings: TrainingSettings) -> None:
    """Refuse to report by a package that is not installed.

    Raises:
        ConfigError: It must be installed first.
    """
    for name in settings.report_to:
        if not any(map(importlib.util.find_spec, PACKAGES.get(name, (name,)))):
            raise ConfigError(f"setting [training] report_to = {name!r}: not installed here; run pip install {name}")


PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}


class Arguments(TrainingArguments):
    """One device per process: where several are visible, transformers would split each batch among their copies."""

    @property
    def n_gpu(self) -> int:
        """Devices of this process."""
        return min(1, int(super().n_gpu))


def _arguments(settings: TrainingSettings, checkpoints: Path, *, has_dev: bool) -> TrainingArguments:
    """Translate our settings into transformers'."""
    on_cuda = torch.cuda.is_available()
    if "tensorboard" in settings.report_to:  # beside the checkpoints, which are removed in the end
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(checkpoints.parent / "tensorboard"))
    workers = _workers(settings.workers, on_cuda)
    return Arguments(
        output_dir=str(checkpoints),
        use_cpu=not torch.accelerator.is_available(),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size // process_count() // settings.accumulation,
        gradient_accumulation_steps=settings.accumulation,
        # Whole batches, as one process would score them: the contrastive loss depends on a batch's size.
        per_device_eval_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup,
        max_grad_norm=settings.max_gradient_norm,
        lr_scheduler_type=settings.schedule,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=on_cuda and torch.cuda.is_bf16_supported(),
        eval_strategy="epoch" if has_dev else "no",
        save_strategy="epoch",
        logging_strategy="epoch",
        # Looking at each step's loss would let a GPU wait, and what it found would stand in no log.
        logging_nan_inf_filter=False,
        save_total_limit=1,
        load_best_model_at_end=has_dev,
        metric_for_best_model=settings.selection if has_dev else None,
        greater_is_better=settings.selection != "loss" if has_dev else None,
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        dataloader_prefetch_factor=PREFETCHED if workers else None,
        dataloader_pin_memory=on_cuda,
        accelerator_config={"non_blocking": on_cuda},
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to=list(settings.report_to) or "none",
        run_name=checkpoints.parent.name,
        torch_compile=settings.compile,
        tf32=True if settings.tf32 and on_cuda else None,
        disable_tqdm=True,
    )


def _development_scores(evaluated: EvalPrediction) -> dict[str, float]:
    """Score an epoch by its logits, [rows, C]."""
    logits = evaluated.predictions
    metrics = score(evaluated.label_ids, logits.argmax(axis=-1), logits.shape[-1])
    return {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1}


def _workers(wanted: int | None, on_cuda: bool) -> int:
    if wanted is not None:
        return wanted
    return min(8, max(1, (torch.get_num_threads() or 1) - 1)) if on_cuda else 0


def last_whole_checkpoint(checkpoints: Path, settings: TrainingSettings | None = None) -> Path | None:
    """Return the newest checkpoint that a killed run wrote to its end; its state file is the last it writes.

    Args:
        checkpoints: their folder.
        settings: of the training; averaged weights need a file more.
    """
    wanted = (*RESUMED_FROM, *([TRAINING_WEIGHTS] if settings and settings.ema_decay else []))
    numbered = {
        int(match[1]): folder
        for folder in checkpoints.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", folder.name))
    }
    return next((numbered[step] for step in sorted(numbered, reverse=True) if _is_whole(numbered[step], wanted)), None)


def _is_whole(folder: Path, files: Sequence[str]) -> bool:
    try:
        json.loads((folder / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # Removing an outdated checkpoint may have been cut short as well, and each process writes its own random state.
    wanted = {name: process_count() if "*" in name else 1 for name in files}
    return all(len(list(folder.glob(name))) >= number for name, number in wanted.items())
