"""`fgmfn paper table4 | table5 | table6 | table7 | figure3 | figure4 | reproduce`: the paper's tables and figures.

Every command writes NAME.md, NAME.parquet and NAME.png. A stopped command is resumed; a model that is already trained
is read, not trained again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgmfn.baselines import MODELS, check_models, unproven
from fgmfn.commands.options import (
    DATA_HELP,
    DEFAULT_OUTPUT,
    DEFAULT_RUNS,
    MODELS_HELP,
    Config,
    DataDir,
    GridOptions,
    Json,
    Models,
    Output,
    Runs,
    SeedOptions,
    TrainingOptions,
    names_of,
    open_data,
    takes,
)
from fgmfn.commands.reproduce import reproduce
from fgmfn.console import print_json, print_line, print_paths, results, short_checksums

if TYPE_CHECKING:
    from rich.text import Text

    from fgmfn.data import Source
    from fgmfn.paper.experiments import Cell, Entry

log = logging.getLogger(__name__)

WRITE_EVERY_S = 30.0
"""After a run, the files are written again if they are older than this."""
CASE_STUDY_MODELS = ["roberta", "aom", "fgmfn"]
"""Models of the paper's Table 7."""
app = typer.Typer(
    name="paper",
    help="The paper's tables and figures, each by one command: Markdown, Parquet and PNG.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.command()(reproduce)


class Device(StrEnum):
    """Devices on which models are measured."""

    CPU = "cpu"
    CUDA = "cuda"


@app.command()
@takes(TrainingOptions, SeedOptions)
def table4(options: TrainingOptions, seeds: SeedOptions, model: Models = None) -> None:
    """Accuracy and macro-F1 of every model: the paper's figures, the published ones, and ours over seeds.

    A row that cannot run here says whether weights, pictures, memory or a library are missing. Several processes can
    work on one table, each on its own GPU: start the same command in each.

    [bold]Examples[/bold]

      fgmfn paper table4 --data twitter2015 --data twitter2017 --data-dir twitter --model bilstm,text_cnn,tfidf

      fgmfn paper table4 --data twitter2015 --data-dir twitter --images twitter/2015_images --seeds 5

      fgmfn paper table4 --data catalog/releases --only-finished
    """
    from fgmfn.paper.experiments import entries_of
    from fgmfn.paper.score_tables import TABLE_4

    names = check_models(names_of(model) or list(MODELS))
    if missing := unproven(names):
        log.info("%s", missing)
    _write_scores("table4", TABLE_4, entries_of(names), options, seeds)


@app.command()
def table5(
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "--release",
            help=f"Data for whose training rows the training time is computed. {DATA_HELP} Unset: no training time.",
        ),
    ] = None,
    data_dir: DataDir = None,
    model: Models = None,
    text_length: Annotated[
        int, typer.Option(min=4, help="Number of tokens of the sentence; none of them is padding.")
    ] = 64,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Rows per training step. Unset: as each model's settings say.")
    ] = None,
    device: Annotated[
        Device | None, typer.Option(help="Device to measure on: cpu or cuda. Unset: a GPU if there is one.")
    ] = None,
    config: Config = None,
    runs: Runs = DEFAULT_RUNS,
    output: Output = DEFAULT_OUTPUT,
    as_json: Json = False,
) -> None:
    """Parameters, FLOPs, latency, training time and peak memory of every model at full size, measured here.

    Weights start at random and nothing is downloaded. Each model is measured once on this machine; a second call
    measures what is missing. Latency is that of one row without its preparation: the median after a warm-up.

    [bold]Examples[/bold]

      fgmfn paper table5 --model mimn,esafn,tombert,arfn,fgmfn

      fgmfn paper table5 --data twitter2015 --data-dir twitter --text-length 32 --device cpu
    """
    from fgmfn.paper import table5 as sheet
    from fgmfn.paper.measuring import MEASUREMENTS, WITHOUT_PARSER, MeasureOptions, measure_models
    from fgmfn.settings import shipped_configs
    from fgmfn.sheets import check_output, write_sheet

    names = check_models(names_of(model) or list(MODELS))
    check_output(output)
    rows, whose = None, None
    if data is not None:
        source = open_data(data, config, data_dir=data_dir)
        rows, whose = len(source.splits["train"]), source.name
        config = config or (whose if whose in shipped_configs() else None)
    wanted = MeasureOptions(
        text_length=text_length, batch_size=batch_size, device=device, config=config, changes=WITHOUT_PARSER
    )
    measured = measure_models(names, wanted, runs / MEASUREMENTS)
    table = sheet.as_table(measured, rows)
    markdown, figure = sheet.as_markdown(measured, rows, whose), sheet.as_figure(measured, rows)
    paths = write_sheet(output, "table5", markdown=markdown, table=table, figure=figure)
    if as_json:
        print_json(table.to_pylist())
        return
    _print_efficiency(table.to_pylist())
    print_paths(paths)


