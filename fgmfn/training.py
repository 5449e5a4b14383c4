"""From a release to trained models: each in its own folder, finished once, resumed where it was killed.

A run's folder is named after the model and a key of its settings and the release's rows, so that a second
call with the same of both finds the first one's results, and any other call trains beside it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from transformers import set_seed

from fgmfn.baselines import MODELS, check_models, model_class
from fgmfn.card import model_card
from fgmfn.configuration import FgmfnConfig
from fgmfn.data import Release, SplitDataset, find_release, open_release
from fgmfn.encoders import parameter_counts, pretrained_text_config
from fgmfn.errors import ConfigError, FgmfnError, RunInProgressError
from fgmfn.evaluation import Metrics
from fgmfn.inference import METRICS, Checkpoint, evaluate_split
from fgmfn.modeling import SentimentModel
from fgmfn.processing import Augmentation, FgmfnProcessor, image_processor, pretrained_tokenizer, train_tokenizer
from fgmfn.quiet import quiet_libraries
from fgmfn.settings import RunSettings, load_settings
from fgmfn.trainer import SentimentTrainer, last_whole_checkpoint, make_trainer

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
RECIPE = 1
"""Part of a run's key; counts up when the same settings and rows would no longer train to the same weights."""


@dataclass(frozen=True)
class TrainedModel:
    """One model of a comparison and where its weights lie."""

    model: str
    checkpoint: Path
    dev: Metrics | None
    test: Metrics | None
    already_trained: bool
    seconds: float
    """How long its training took, whenever that was; a resumed run's earlier epochs included."""
    notes: tuple[str, ...] = ()
    """What a reader of the scores must know."""


@dataclass(frozen=True)
class _Run:
    """One model to train: everything its result depends on."""

    name: str
    settings: RunSettings
    release: Release
    folder: Path

    @property
    def has_dev(self) -> bool:
        return len(self.release.splits["validation"]) > 0


def train_models(
    release: Path,
    config: Path | str,
    output: Path,
    models: Sequence[str] = ("fgmfn", "text_only"),
    seed: int | None = None,
    from_scratch: bool = False,
    progress: bool = True,
) -> list[TrainedModel]:
    """Train models of the comparison on a release, one after the other; what is trained already is only read.

    Args:
        release: a release folder, or a folder of releases, of which the newest is taken.
        config: a TOML file of settings, or the name of a shipped one such as `tiny` or `ytb_ads`.
        output: where each model gets its folder: weights, processor, metrics.json, README.md.
        models: names from `fgmfn.baselines.MODELS`.
        seed: replaces the configuration's seed.
        from_scratch: start the encoders at random and download nothing.
        progress: show a bar on standard error, if that is a terminal.

    Raises:
        ConfigError: A setting or a model's name is wrong.
        ReleaseDataError: The release cannot be trained on.
        WeightsError: Pretrained weights cannot be had.
        RunInProgressError: Another process is training into the same folder.
    """
    names = check_models(list(models))
    settings = load_settings(config, from_scratch=from_scratch, seed=seed)
    opened = open_release(find_release(release))
    _model_config(settings, opened)  # wrong settings are refused before anything is trained
    runs = [_Run(name, settings, opened, output / f"{name}-{_key(name, settings, opened)}") for name in names]
    with quiet_libraries():
        return [_trained(run, progress) for run in runs]


