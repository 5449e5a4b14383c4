"""From data to trained models: each in its own folder, finished once, resumed where it was killed.

A run's folder is named after the model and a key of its settings and the data's rows, so that a second
call with the same of both finds the first one's results, and any other call trains beside it.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from transformers import TrainerState, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from fgmfn.baselines import MODELS, check_models, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.building import build_model, model_config
from fgmfn.callbacks import AfterEpoch, Epoch, OnEpoch, is_over, scored_epochs
from fgmfn.card import model_card
from fgmfn.configuration import PiecesConfig
from fgmfn.console import quiet_libraries
from fgmfn.data import Rows, Source, SplitDataset, open_source
from fgmfn.data.batches import sentence_lengths
from fgmfn.data.encoded import keep_encoded
from fgmfn.data.overlap import linked
from fgmfn.data.prepared import Cache
from fgmfn.data.rows import look_at_all
from fgmfn.distributed import from_first_process, is_first_process, join_processes
from fgmfn.environment import environment
from fgmfn.errors import FgmfnError, MemoryExhaustedError, RunInProgressError
from fgmfn.evaluation import Metrics, bracket
from fgmfn.history import draw_history, draw_reliability, epochs_so_far, epochs_until
from fgmfn.inference import Checkpoint, Predictor
from fgmfn.modeling import SentimentModel
from fgmfn.planning import Run, code_version, open_cache, plan_run
from fgmfn.predictions import METRICS, PREDICTIONS, file_digest, predictions_file
from fgmfn.processing import Augmentation, FgmfnProcessor
from fgmfn.recording import PartsRecorder
from fgmfn.scoring import calibrate_by, measure_split, prediction_table, split_logits
from fgmfn.settings import load_settings
from fgmfn.sizes import out_of_memory, parameter_counts
from fgmfn.trainer import last_whole_checkpoint, make_trainer

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainedModel:
    """One model of a comparison and where its weights lie."""

    model: str
    checkpoint: Path
    dev: Metrics | None
    test: Metrics | None
    already_trained: bool
    seconds: float
    """Duration of its training, a resumed run's earlier epochs included."""
    notes: tuple[str, ...] = ()
    """Notes for a reader of the scores."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Checksum of each split's rows."""
    departures: tuple[str, ...] = ()
    """Of the notes, those that say in what the model is not its paper's."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return json.loads(json.dumps(asdict(self), default=str))


def train_models(
    data: Path | str | Source,
    config: Path | str | None,
    output: Path,
    models: Sequence[str] = ("fgmfn", "text_only"),
    seed: int | None = None,
    from_scratch: bool = False,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
) -> list[TrainedModel]:
    """Train models of the comparison on the same rows, one after the other; what is trained already is only read.

    Args:
        data: an open source, or what `open_source` opens: a release, `twitter2015`, a table.
        config: a TOML file of settings, or the name of a shipped one such as `tiny` or `ytb_ads`; None trains
            every model by its own recipe, FGMFN by the column of Table 3 for these data.
        output: where each model gets its folder: weights, processor, metrics.json, README.md.
        models: names from `fgmfn.baselines.MODELS`.
        seed: replaces the configuration's seed.
        from_scratch: start the encoders at random and download nothing.
        progress: show a bar on standard error, if that is a terminal.
        on_epoch: told of every epoch of the models that train in steps.

    Raises:
        ConfigError: A setting or a model's name is wrong.
        DataError: The data cannot be trained on, or a model looks at pictures that are not there.
        WeightsError: Pretrained weights cannot be had.
        RunInProgressError: Another process is training into the same folder.
    """
    names = check_models(models)
    source = data if isinstance(data, Source) else open_source(data, load_settings(config).source)
    runs = [plan_run(name, source, config, output, seed=seed, from_scratch=from_scratch) for name in names]
    return [train_run(run, progress=progress, on_epoch=on_epoch) for run in runs]


def train_run(
    run: Run, *, progress: bool = True, after_epoch: AfterEpoch | None = None, on_epoch: OnEpoch | None = None
) -> TrainedModel:
    """Train one run, go on with it where it was stopped, or read its result if it has finished.

    Args:
        run: from `plan_run`.
        progress: show a bar on standard error, if that is a terminal.
        after_epoch: for models that train in steps.
        on_epoch: told of every epoch of such models.

    Raises:
        ConfigError: Settings contradict each other.
        WeightsError: Pretrained weights cannot be had.
        RunInProgressError: Another process is training into the same folder.
        MemoryExhaustedError: Memory has run out.
        DivergedError: The loss or the weights are no longer finite.
    """
    join_processes()
    with quiet_libraries(), _locked(run.folder):
        finished = from_first_process(lambda: read_trained(run.folder))
        if finished is None:
            try:
                return _train(run, progress, after_epoch, on_epoch)
            except (RuntimeError, MemoryError) as error:
                if (reason := out_of_memory(error)) is None:
                    raise
                raise MemoryExhaustedError(f"{reason}\n{run.name}: memory ran out; {_lighter(run)}") from error
        if is_first_process():
            # The finishing process may have been killed here.
            shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)
        return finished


def _lighter(run: Run) -> str:
    """Name the settings that let a training need less memory, those first that change its results least."""
    kind, training = model_class(run.name), run.settings.training
    if issubclass(kind, FittedModel):
        return "it is fitted on all training rows at once and needs a machine with more"
    rows = training.batch_size // run.devices["count"] // training.accumulation
    ways = []
    recomputable = kind.recomputed_parts if issubclass(kind.config_class, PiecesConfig) else ()
    if not training.gradient_checkpointing and recomputable and "text" in kind.modalities:
        ways.append("set [training] gradient_checkpointing = true")
    if rows > 1:
        ways.append(f"raise [training] accumulation = {training.accumulation} ({rows} rows at a time now)")
        ways.append(f"lower [training] batch_size = {training.batch_size}")
    if kind.inputs.sentences:
        ways.append("lower [data] max_tokens")
    if kind.inputs.pictures:
        ways.append("lower image_size of the model, or choose a smaller backbone")
    return "one of these needs less: " + "; ".join(ways)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one training at a time into a folder; the lock of a killed process ends with it."""
    lock = FileLock(folder / ".lock")
    from_first_process(lambda: _acquire(lock, folder))
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunInProgressError(f"{folder}: another process is training here; wait for it or stop it") from error


