"""The runs of a table: entries x data x seeds, each trained once and found again, or a reason why not.

Seeds are the outermost loop: after the first one the whole table stands, and each further one makes it surer.
Several processes may work on one folder of runs; each trains what no other one is training.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fgmfn.baselines import MODELS, model_class
from fgmfn.data import Source
from fgmfn.distributed import process_count
from fgmfn.errors import ConfigError, DataError, RunInProgressError, WeightsError
from fgmfn.evaluation import REDUCED
from fgmfn.planning import Run, plan_run, sized_config
from fgmfn.sizes import free_bytes, freeing_memory, least_training_bytes, out_of_memory
from fgmfn.training import TrainedModel, read_trained, train_run

log = logging.getLogger(__name__)

POLL_S = 5.0
"""Between looks at a run that another process is training."""


@dataclass(frozen=True)
class Entry:
    """One row of a table: a model, and how it departs from its own settings."""

    key: str
    """Its name in Parquet files."""
    title: str
    model: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def entries_of(models: Sequence[str]) -> list[Entry]:
    """Return registered models as they are."""
    return [Entry(name, MODELS[name].title, name) for name in models]


@dataclass
class Cell:
    """An entry on one source: its trained models by seed, and why there are no more of them."""

    entry: Entry
    source: Source
    trained: dict[int, TrainedModel] = field(default_factory=dict)
    missing: str | None = None
    """Reason why it could not be trained, or not with every seed."""

    @property
    def departures(self) -> list[str]:
        """Differences from the model's paper."""
        return list(dict.fromkeys(each for one in self.trained.values() for each in one.departures))

    @property
    def title(self) -> str:
        """The entry's, with the mark of a model that is not its paper's."""
        return f"{self.entry.title} {REDUCED}" if self.departures else self.entry.title


@dataclass(frozen=True)
class Recipe:
    """Seeds, settings and folder of a table's runs."""

    seeds: tuple[int, ...]
    runs: Path
    """The folder of the runs, the one that `fgmfn train` writes to."""
    config: Path | str | None = None
    from_scratch: bool = False
    only_finished: bool = False
    """Train nothing: use the runs that have finished."""


def run_experiments(
    entries: Sequence[Entry],
    sources: Sequence[Source],
    recipe: Recipe,
    *,
    progress: bool = True,
    told: Callable[[list[Cell]], None] = lambda cells: None,
    lacking: Callable[[Run], str | None] = lambda run: None,
) -> list[Cell]:
    """Train what is not trained yet.

    A row that cannot run here, because weights, pictures, memory or a library are missing, says so in its cell and
    stops no other one.

    Args:
        entries: the table's rows.
        sources: the data, opened.
        recipe: seeds, settings and where runs lie.
        progress: show bars on standard error, if that is a terminal.
        told: called with all cells after each run.
        lacking: says why a run that has not finished need not be tried here; None: it may.

    Returns:
        A cell for each entry of each source.

    Raises:
        ConfigError: A setting is wrong; nothing has been trained.
    """
    if process_count() > 1:
        raise ConfigError("a table trains in one process; start the same command once per GPU, they share its runs")
    cells, planned = plan_experiments(entries, sources, recipe)
    if recipe.only_finished:
        for cell, seed, run in planned:
            _read(cell, seed, run, lacking)
        return cells
    bar = tqdm(total=len(planned), desc="runs", unit="run", disable=None if progress else True)
    with bar:
        waiting, passed_over = deque(planned), 0
        while waiting:
            cell, seed, run = waiting.popleft()
            try:
                if cell.missing is None:
                    _train(cell, seed, run, progress, lacking)
                    told(cells)
            except RunInProgressError:
                waiting.append((cell, seed, run))
                passed_over += 1
                if passed_over >= len(waiting):  # nothing is left but what other processes are training
                    time.sleep(POLL_S)
                continue
            passed_over = 0
            bar.update()
    return cells


def plan_experiments(
    entries: Sequence[Entry], sources: Sequence[Source], recipe: Recipe
) -> tuple[list[Cell], list[tuple[Cell, int, Run]]]:
    """Return a table's cells, empty, and its runs with their seeds in the order in which they are trained.

    Raises:
        ConfigError: A setting is wrong.
    """
    cells = [Cell(entry, source) for source in sources for entry in entries]
    planned = [(cell, seed, run) for seed in recipe.seeds for cell in cells if (run := _plan(cell, seed, recipe))]
    return cells, planned


def _plan(cell: Cell, seed: int, recipe: Recipe) -> Run | None:
    """Settle one run; data that the model cannot do without are a reason, not an end."""
    if cell.missing is not None:
        return None
    entry = cell.entry
    try:
        return plan_run(
            entry.model,
            cell.source,
            recipe.config,
            recipe.runs,
            seed=seed,
            from_scratch=recipe.from_scratch,
            changes=entry.changes,
        )
    except DataError:
        cell.missing = "pictures are missing: name their folder (--images DIR)"
        return None


def _read(cell: Cell, seed: int, run: Run, lacking: Callable[[Run], str | None]) -> None:
    finished = read_trained(run.folder)
    if finished is None:
        cell.missing = lacking(run) or "not every seed has been trained yet"
    else:
        cell.trained[seed] = finished


def _train(cell: Cell, seed: int, run: Run, progress: bool, lacking: Callable[[Run], str | None]) -> None:
    name = f"{cell.entry.title} on {cell.source.name}, seed {seed}"
    if read_trained(run.folder) is None and (reason := lacking(run) or _too_large(run)):
        cell.missing = reason
        log.info("%s: %s", name, reason)
        return
    try:
        with freeing_memory():
            trained = train_run(run, progress=progress)
    except WeightsError as error:
        cell.missing = f"weights are missing: {error}"
    except DataError as error:
        cell.missing = str(error)
    except (RuntimeError, MemoryError) as error:
        if (reason := out_of_memory(error)) is None:
            raise
        cell.missing = f"memory ran out while it was trained: {reason}"
    else:
        cell.trained[seed] = trained
        if not trained.already_trained and trained.test:
            scores = f"test accuracy {trained.test.accuracy:.1%}, macro-F1 {trained.test.macro_f1:.1%}"
            log.info("%s: %s, %.0f s", name, scores, trained.seconds)
    if cell.missing is not None:
        log.info("%s: %s", name, cell.missing)


def _too_large(run: Run) -> str | None:
    needed, free = least_memory(run), free_bytes()
    if needed <= free:
        return None
    return (
        f"memory is missing: training takes {needed / 1e9:.1f} GB before the first batch, {free / 1e9:.1f} GB are free"
    )


def least_memory(run: Run) -> int:
    """Return the bytes that a training holds before its first batch."""
    kind = model_class(run.name)
    return least_training_bytes(kind, sized_config(kind, run.settings.model, run.source.class_names))
