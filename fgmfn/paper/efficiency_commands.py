"""The command that measures: table 5."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fgmfn.baselines import MODELS, check_models
from fgmfn.paper import options
from fgmfn.paper.options import DEFAULT_OUTPUT, DEFAULT_RUNS
from fgmfn.paper.printing import print_efficiency, print_json, print_paths

MEASUREMENTS = "measurements"
"""Folder beside the runs that keeps what has been measured."""
WITHOUT_PARSER = {"aom": {"parser": ""}}
"""Parsing belongs to the preparation of rows, which is in no figure."""


class Device(StrEnum):
    """Where models are measured."""

    CPU = "cpu"
    CUDA = "cuda"


def table5(
    data: Annotated[
        str | None,
        typer.Option("--data", "--release", help="Data whose training rows the hours of training are reckoned for."),
    ] = None,
    data_dir: options.DataDir = None,
    model: options.Models = None,
    text_length: Annotated[int, typer.Option(min=4, help="Tokens of the sentence, all of them real.")] = 64,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Rows of a training step. Unset: as the model's recipe says.")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="Unset: a GPU where there is one.")] = None,
    config: options.Config = None,
    runs: options.Runs = DEFAULT_RUNS,
    output: options.Output = DEFAULT_OUTPUT,
    as_json: options.Json = False,
) -> None:
    """Parameters, FLOPs, latency, training time and peak memory of every model at full size, measured here.

    Weights start at random and nothing is downloaded. Each model is measured once on this machine; a second call
    measures what is missing. Latency is of one row without its preparation: the median after a warm-up.

    [bold]Examples[/bold]

      fgmfn paper table5 --model mimn,esafn,tombert,arfn,fgmfn

      fgmfn paper table5 --data twitter2015 --data-dir twitter --text-length 32 --device cpu
    """
    from fgmfn.paper import table5 as sheet
    from fgmfn.paper.measuring import MeasureOptions, measure_models
    from fgmfn.paper.writing import check_output, write_sheet
    from fgmfn.settings import shipped_configs

    names = check_models(options.names_of(model) or list(MODELS))
    check_output(output)
    rows, whose = None, None
    if data is not None:
        (source,) = options.open_sources([data], None, data_dir, config)
        rows, whose = len(source.splits["train"]), source.name
        config = config or (whose if whose in shipped_configs() else None)
    wanted = MeasureOptions(
        text_length=text_length, batch_size=batch_size, device=device, config=config, changes=WITHOUT_PARSER
    )
    measured = measure_models(names, wanted, runs / MEASUREMENTS)
    table = sheet.as_table(measured, rows)
    paths = write_sheet(
        output,
        "table5",
        markdown=sheet.as_markdown(measured, rows, whose),
        table=table,
        figure=sheet.as_figure(measured, rows),
    )
    if as_json:
        print_json(table.to_pylist())
        return
    print_efficiency(table.to_pylist())
    print_paths(paths)