def read_trained(folder: Path) -> TrainedModel | None:
    """Return the result of a finished run, or None where none has finished yet.

    A run has finished when its scores and all files that were scored, weights and configuration among them, are there.

    Raises:
        FgmfnError: The run's metrics.json is damaged, or a file is not the one that was scored.
    """
    file = folder / METRICS
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record.get("finished") is False:
            return None
        files = record["files"]
        if not all((folder / name).is_file() for name in files):
            log.warning("%s: scores without the weights they belong to; it is trained anew", folder)
            return None
        other = next((name for name, digest in files.items() if file_digest(folder / name) != digest), None)
        if other:
            raise FgmfnError(f"{folder / other}: not the file that was scored; remove the folder to train again")
        dev, test = (Metrics.from_json(record[split]) if record[split] else None for split in ("dev", "test"))
        return TrainedModel(
            record["model"],
            folder,
            dev,
            test,
            True,
            float(record["seconds"]),
            tuple(record["notes"]),
            record.get("checksums", {}),
            tuple(record["departures"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FgmfnError(f"{file}: damaged ({error!r}); remove the folder to train again") from error


def _train(run: Run, progress: bool, after_epoch: AfterEpoch | None, on_epoch: OnEpoch | None) -> TrainedModel:
    set_seed(run.settings.training.seed)
    kind = model_class(run.name)
    if issubclass(kind, FittedModel):
        if "image" in kind.modalities:
            from_first_process(lambda: run.source.check_pictures(progress=progress))
        from_first_process(lambda: _fit(run, kind, progress))
    else:
        _train_in_steps(run, kind, progress, after_epoch, on_epoch)
    finished = from_first_process(lambda: read_trained(run.folder))
    if finished is None:
        raise FgmfnError(f"{run.folder}: training ended without {METRICS}")
    return TrainedModel(**(vars(finished) | {"already_trained": False}))


def _fit(run: Run, kind: type[FittedModel], progress: bool) -> None:
    started, splits = time.monotonic(), run.source.splits
    model = kind(model_config(kind, run.settings.model, run.source.class_names))
    chosen = model.fit(splits["train"], splits["validation"], run.settings.training.seed, progress=progress)
    _finish(run, model, None, {}, time.monotonic() - started, [chosen], progress=False)


def _train_in_steps(
    run: Run,
    kind: type[SentimentModel],
    progress: bool,
    after_epoch: AfterEpoch | None,
    on_epoch: OnEpoch | None,
) -> None:
    model, processor = build_model(kind, run.settings, run.source.splits["train"], run.source.class_names)
    training, prepared = run.settings.training, _prepare(run, processor, model, progress=progress)
    at_once = run.devices["batch_size"] // training.accumulation
    recorder = PartsRecorder(model, processor, prepared["train"], at_once=at_once, seed=training.seed)
    trainer = make_trainer(
        model,
        processor,
        prepared["train"],
        prepared["validation"] if run.has_dev else None,
        settings=training,
        checkpoints=run.folder / CHECKPOINTS,
        title=MODELS[run.name].title,
        progress=progress,
        after_epoch=after_epoch,
        on_epoch=partial(_report, run, progress, on_epoch, recorder),
    )
    trainer.add_callback(recorder)
    resumed_from = from_first_process(lambda: last_whole_checkpoint(run.folder / CHECKPOINTS, training))
    if resumed_from:
        if is_first_process():
            log.info("%s: goes on from %s, where an earlier run was stopped", run.name, resumed_from.name)
        state = TrainerState.load_from_json(str(resumed_from / TRAINER_STATE_NAME))
        if is_over(state.log_history, training.patience, training.selection):  # it was stopped after its last epoch
            trainer.args.num_train_epochs = round(state.epoch or 0)
    with warnings.catch_warnings():
        # A resumed schedule is stepped before its optimizer once; PyTorch warns about that order.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        # Gradients of 1 x 1 convolutions lie otherwise in memory than their weights, as the faster kernels leave them.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    trainer.refuse_divergence({})
    if trainer.is_world_process_zero():
        history = [
            {name: value for name, value in entry.items() if "per_second" not in name and "runtime" not in name}
            for entry in trainer.state.log_history
        ]
        best: SentimentModel = trainer.accelerator.unwrap_model(trainer.model).eval()
        _finish(run, best, processor, prepared, trainer.seconds(), history, progress)
    trainer.accelerator.wait_for_everyone()


def _prepare(run: Run, processor: FgmfnProcessor, model: SentimentModel, *, progress: bool) -> dict[str, SplitDataset]:
    """Open all splits in the cache, which the first process fills; without one, look at all pictures beforehand."""
    data, source, opened, inputs = run.settings.data, run.source, dict[str, SplitDataset](), model.inputs
    changing = data.augment and (data.fit != "squash" or data.min_crop < 1 or data.mirror)
    augmentation = Augmentation(data.min_crop, data.mirror, run.settings.training.seed) if changing else None

    def open_all(cache: Cache | None) -> None:
        names = {id(rows): split for split, rows in source.splits.items()}

        def open_one(rows: Rows) -> None:
            split = names[id(rows)]
            opened[split] = SplitDataset(
                rows,
                processor,
                inputs,
                augmentation=augmentation if split == "train" else None,
                cache=cache,
                name=f"{source.name}, {split}",
                progress=progress,
            )

        look_at_all(source.splits.values(), open_one)
        if cache is not None and data.cache_encoded:
            for split, rows in opened.items():
                keep_encoded(cache, rows, model, processor, f"{source.name}, {split}", progress=progress)

    if data.cache_gb:
        cache = open_cache(data)
        try:
            from_first_process(lambda: open_all(cache))
            if not is_first_process():
                open_all(cache)
            return opened
        except OSError as error:
            log.warning("%s: cannot be written (%s); pictures are decoded in every epoch", cache.folder, error)
    if inputs.pictures:
        from_first_process(lambda: source.check_pictures(progress=progress))
    open_all(None)
    return opened


def _report(run: Run, progress: bool, on_epoch: OnEpoch | None, recorder: PartsRecorder, epoch: Epoch) -> None:
    epochs = epochs_until(run.folder, epoch, recorder.newest)
    _write_record(run, {"finished": False, "epochs": epochs})
    draw_history(run.folder, epochs)
    if on_epoch is not None:
        on_epoch(epoch)
    elif progress and not sys.stderr.isatty():  # a terminal shows a bar
        log.info("%s", epoch)


def _finish(
    run: Run,
    model: SentimentModel | FittedModel,
    processor: FgmfnProcessor | None,
    prepared: Mapping[str, SplitDataset],
    seconds: float,
    history: list[dict[str, Any]],
    progress: bool,
) -> None:
    """Predict both splits once with the chosen weights and write the run's files; metrics.json comes last."""
    words = run.source.splits["train"].words
    checkpoint = Checkpoint(run.folder, run.name, model, processor, run.source.row_set_hash, words=words)
    answered = {
        split: split_logits(checkpoint, run.source, split, progress=progress, prepared=prepared.get(split))
        for split in ("validation", "test")
        if len(run.source.splits[split])
    }
    calibrated = calibrate_by(run.source, answered["validation"]) if run.has_dev else None
    predictor = Predictor(replace(checkpoint, calibration=calibrated))
    dev, test = (
        measure_split(run.source, split, answered[split], calibrated) if run.source.splits[split].scorable else None
        for split in ("validation", "test")
    )
    unsure = _unsure_choice(run, dev, history)
    for note in unsure:
        log.warning("%s: %s", run.name, note)
    sizes = model.parameter_counts() if isinstance(model, FittedModel) else parameter_counts(model)
    record = {
        "finished": True,
        "dev": dev and dev.as_json(),
        "test": test and test.as_json(),
        "calibration": calibrated and calibrated.as_json(),
        "notes": [*_notes(run, model), *unsure, *_cut_texts(run, model, processor)],
        "departures": list(model.departures()),
        "checksums": run.source.checksums,
        "cases": run.source.case_checksums,
        "parameters": dict(zip(("total", "trainable"), sizes, strict=True)) if sizes else None,
        "config": model.config.to_dict(),
        "loaded": [asdict(part) for part in model.loaded],
        "epochs": epochs_so_far(run.folder),
        "history": history,
        "seconds": round(seconds, 1),
        "environment": environment(),
    }
    tables = {
        split: prediction_table(run.source, split, predictor.probabilities(logits))
        for split, logits in answered.items()
    }
    if (scored := test or dev) and scored.calibration:
        draw_reliability(run.folder, scored.calibration)
    record["files"] = _save(run.folder, model, processor, tables)
    (run.folder / "README.md").write_text(model_card(_origin(run) | record, MODELS[run.name].title), encoding="utf-8")
    _write_record(run, record)
    shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)


def _origin(run: Run) -> dict[str, Any]:
    """Return the entries of a training's record that are known before its end."""
    return {
        "model": run.name,
        "code_version": code_version(run.name),
        "class_names": list(run.source.class_names),
        "has_targets": run.source.splits["train"].has_targets,
        "words": run.source.splits["train"].words,
        "seed": run.settings.training.seed,
        "release": run.source.name,
        "row_set_hash": run.source.row_set_hash,
        "synthetic": run.source.synthetic,
        "rows": {split: len(rows) for split, rows in run.source.splits.items()},
        "settings": run.settings.as_json(),
        "devices": run.devices,
    }


def _write_record(run: Run, record: dict[str, Any]) -> None:
    """Write metrics.json as a whole: killed at any time, it is the former one."""
    beside = run.folder / f".{METRICS}"
    beside.write_text(json.dumps(_origin(run) | record, indent=2, default=str) + "\n", encoding="utf-8")
    beside.replace(run.folder / METRICS)


def _save(
    folder: Path,
    model: SentimentModel | FittedModel,
    processor: FgmfnProcessor | None,
    predictions: Mapping[str, pa.Table],
) -> dict[str, str]:
    """Write what a prediction needs, and predictions; return the digest of each file, by its name in the folder."""
    saved = folder / ".saved"
    shutil.rmtree(saved, ignore_errors=True)  # of a process that was killed here
    saved.mkdir()
    model.save_pretrained(saved)
    if processor is not None:
        processor.save_pretrained(saved)
    (saved / PREDICTIONS).mkdir()
    for split, table in predictions.items():
        pq.write_table(table, saved / predictions_file(split))
    files = sorted(path for path in saved.rglob("*") if path.is_file())
    digests = {path.relative_to(saved).as_posix(): file_digest(path) for path in files}
    for path, name in zip(files, digests, strict=True):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        path.replace(folder / name)
    shutil.rmtree(saved)
    return digests


FEWEST_GROUPS = 30
"""Ads of a class by which an epoch can be chosen: with fewer, a recall of one half is known to +- 18 points at best."""


def _unsure_choice(run: Run, dev: Metrics | None, history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say that the development split is too small to choose by, where it has too few groups of some class."""
    if dev is None:
        return []
    rows, names = run.source.splits["validation"], run.source.class_names
    groups = {name: set[str]() for name in names}
    for label, group in zip(rows.label, linked(rows, grouped=True), strict=True):
        groups[names[label]].add(group)
    few = {name: len(those) for name, those in groups.items() if 0 < len(those) < FEWEST_GROUPS}
    if not few:
        return []
    counted = ", ".join(f"{count} group{'s' * (count > 1)} of class {name}" for name, count in few.items())
    scored, selection = scored_epochs(history), run.settings.training.selection
    interval = dev.accuracy_interval if selection == "accuracy" else dev.macro_f1_interval
    within = ""
    if interval and scored and selection != "loss":
        low, high = interval
        held = sum(low <= entry[f"eval_{selection}"] <= high for entry in scored)
        within = f"; the chosen epoch's 95 % interval {bracket(interval)} holds the scores of {held} of {len(scored)}"
    return [f"the validation split is too small to choose by ({counted}, fewer than {FEWEST_GROUPS}){within}"]


def _cut_texts(run: Run, model: SentimentModel | FittedModel, processor: FgmfnProcessor | None) -> list[str]:
    """Say how many texts are longer than the model reads; a fitted model has limits of its own."""
    if processor is None or isinstance(model, FittedModel) or not model.inputs.sentences:
        return []
    longest, cut = processor.max_tokens, {}
    for split, rows in run.source.splits.items():
        number = sum(length > longest for length in sentence_lengths(rows, processor, model.inputs))
        if number:
            cut[split] = f"{number} of {len(rows)} {split} texts"
    return [f"texts are cut to {longest} tokens: {', '.join(cut.values())}"] if cut else []


def _notes(run: Run, model: SentimentModel | FittedModel) -> list[str]:
    splits, names = run.source.splits, run.source.class_names
    notes = [*run.source.notes, *model.departures()]
    if run.source.synthetic:
        notes.append("trained and scored on synthetic data: the scores say nothing about real ads")
    if not run.has_dev:
        notes.append("the data have no validation rows: the last epoch's weights were kept, unchosen")
    if not len(splits["test"]):
        notes.append("the data have no test rows: nothing was tested")
    for split in (split for split in ("validation", "test") if splits[split].scorable):
        present = {names[number] for number in splits[split].label}
        if present and len(present) < len(names):
            notes.append(
                f"the {split} split has no row of class {', '.join(sorted(set(names) - present))}: "
                f"its macro-F1 counts that class as 0"
            )
    return notes
