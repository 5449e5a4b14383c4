"""The command of the case study: table 7."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from fgmfn.baselines import check_models
from fgmfn.paper import options
from fgmfn.paper.options import DEFAULT_DATA, DEFAULT_OUTPUT, DEFAULT_RUNS
from fgmfn.paper.printing import print_answers, print_checksums, print_json, print_paths

log = logging.getLogger(__name__)

PAPERS_MODELS = ["roberta", "aom", "fgmfn"]


def table7(
    data: options.Data = DEFAULT_DATA,
    images: options.Images = None,
    data_dir: options.DataDir = None,
    sample: Annotated[
        list[str] | None,
        typer.Option(help="A test row by its name, its picture or its ad; repeat for more. Unset: drawn at random."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many samples are drawn where none is named.")] = 4,
    model: options.Models = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the trained models, and of the drawing of samples.")] = 42,
    config: options.Config = None,
    from_scratch: options.FromScratch = False,
    only_finished: options.OnlyFinished = False,
    runs: options.Runs = DEFAULT_RUNS,
    output: options.Output = DEFAULT_OUTPUT,
    as_json: options.Json = False,
) -> None:
    """A case study: what chosen models say about single samples, beside the pictures.

    Rows are named as fgmfn predict --output names them. Models that are not trained yet are trained first.

    [bold]Examples[/bold]

      fgmfn paper table7 --data catalog/releases --model text_only,fgmfn

      fgmfn paper table7 --data twitter2015 --data-dir twitter --model tfidf --sample test:12 --sample 1860693.jpg
    """
    from fgmfn.paper import table7 as sheet
    from fgmfn.paper.experiments import entries_of, run_experiments
    from fgmfn.paper.samples import SPLIT, ask, draw_samples, find_samples, write_pictures
    from fgmfn.paper.writing import check_output, write_sheet

    if len(data) != 1:
        raise typer.BadParameter("a case study is of one set of data: give one --data")
    entries = entries_of(check_models(options.names_of(model) or PAPERS_MODELS))
    (source,) = options.open_sources(data, images, data_dir, config)
    check_output(output)
    rows = source.splits[SPLIT]
    samples = find_samples(rows, sample) if sample else draw_samples(rows, count, seed)
    recipe = options.recipe_of(1, seed, config, runs, from_scratch=from_scratch, only_finished=only_finished)
    answers = ask(run_experiments(entries, [source], recipe), samples)
    table = sheet.as_table(source, samples, answers)
    pictures = write_pictures(source, samples, output / "table7")
    paths = write_sheet(
        output,
        "table7",
        markdown=sheet.as_markdown(source, samples, answers, pictures),
        table=table,
        figure=sheet.as_figure(source, samples, answers),
    )
    if as_json:
        print_json(table.to_pylist())
        return
    print_answers(table.to_pylist())
    print_checksums([source])
    print_paths([*paths, *(path for path in pictures if path is not None)])
