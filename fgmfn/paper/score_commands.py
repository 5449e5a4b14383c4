"""The commands that train models and set their scores side by side: tables 4 and 6, figures 3 and 4."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgmfn.baselines import MODELS, check_models, unproven
from fgmfn.paper import options
from fgmfn.paper.options import DEFAULT_DATA, DEFAULT_OUTPUT, DEFAULT_RUNS
from fgmfn.paper.printing import print_json, print_paths, print_scores

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from fgmfn.data import Source
    from fgmfn.paper.experiments import Cell, Entry, Recipe

log = logging.getLogger(__name__)

WRITE_EVERY_S = 30.0
"""After a run the files are written anew where they are older than this."""


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


def figure4(
    data: options.Data = DEFAULT_DATA,
    images: options.Images = None,
    data_dir: options.DataDir = None,
    alphas: Annotated[str | None, typer.Option(help="Weights of the contrastive loss, separated by commas.")] = None,
    betas: Annotated[
        str | None, typer.Option(help="Weights of the mutual-information loss, separated by commas.")
    ] = None,
    seeds: options.Seeds = 5,
    first_seed: options.FirstSeed = 42,
    config: options.Config = None,
    from_scratch: options.FromScratch = False,
    only_finished: options.OnlyFinished = False,
    runs: options.Runs = DEFAULT_RUNS,
    output: options.Output = DEFAULT_OUTPUT,
    as_json: options.Json = False,
) -> None:
    """Heat map of FGMFN over the weights of its losses, alpha x beta: development and test rows.

    The default grid has 25 points of 5 seeds each: see what one seed says first.

    [bold]Examples[/bold]

      fgmfn paper figure4 --data catalog/releases --seeds 1

      fgmfn paper figure4 --data catalog/releases --config tiny --alphas 0.1,0.5 --betas 0.05,0.5 --seeds 2
    """
    from fgmfn.paper import figure4 as sheet

    points = sheet.entries(numbers_of(alphas, sheet.ALPHAS, "--alphas"), numbers_of(betas, sheet.BETAS, "--betas"))
    sources = options.open_sources(data, images, data_dir, config)
    recipe = options.recipe_of(seeds, first_seed, config, runs, from_scratch=from_scratch, only_finished=only_finished)
    _write_scores("figure4", sheet, points, sources, recipe, output, as_json=as_json)


def numbers_of(given: str | None, default: Sequence[float], option: str) -> list[float]:
    """Read a comma-separated list of weights.

    Raises:
        typer.BadParameter: One of them is no number of 0 or more.
    """
    if given is None:
        return list(default)
    try:
        numbers = [float(part) for part in given.split(",") if part.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{option} {given}: {error}") from error
    if not numbers or any(not 0 <= number < float("inf") for number in numbers):
        raise typer.BadParameter(f"{option} {given}: expected numbers of 0 or more, separated by commas")
    return list(dict.fromkeys(numbers))


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
    from fgmfn.paper.writing import check_output

    check_output(output)

    def write(cells: list[Cell]) -> tuple[Path, ...]:
        return _write(
            output,
            name,
            markdown=sheet.as_markdown(cells, recipe),
            table=sheet.as_table(cells),
            figure=sheet.as_figure(cells, recipe),
        )

    seen: list[Cell] = []
    try:
        cells = run_experiments(entries, sources, recipe, told=_now_and_then(write, seen))
    except KeyboardInterrupt:
        if seen:
            print_paths(write(seen))
        log.info("stopped; the same command goes on from here, --only-finished writes down what there is")
        raise
    paths = write(cells)
    if as_json:
        print_json(sheet.as_table(cells).to_pylist())
        return
    print_scores(cells, sources)
    print_paths(paths)


def _now_and_then(write: Callable[[list[Cell]], object], seen: list[Cell]) -> Callable[[list[Cell]], None]:
    """Write after a run, if the last time is a while ago; `seen` holds the cells as they stand."""
    written = time.monotonic()

    def told(cells: list[Cell]) -> None:
        nonlocal written
        seen[:] = cells
        if time.monotonic() - written > WRITE_EVERY_S:
            write(cells)
            written = time.monotonic()

    return told


def _write(output: Path, name: str, *, markdown: str, table: pa.Table, figure: Figure) -> tuple[Path, ...]:
    from fgmfn.paper.writing import write_sheet

    return write_sheet(output, name, markdown=markdown, table=table, figure=figure)
