"""The search for a model's learning rate, dropout and, for FGMFN, the weights of its losses, by the development rows.

Section IV-B draws learning rates at random, log-uniformly in [1e-5, 1e-3], and walks a grid over alpha and beta; here
one study does both. Every trial is a run of `fgmfn train`, so a stopped one goes on from its checkpoints and the best
one's weights are there already. Nothing is chosen by the test rows.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from tqdm import tqdm

from fgmfn.data import Source
from fgmfn.distributed import process_count
from fgmfn.errors import ConfigError, DataError
from fgmfn.planning import Run, code_version, plan_run
from fgmfn.predictions import METRICS
from fgmfn.search.space import LEARNING_RATE, Range, search_space
from fgmfn.search.study import Claim, Sampler, SearchStudy, Trial, quiet_optuna
from fgmfn.sizes import freeing_memory, out_of_memory
from fgmfn.training import train_run


@dataclass(frozen=True)
class Search:
    """A search: a model on its data, within ranges."""

    model: str
    source: Source
    storage: Path
    """The journal of the study, one file; several studies may share it."""
    runs: Path
    """Folder of the trials' runs, the one that `fgmfn train` writes to."""
    trials: int = 30
    """Trials of the study in all, those of earlier calls included."""
    config: Path | str | None = None
    seed: int | None = None
    """Seed of every trial's training and of the sampler; None: the configuration's."""
    from_scratch: bool = False
    epochs: int | None = None
    sampler: Sampler = "tpe"
    ranges: Mapping[str, Range] = field(default_factory=dict)
    """Ranges that replace those of `SPACE`."""
    startup_trials: int = 5
    """Number of trials that must finish before any trial is pruned."""
    warmup_epochs: int = 5
    """Number of epochs at the start of each trial in which it is never pruned."""


@dataclass(frozen=True)
class Outcome:
    """A study as it stands after a search."""

    search: Search
    study: str
    """Its name: data, model, settings and code version."""
    folder: Path
    """Beside the storage, for the study's files."""
    seed: int
    """Seed of every trial's training and of the sampler."""
    space: dict[str, Range]
    trials: list[Trial]
    importances: dict[str, float]
    """Share of each parameter; empty where too few trials have finished."""
    best: Trial | None
    """None where none has finished."""
    best_run: Run | None
    departures: tuple[str, ...] = ()
    """Differences from the model's paper."""


def run_search(search: Search, *, progress: bool = True) -> Outcome:
    """Train trials until the study has as many as it is to have; those of earlier calls are not trained again.

    Args:
        search: what is searched.
        progress: show a bar over the trials on standard error, if that is a terminal.

    Raises:
        ConfigError: A range or a setting is wrong, or the model has nothing to be searched.
        DataError: The data have no development rows, or pictures are missing.
        WeightsError: Pretrained weights cannot be had; the trial is taken up again by the next call.
    """
    space = search_space(search.model, search.ranges)
    # Both ends of every range: what the model refuses is refused before the first trial.
    ends = [
        _plan(search, {name: one.low for name, one in space.items()}),
        _plan(search, {name: one.high for name, one in space.items()}),
    ]
    if not ends[0].has_dev:
        raise DataError(f"{search.source.name}: no development rows to choose by; a search has nothing to go by")
    if process_count() > 1:
        raise ConfigError("a search trains in one process; start the same command once per GPU, they share its study")
    name, key = _identity(search, ends)
    seed = ends[0].settings.training.seed
    folder = search.storage.parent / f"{search.storage.stem}-{search.model}-{key}"
    with quiet_optuna():
        study = SearchStudy(
            search.storage,
            name,
            space,
            folder / "running",
            sampler=search.sampler,
            seed=seed,
            startup_trials=search.startup_trials,
            warmup_epochs=search.warmup_epochs,
        )
        _work(search, study, progress)
        trials = study.trials()
        best = max((one for one in trials if one.state == "complete"), key=lambda one: one.score or 0, default=None)
        best_run = _plan(search, best.values) if best else None
        departures = ends[0].departures  # those of every trial: no range is of what a paper's model has
        return Outcome(search, name, folder, seed, space, trials, study.importances(), best, best_run, departures)


def _plan(search: Search, values: Mapping[str, float]) -> Run:
    training = {} if search.epochs is None else {"epochs": search.epochs}
    model = {name: value for name, value in values.items() if name != LEARNING_RATE}
    return plan_run(
        search.model,
        search.source,
        search.config,
        search.runs,
        seed=search.seed,
        from_scratch=search.from_scratch,
        changes=model | {"training": training | {LEARNING_RATE: values[LEARNING_RATE]}},
    )


def _identity(search: Search, ends: list[Run]) -> tuple[str, str]:
    """Return the study's name and its key: trials of other data, settings, ranges or code are another study's."""
    # A run's key holds its rows, its settings and its code; the keys of both ends hold the ranges too.
    parts = [search.sampler, *(run.folder.name for run in ends)]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]
    rows, code = search.source.row_set_hash[:12], code_version(search.model)
    return f"{search.model} on {search.source.name}, rows {rows}, code {code}, settings {key}", key


def _work(search: Search, study: SearchStudy, progress: bool) -> None:
    settled = sum(one.state not in ("running", "stopped") for one in study.trials())
    total, hidden = max(search.trials, settled), None if progress else True
    with tqdm(total=total, initial=settled, desc="trials", unit="trial", disable=hidden) as bar:
        while (claim := study.claim(search.trials)) is not None:
            try:
                _try(search, study, claim, bar)
            finally:
                study.release(claim)
            bar.update()


def _try(search: Search, study: SearchStudy, claim: Claim, bar: Any) -> None:
    """Train one trial and record what came of it; what raises here leaves it to be taken up again."""
    run = _plan(search, claim.values)
    epochs = run.settings.training.epochs

    def after_epoch(epoch: int, score: float) -> None:
        bar.set_postfix_str(f"trial {claim.number}, epoch {epoch} of {epochs}, dev macro-F1 {score:.3f}")
        claim.report(epoch, score, last=epoch >= epochs)

    try:
        with freeing_memory():
            trained = train_run(run, progress=False, after_epoch=after_epoch)
    except optuna.TrialPruned:
        shutil.rmtree(run.folder)  # its checkpoints are no longer needed
        study.prune(claim)
    except (RuntimeError, MemoryError) as error:
        if (reason := out_of_memory(error)) is None:
            raise
        shutil.rmtree(run.folder)
        study.fail(claim, f"memory ran out: {reason}")
    else:
        if trained.dev is None:
            raise DataError(f"{run.folder}: its metrics.json has no development score; remove the folder")
        for epoch, score in _scores(run):
            claim.report(epoch, score, last=True)
        study.complete(claim, trained.dev.macro_f1, trained.seconds)


def _scores(run: Run) -> list[tuple[int, float]]:
    """Return a finished run's scores by epoch, those of a run that an earlier command trained as well."""
    history = json.loads((run.folder / METRICS).read_text(encoding="utf-8"))["history"]
    return [(round(entry["epoch"]), entry["eval_macro_f1"]) for entry in history if "eval_macro_f1" in entry]
