"""`fgmfn paper table4 | table5 | table6 | table7 | figure3 | figure4`: each table and figure by one command.

Every command writes NAME.md, NAME.parquet and NAME.png. One that was stopped goes on where it was; what is trained
already is read, not trained again.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fgmfn.baselines import MODELS, check_models, unproven
from fgmfn.paper import options

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from fgmfn.data import Source
    from fgmfn.paper.experiments import Cell, Entry, Recipe

log = logging.getLogger(__name__)
app = typer.Typer(
    help="The paper's tables and figures, each by one command: Markdown, Parquet and PNG.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

DEFAULT_DATA = ["catalog/releases"]
DEFAULT_RUNS, DEFAULT_OUTPUT = Path("runs"), Path("paper")
WRITE_EVERY_S = 30.0
"""While a table is being trained its files are at most this old, so that stopping it loses no sight of it."""


@app.command()
def table4(
    data: options.Data = DEFAULT_DATA,
    images: options.Images = None,
    data_dir: options.DataDir = None,
    model: options.Models = None,
    seeds: options.Seeds = 5,
    first_seed: options.FirstSeed = 42,
    config: options.Config = None,
    from_scratch: options.FromScratch = False,
    only_finished: options.OnlyFinished = False,
    runs: options.Runs = DEFAULT_RUNS,
    output: options.Output = DEFAULT_OUTPUT,
    as_json: options.Json = False,
) -> None:
    """Accuracy and macro-F1 of every model: the paper's figure, the published one, ours over seeds.

    A row that cannot run here says whether weights, pictures, memory or a library are missing. Several processes may
    work on one table, each on a GPU of its own: start the same command in each.

    [bold]Examples[/bold]

      fgmfn paper table4 --data twitter2015 --data twitter2017 --data-dir twitter --model bilstm,text_cnn,tfidf

      fgmfn paper table4 --data twitter2015 --data-dir twitter --images twitter/2015_images --seeds 5

      fgmfn paper table4 --data catalog/releases --only-finished
    """
    from fgmfn.paper import table4 as sheet
    from fgmfn.paper.experiments import entries_of

    names = check_models(options.names_of(model) or list(MODELS))
    if title := unproven(names):
        log.info("Without a text-only row beside it %s's row proves nothing: add --model text_only", title)
    sources = options.open_sources(data, images, data_dir, config)
    recipe = options.recipe_of(seeds, first_seed, config, runs, from_scratch=from_scratch, only_finished=only_finished)
    _write_scores("table4", sheet, entries_of(names), sources, recipe, output, as_json=as_json)


@app.command()
def table6(
    data: options.Data = DEFAULT_DATA,
    images: options.Images = None,
    data_dir: options.DataDir = None,
    seeds: options.Seeds = 5,
    first_seed: options.FirstSeed = 42,
    config: options.Config = None,
    from_scratch: options.FromScratch = False,
    only_finished: options.OnlyFinished = False,
    runs: options.Runs = DEFAULT_RUNS,
    output: options.Output = DEFAULT_OUTPUT,
    as_json: options.Json = False,
) -> None:
    """FGMFN without each of its parts: w/o MSVF, CA, ITC, MI; lambda = 0; each modality alone.

    [bold]Examples[/bold]

      fgmfn paper table6 --data catalog/releases --seeds 5

      fgmfn paper table6 --data catalog/releases --config tiny --seeds 2
    """
    from fgmfn.paper import table6 as sheet

    sources = options.open_sources(data, images, data_dir, config)
    recipe = options.recipe_of(seeds, first_seed, config, runs, from_scratch=from_scratch, only_finished=only_finished)
    _write_scores("table6", sheet, sheet.ENTRIES, sources, recipe, output, as_json=as_json)


@app.command()
def figure3(
    data: options.Data = DEFAULT_DATA,
    images: options.Images = None,
    data_dir: options.DataDir = None,
    model: options.Models = None,
    seeds: options.Seeds = 5,
    first_seed: options.FirstSeed = 42,
    config: options.Config = None,
    from_scratch: options.FromScratch = False,
    only_finished: options.OnlyFinished = False,
    runs: options.Runs = DEFAULT_RUNS,
    output: options.Output = DEFAULT_OUTPUT,
    as_json: options.Json = False,
) -> None:
    """Confusion matrices of FGMFN, or of other models, added up over seeds.

    [bold]Examples[/bold]

      fgmfn paper figure3 --data twitter2015 --data twitter2017 --data-dir twitter --images twitter/images

      fgmfn paper figure3 --data twitter2015 --data-dir twitter --model tfidf,text_cnn
    """
    from fgmfn.paper import figure3 as sheet
    from fgmfn.paper.experiments import entries_of

    entries = entries_of(check_models(options.names_of(model) or ["fgmfn"]))
    sources = options.open_sources(data, images, data_dir, config)
    recipe = options.recipe_of(seeds, first_seed, config, runs, from_scratch=from_scratch, only_finished=only_finished)
    _write_scores("figure3", sheet, entries, sources, recipe, output, as_json=as_json)


def _write_scores(
    name: str,
    sheet: Any,
    entries: Sequence[Entry],
    sources: Sequence[Source],
    recipe: Recipe,
    output: Path,
    *,
    as_json: bool,
) -> None:
    """Train what is missing, write the files again and again while that goes on, and print the outcome."""
    from fgmfn.paper.experiments import run_experiments

    def write(cells: list[Cell]) -> tuple[Path, ...]:
        return _write(
            output,
            name,
            markdown=sheet.as_markdown(cells, recipe),
            table=sheet.as_table(cells),
            figure=sheet.as_figure(cells),
        )

    cells = run_experiments(entries, sources, recipe, told=_now_and_then(write))
    paths = write(cells)
    if as_json:
        print_json(sheet.as_table(cells).to_pylist())
        return
    _print_scores(cells, sources)
    print_paths(paths)


def _now_and_then(write: Callable[[list[Cell]], object]) -> Callable[[list[Cell]], None]:
    written = time.monotonic()

    def told(cells: list[Cell]) -> None:
        nonlocal written
        if time.monotonic() - written > WRITE_EVERY_S:
            write(cells)
            written = time.monotonic()

    return told


def _write(output: Path, name: str, *, markdown: str, table: pa.Table, figure: Figure) -> tuple[Path, ...]:
    from fgmfn.paper.writing import write_sheet

    return write_sheet(output, name, markdown=markdown, table=table, figure=figure)


def _print_scores(cells: Sequence[Cell], sources: Sequence[Source]) -> None:
    """Print accuracy and macro-F1 per source, the checksums of the rows, and why rows are missing."""
    from rich.console import Console
    from rich.table import Table

    from fgmfn.paper.scores import mean_and_sd, shown

    console = Console()
    table = Table(title="Test rows, mean ± standard deviation over seeds, percent", title_justify="left")
    table.add_column("model")
    for source in sources:
        table.add_column(f"{source.name}\naccuracy", justify="right")
        table.add_column(f"{source.name}\nmacro-F1", justify="right")
    reasons = list(dict.fromkeys(cell.missing for cell in cells if cell.missing))
    for key in dict.fromkeys(cell.entry.key for cell in cells):
        own = [cell for cell in cells if cell.entry.key == key]
        figures = []
        for cell in own:
            tested = [one.test for one in cell.trained.values() if one.test]
            mark = f" [{reasons.index(cell.missing) + 1}]" if cell.missing else ""
            figures.append(shown(*mean_and_sd([metrics.accuracy for metrics in tested])) + mark)
            figures.append(shown(*mean_and_sd([metrics.macro_f1 for metrics in tested])))
        table.add_row(own[0].entry.title, *(figure.replace("[", r"\[") for figure in figures))
    console.print(table)
    for number, reason in enumerate(reasons, 1):
        console.print(f"[{number}] {reason}", soft_wrap=True, markup=False)
    for source in sources:
        rows = ", ".join(f"{split} {checksum[:12]}" for split, checksum in source.checksums.items())
        console.print(f"rows of {source.name}: {rows}", soft_wrap=True, markup=False, highlight=False)


def print_paths(paths: Sequence[Path]) -> None:
    """Print where files lie, one per line."""
    sys.stdout.write("".join(f"{path}\n" for path in paths))


def print_json(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows for a program to read."""
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")
