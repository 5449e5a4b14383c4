"""`fgmfn search`: the best learning rate, dropout and loss weights for a model, by the development rows."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fgmfn.baselines import MODELS
from fgmfn.commands.options import DEFAULT_RUNS, FromScratch, Json, Runs, SourceOptions, takes
from fgmfn.console import print_json, print_line, print_paths, reports, results, short_checksums

if TYPE_CHECKING:
    from fgmfn.search.running import Outcome

SHOWN = 10
"""Trials in the terminal's table; the files list all."""
RANGE = "LOW:HIGH"

app = typer.Typer(rich_markup_mode="rich")


@app.command()
@takes(SourceOptions)
def search(
    source: SourceOptions,
    model: Annotated[
        str, typer.Option(help="Model whose parameters are searched; it must be trained in steps.")
    ] = "fgmfn",
    trials: Annotated[
        int, typer.Option(min=1, help="Total number of trials in the study, including those of earlier calls.")
    ] = 30,
    storage: Annotated[Path, typer.Option(help="Journal file of the study; several studies may share it.")] = Path(
        "runs/search.journal"
    ),
    runs: Runs = DEFAULT_RUNS,
    from_scratch: FromScratch = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of every trial's training and of the sampler. Unset: the configuration's."),
    ] = None,
    sampler: Annotated[
        Literal["tpe", "random"],
        typer.Option(help="Method that proposes parameters: tpe learns from earlier trials; random is the paper's."),
    ] = "tpe",
    learning_rate: Annotated[
        str | None,
        typer.Option(
            metavar=RANGE, help="Range of the learning rate, drawn log-uniformly. Unset: 1e-5:1e-3, the paper's."
        ),
    ] = None,
    alpha: Annotated[
        str | None,
        typer.Option(metavar=RANGE, help="Range of the weight of the contrastive loss; only for fgmfn. Unset: 0:1."),
    ] = None,
    beta: Annotated[
        str | None,
        typer.Option(
            metavar=RANGE, help="Range of the weight of the mutual-information loss; only for fgmfn. Unset: 0:0.2."
        ),
    ] = None,
    dropout: Annotated[
        str | None, typer.Option(metavar=RANGE, help="Range of the model's dropout rate. Unset: 0:0.6.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of each trial. Unset: the configuration's.")] = None,
    startup_trials: Annotated[
        int, typer.Option(min=0, help="Number of trials that must finish before any trial is pruned.")
    ] = 5,
    warmup_epochs: Annotated[
        int, typer.Option(min=0, help="Number of epochs at the start of each trial in which it is never pruned.")
    ] = 5,
    as_json: Json = False,
) -> None:
    """Search a model's learning rate, dropout and, for fgmfn, alpha and beta; the best by dev macro-F1 wins.

    A trial that does worse than half of the others did by the same epoch is pruned. A range may be one number, which
    holds the parameter fixed. Test rows play no part.

    To resume a stopped search, start the same command. Several processes can work on one study, each on its own GPU.
    Data, settings, ranges and code name a study, so that it contains only comparable trials.

    [bold]Examples[/bold]

      fgmfn search --data twitter2015 --data-dir twitter --images twitter/2015_images --trials 30

      fgmfn search --model text_cnn --data twitter2015 --data-dir twitter --learning-rate 1e-4:1e-2 --epochs 10

      fgmfn search --config tiny --sampler random --alpha 0.5 --beta 0.05
    """
    from fgmfn.search.report import as_table, write_report
    from fgmfn.search.running import Search, run_search
    from fgmfn.search.space import parse_range

    given = {"learning_rate": learning_rate, "itc_alpha": alpha, "mi_beta": beta, "dropout": dropout}
    ranges = {name: parse_range(text, name) for name, text in given.items() if text is not None}
    opened = source.open()
    outcome = run_search(
        Search(
            model,
            opened,
            storage,
            runs,
            trials,
            config=source.config,
            seed=seed,
            from_scratch=from_scratch,
            epochs=epochs,
            sampler=sampler,
            ranges=ranges,
            startup_trials=startup_trials,
            warmup_epochs=warmup_epochs,
        )
    )
    paths = write_report(outcome)
    if opened.synthetic:
        reports.print("note: the data are synthetic: the scores say nothing about real ads")
    if as_json:
        print_json(_as_json(outcome, as_table(outcome).to_pylist(), paths))
        return
    _print_trials(outcome)
    if outcome.best is not None:
        again = {"--data": source.data, "--data-dir": source.data_dir, "--images": source.images, "--output": runs}
        words = [word for option, value in again.items() if value is not None for word in (option, str(value))]
        command = ["fgmfn", "train", "--config", str(paths[0]), "--model", model, *words]
        reports.print(f"its weights, already trained: {shlex.join(command)}", markup=False)
    print_paths(paths)


def _print_trials(outcome: Outcome) -> None:
    """Print the best trials, the importance of the parameters, and the reasons of failed trials."""
    from rich.table import Table

    from fgmfn.evaluation import reduced_lines
    from fgmfn.search.report import cells

    best = sorted((one for one in outcome.trials if one.score is not None), key=lambda one: -(one.score or 0))[:SHOWN]
    table = Table(
        title=f"The best {len(best)} of {len(outcome.trials)} trials for {outcome.search.model}", title_justify="left"
    )
    broken = (name.replace("_", "\n") for name in outcome.space)  # for a terminal of 80 columns
    for column in ("trial", "state", *broken, "epochs", "best dev\nmacro-F1 (%)", "seconds"):
        table.add_column(column, justify="left" if column == "state" else "right")
    for one in best:
        table.add_row(str(one.number), one.state, *cells(outcome, one))
    results.print(table)
    for line in reduced_lines({MODELS[outcome.search.model].title: outcome.departures}):
        print_line(line)
    if outcome.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in outcome.importances.items())
        results.print(f"mattered: {shares}", highlight=False)
    print_line(f"rows: {short_checksums(outcome.search.source.checksums)}")
    for one in outcome.trials:
        if one.state in ("failed", "running", "stopped"):
            said = {"running": "another process trains it", "stopped": "it was stopped"}.get(one.state, one.reason)
            print_line(f"trial {one.number}: {said}")
    results.print("Chosen by the development rows; test scores are not shown, so that nothing is chosen by them.")


def _as_json(outcome: Outcome, rows: list[dict[str, Any]], paths: tuple[Path, ...]) -> dict[str, Any]:
    return {
        "study": outcome.study,
        "checksums": outcome.search.source.checksums,
        "best": None if outcome.best is None else {"trial": outcome.best.number, **outcome.best.values},
        "run": None if outcome.best_run is None else str(outcome.best_run.folder),
        "importances": outcome.importances,
        "departures": list(outcome.departures),
        "trials": rows,
        "files": [str(path) for path in paths],
    }