@app.command()
@takes(TrainingOptions, SeedOptions)
def table6(
    options: TrainingOptions,
    seeds: SeedOptions,
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            help="Rows to include, such as fgmfn,without_msvf; repeat the option or separate by commas. Unset: all.",
        ),
    ] = None,
) -> None:
    """FGMFN without each of its parts: w/o MSVF, CA, ITC, MI; lambda = 0; each modality alone.

    [bold]Examples[/bold]

      fgmfn paper table6 --data catalog/releases --seeds 5

      fgmfn paper table6 --data catalog/releases --config tiny --seeds 2

      fgmfn paper table6 --config light --row fgmfn,without_itc,without_mi,own_late_fusion
    """
    from fgmfn.paper.score_tables import TABLE_6, ablations

    _write_scores("table6", TABLE_6, ablations(names_of(row)), options, seeds)


@app.command()
@takes(TrainingOptions)
def table7(
    options: TrainingOptions,
    sample: Annotated[
        list[str] | None,
        typer.Option(
            help="Test row to show, by its name, its picture or its ad; repeat the option for more. "
            "Unset: drawn at random."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of samples to draw if no --sample is given.")] = 4,
    model: Annotated[
        list[str] | None, typer.Option("--model", help=f"{MODELS_HELP} Unset: {', '.join(CASE_STUDY_MODELS)}.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the models' training and of the random draw of samples.")
    ] = 42,
) -> None:
    """A case study: predictions of chosen models for single samples, with the pictures.

    Name rows as in the output of fgmfn predict --output. Models that are not trained yet are trained first.

    [bold]Examples[/bold]

      fgmfn paper table7 --data catalog/releases --model text_only,fgmfn

      fgmfn paper table7 --data twitter2015 --data-dir twitter --model tfidf --sample test:12 --sample 1860693.jpg
    """
    from fgmfn.paper import table7 as sheet
    from fgmfn.paper.experiments import entries_of, run_experiments
    from fgmfn.sheets import check_output, write_sheet

    if len(options.data) != 1:
        raise typer.BadParameter("a case study is of one set of data: give one --data")
    entries = entries_of(check_models(names_of(model) or CASE_STUDY_MODELS))
    (source,) = options.sources()
    check_output(options.output)
    rows = source.splits[sheet.SPLIT]
    samples = sheet.find_samples(rows, sample) if sample else sheet.draw_samples(rows, count, seed)
    answers = sheet.ask(run_experiments(entries, [source], options.recipe(seed)), samples)
    table = sheet.as_table(source, samples, answers)
    pictures = sheet.write_pictures(source, samples, options.output / "table7")
    markdown = sheet.as_markdown(source, samples, answers, pictures)
    figure = sheet.as_figure(source, samples, answers)
    paths = write_sheet(options.output, "table7", markdown=markdown, table=table, figure=figure)
    if options.as_json:
        print_json(table.to_pylist())
        return
    _print_answers(table.to_pylist())
    _print_checksums([source])
    print_paths([*paths, *(path for path in pictures if path is not None)])


@app.command()
@takes(TrainingOptions, SeedOptions)
def figure3(
    options: TrainingOptions,
    seeds: SeedOptions,
    model: Annotated[list[str] | None, typer.Option("--model", help=f"{MODELS_HELP} Unset: fgmfn.")] = None,
) -> None:
    """Confusion matrices of FGMFN, or of other models, summed over seeds.

    [bold]Examples[/bold]

      fgmfn paper figure3 --data twitter2015 --data twitter2017 --data-dir twitter --images twitter/images

      fgmfn paper figure3 --data twitter2015 --data-dir twitter --model tfidf,text_cnn
    """
    from fgmfn.paper import figure3 as sheet
    from fgmfn.paper.experiments import entries_of

    entries = entries_of(check_models(names_of(model) or ["fgmfn"]))
    _write_scores("figure3", sheet, entries, options, seeds)


@app.command()
@takes(TrainingOptions, SeedOptions, GridOptions)
def figure4(options: TrainingOptions, seeds: SeedOptions, grid: GridOptions) -> None:
    """Heat map of FGMFN over the weights of its losses, alpha x beta: development and test rows.

    The default grid has 25 points of 5 seeds each: start with one seed.

    [bold]Examples[/bold]

      fgmfn paper figure4 --data catalog/releases --seeds 1

      fgmfn paper figure4 --data catalog/releases --config tiny --alphas 0.1,0.5 --betas 0.05,0.5 --seeds 2
    """
    from fgmfn.paper import figure4 as sheet

    _write_scores("figure4", sheet, sheet.entries(*grid.weights()), options, seeds)


def _write_scores(
    name: str, sheet: Any, entries: Sequence[Entry], options: TrainingOptions, seeds: SeedOptions
) -> None:
    """Train what is missing, write the files repeatedly meanwhile, and print the outcome."""
    from fgmfn.paper.experiments import run_experiments
    from fgmfn.sheets import check_output, write_sheet

    sources, recipe = options.sources(), options.recipe(seeds.first_seed, seeds.seeds)
    check_output(options.output)

    def write(cells: list[Cell]) -> tuple[Path, ...]:
        return write_sheet(
            options.output,
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
    if options.as_json:
        print_json(sheet.as_table(cells).to_pylist())
        return
    _print_scores(cells, sources)
    print_paths(paths)


def _now_and_then(write: Callable[[list[Cell]], object], seen: list[Cell]) -> Callable[[list[Cell]], None]:
    """Return a function that writes after a run if the files are old; `seen` gets the current cells."""
    written = time.monotonic()

    def told(cells: list[Cell]) -> None:
        nonlocal written
        seen[:] = cells
        if time.monotonic() - written > WRITE_EVERY_S:
            write(cells)
            written = time.monotonic()

    return told


def _print_scores(cells: Sequence[Cell], sources: Sequence[Source]) -> None:
    """Print accuracy and macro-F1 per source, differences from FGMFN, checksums, and the reasons for missing rows."""
    from rich.markup import escape
    from rich.table import Table

    from fgmfn.comparing import stars
    from fgmfn.evaluation import reduced_lines
    from fgmfn.paper.scores import about_gains, mean_and_sd, sampled, score_table, shown

    table = Table(title="Test rows, mean ± standard deviation over seeds, percent", title_justify="left")
    rows = dict(zip(map(id, cells), score_table(cells, {}).to_pylist(), strict=True))
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
            mark = rf" \[{reasons.index(cell.missing) + 1}]" if cell.missing else ""
            departing = cell.departures
            figures.append(shown(*mean_and_sd([metrics.accuracy for metrics in tested]), departing) + mark)
            figures.append(shown(*mean_and_sd([metrics.macro_f1 for metrics in tested]), departing))
            for at, measure in ((-2, "accuracy"), (-1, "macro_f1")):
                row, p = rows[id(cell)], rows[id(cell)][f"gain_{measure}_p"]
                figures[at] += escape(sampled(row, measure)) if len(sources) == 1 else ""
                figures[at] += "" if p is None else f" {stars(p)}".rstrip()
        table.add_row(own[0].entry.title, *figures)
    results.print(table)
    for line in reduced_lines({cell.entry.title: cell.departures for cell in cells}):
        print_line(line)
    for number, reason in enumerate(reasons, 1):
        print_line(f"[{number}] {reason}")
    for source in sources:
        for line in about_gains([rows[id(cell)] for cell in cells if cell.source is source]):
            print_line(f"{source.name}: {line}" if len(sources) > 1 else line)
    _print_checksums(sources)


def _print_checksums(sources: Sequence[Source]) -> None:
    for source in sources:
        print_line(f"rows of {source.name}: {short_checksums(source.checksums)}")


def _print_answers(rows: Sequence[dict[str, Any]]) -> None:
    """Print a case study: each sample's words, followed by a line per target with a column per model."""
    from rich.table import Table
    from rich.text import Text

    from fgmfn.evaluation import REDUCED, reduced_lines
    from fgmfn.sheets import printable

    reduced = {row["model"]: row["departures"] for row in rows}
    for sample in dict.fromkeys(row["sample"] for row in rows):
        own = [row for row in rows if row["sample"] == sample]
        results.print(Text(printable(own[0]["text"])))
        models = [f"{name} {REDUCED}" if those else name for name, those in reduced.items()]
        table = Table("row", "about", "truth", *models)
        table.columns[0].overflow = "fold"  # a name that can be given to --sample
        for name in dict.fromkeys(row["row"] for row in own):
            answers = [row for row in own if row["row"] == name]
            first = [answers[0][column] for column in ("row", "target", "label")]
            table.add_row(*(Text(printable(cell)) for cell in first), *(_answer(row) for row in answers))
        results.print(table)
    for line in reduced_lines(reduced):
        print_line(line)
    for reason in dict.fromkeys(row["missing"] for row in rows if row["missing"]):
        print_line(f"not run: {reason}")


def _answer(row: dict[str, Any]) -> Text:
    from rich.text import Text

    if row["right"] is None:
        return Text("not run")
    return Text(f"{row['predicted']} {row['probability']:.0%}", style="green" if row["right"] else "red")


def _print_efficiency(rows: Sequence[dict[str, Any]]) -> None:
    """Print a line per model: its size, operations, times and memory."""
    from rich.table import Table

    from fgmfn.evaluation import reduced_lines
    from fgmfn.paper.table5 import marked

    first = rows[0]
    title = f"{first['device_name']}, {first['threads']} threads, {first['text_length']} tokens"
    table = Table(title=title, title_justify="left")
    for column in ("model", "params\nM", "trained\nM", "GFLOPs", "latency\nms", "step\nms", "batch", "train\nGB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    units = {
        "parameters": (1e6, 1),
        "trainable_parameters": (1e6, 1),
        "flops": (1e9, 2),
        "latency_median_s": (1e-3, 1),
        "step_median_s": (1e-3, 1),
        "batch_size": (1, 0),
        "training_bytes": (1e9, 1),
    }
    for row in rows:
        figures = ["-" if row[name] is None else f"{row[name] / unit:.{at}f}" for name, (unit, at) in units.items()]
        table.add_row(marked(row), *figures)
    results.print(table)
    for line in reduced_lines({row["title"]: row["departures"] for row in rows}):
        print_line(line)
    for row in rows:
        if row["missing"]:
            print_line(f"{row['title']}: {row['missing']}")