def _key(name: str, settings: RunSettings, release: Release) -> str:
    chosen = settings.model_dump(mode="json")
    parts = {"recipe": RECIPE, "model": name, "settings": chosen, "rows": release.row_set_hash}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def _trained(run: _Run, progress: bool) -> TrainedModel:
    with _locked(run.folder):
        finished = read_trained(run.folder)
        if finished is None:
            return _train(run, progress)
        shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)  # the finishing process may have been killed here
        return finished


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one training at a time into a folder; the lock of a killed process ends with it."""
    folder.mkdir(parents=True, exist_ok=True)
    if int(os.environ.get("RANK", "0")) > 0:
        # The other processes of one distributed training belong to the one that holds the lock.
        yield
        return
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunInProgressError(f"{folder}: another process is training here; wait for it or stop it") from error
    try:
        yield
    finally:
        lock.release()


def read_trained(folder: Path) -> TrainedModel | None:
    """Return the result of a finished run, or None where none has finished yet.

    Raises:
        FgmfnError: The run's metrics.json is damaged.
    """
    file = folder / METRICS
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        dev, test = (Metrics.from_json(record[split]) if record[split] else None for split in ("dev", "test"))
        return TrainedModel(record["model"], folder, dev, test, True, float(record["seconds"]), tuple(record["notes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise FgmfnError(f"{file}: damaged ({error!r}); remove the folder to train again") from error


def _train(run: _Run, progress: bool) -> TrainedModel:
    seed = run.settings.training.seed
    set_seed(seed)
    model, processor = _build(run)
    trainer = _make_trainer(run, model, processor, progress)
    resumed_from = last_whole_checkpoint(run.folder / CHECKPOINTS)
    if resumed_from:
        log.info("%s: goes on from %s, where an earlier run was stopped", run.name, resumed_from.name)
    with warnings.catch_warnings():
        # A resumed schedule is stepped before its optimizer once; PyTorch warns about that order.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    if trainer.is_world_process_zero():
        _finish(run, trainer, processor, progress)
    trainer.accelerator.wait_for_everyone()
    finished = read_trained(run.folder)
    if finished is None:
        raise FgmfnError(f"{run.folder}: training ended without {METRICS}; all hosts must share this folder")
    return TrainedModel(**(vars(finished) | {"already_trained": False}))


def _build(run: _Run) -> tuple[SentimentModel, FgmfnProcessor]:
    """Make the model with its first weights, and the processor that belongs to it."""
    config = _model_config(run.settings, run.release)
    data = run.settings.data
    if config.pretrained:
        log.info(
            "%s: starts from pretrained %s and %s; what is not on this machine yet is fetched from their hubs",
            run.name,
            config.text_encoder,
            config.backbone_weights or config.backbone,
        )
        tokenizer = pretrained_tokenizer(config.text_encoder)
        config = _model_config(run.settings, run.release, pretrained_text_config(config.text_encoder))
    else:
        tokenizer = train_tokenizer(sorted(set(run.release.splits["train"].text)), data.vocabulary)
        config.text_config |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    longest = config.text_config.get("max_position_embeddings", 512)
    if data.max_tokens > longest:
        raise ConfigError(f"setting [data] max_tokens = {data.max_tokens}; the text encoder reads at most {longest}")
    model = model_class(run.name)(config)
    if config.pretrained:
        model.load_pretrained_encoders()
    return model, FgmfnProcessor(image_processor(config), tokenizer, max_tokens=data.max_tokens)


def _model_config(settings: RunSettings, release: Release, text_config: dict[str, Any] | None = None) -> FgmfnConfig:
    classes = dict(enumerate(release.class_names))
    chosen = settings.model if text_config is None else settings.model | {"text_config": text_config}
    try:
        return FgmfnConfig(**chosen, id2label=classes, label2id={name: number for number, name in classes.items()})
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"[model]: {error}") from error


def _make_trainer(run: _Run, model: SentimentModel, processor: FgmfnProcessor, progress: bool) -> SentimentTrainer:
    data, training = run.settings.data, run.settings.training
    augmentation = Augmentation(processor.image_size, data.min_crop, data.mirror, training.seed)
    with_images = "image" in model.modalities
    splits = run.release.splits
    return make_trainer(
        model,
        processor,
        SplitDataset(splits["train"], processor, with_images=with_images, augmentation=augmentation),
        SplitDataset(splits["validation"], processor, with_images=with_images) if run.has_dev else None,
        settings=training,
        checkpoints=run.folder / CHECKPOINTS,
        title=MODELS[run.name].title,
        progress=progress,
    )


def _finish(run: _Run, trainer: SentimentTrainer, processor: FgmfnProcessor, progress: bool) -> None:
    """Score the chosen weights once on both splits and write all that belongs to them; metrics.json comes last."""
    seconds = trainer.seconds()
    model: SentimentModel = trainer.accelerator.unwrap_model(trainer.model).eval()
    checkpoint = Checkpoint(run.folder, run.name, model, processor, run.release.row_set_hash)
    dev, test = (
        evaluate_split(checkpoint, run.release, split, progress=progress) if len(run.release.splits[split]) else None
        for split in ("validation", "test")
    )
    total, trainable = parameter_counts(model)
    record = {
        "model": run.name,
        "dev": dev and dev.as_json(),
        "test": test and test.as_json(),
        "notes": _notes(run),
        "class_names": list(run.release.class_names),
        "seed": run.settings.training.seed,
        "release": run.release.version,
        "row_set_hash": run.release.row_set_hash,
        "synthetic": run.release.synthetic,
        "rows": {split: len(rows) for split, rows in run.release.splits.items()},
        "parameters": {"total": total, "trainable": trainable},
        "settings": run.settings.model_dump(mode="json"),
        "config": model.config.to_dict(),
        "history": [
            {name: value for name, value in entry.items() if "per_second" not in name and "runtime" not in name}
            for entry in trainer.state.log_history
        ],
        "seconds": round(seconds, 1),
    }
    model.save_pretrained(run.folder)
    processor.save_pretrained(run.folder)
    (run.folder / "README.md").write_text(model_card(record, MODELS[run.name].title), encoding="utf-8")
    beside = run.folder / f".{METRICS}"
    beside.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
    beside.replace(run.folder / METRICS)
    shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)


def _notes(run: _Run) -> list[str]:
    splits, names = run.release.splits, run.release.class_names
    notes = []
    if run.release.synthetic:
        notes.append("trained and scored on synthetic data: the scores say that the way works, and nothing else")
    if not run.has_dev:
        notes.append("the release has no validation rows: the last epoch's weights were kept, unchosen")
    if not len(splits["test"]):
        notes.append("the release has no test rows: nothing was tested")
    for split in ("validation", "test"):
        present = {names[number] for number in splits[split].label}
        if present and len(present) < len(names):
            notes.append(
                f"the {split} split has no row of class {', '.join(sorted(set(names) - present))}: "
                f"its macro-F1 counts that class as 0"
            )
    return notes
