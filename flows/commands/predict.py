"""`ytb-ads predict`: a trained model's verdicts for ads that are not in a catalog."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.console import CatalogDir, ConfigFile

if TYPE_CHECKING:
    from data_catalog.tables.forgotten import Forgotten
    from fgmfn.inference import Predictor
    from fgmfn.neighbours import Index
    from flows.settings import Settings
    from flows.verdict.judging import Explain, Frames, Judge

app = typer.Typer()


@app.command(epilog="Example: ytb-ads predict ads --model CURRENT --html verdicts.html")
def predict(
    ads: Annotated[
        list[str], typer.Argument(metavar="VIDEO|FOLDER|URL...", help="Videos, folders of them, or watch addresses.")
    ],
    model: Annotated[
        str,
        typer.Option(metavar="RUN|CURRENT", help="Folder of a run, a run of the catalog, or the model in service."),
    ] = "CURRENT",
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, with frames and words.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line per ad.")] = False,
    parquet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a Parquet file, with frames and words.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page with the frames' pictures.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON lines, written as verdicts arrive; a stopped run continues from them. Default with --parquet or "
            "--html: that FILE.jsonl.",
        ),
    ] = None,
    why: Annotated[
        bool,
        typer.Option("--why", help="Explain each answer, in --json and --html; takes some 70 passes per frame."),
    ] = False,
    fetch: Annotated[
        bool | None,
        typer.Option(
            "--fetch/--no-fetch", help="Fetch addresses from YouTube; default: predict.fetch of the settings."
        ),
    ] = None,
) -> None:
    """Print a trained model's verdicts for ads: one line per ad, in the order given.

    Frames are sampled and words are read as in a build with the same settings; the model judges the frames with
    enough words. Exits with 1 if an ad has no verdict; its line gives the reason.
    """
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    beside = parquet or html
    journal = journal or (beside and beside.with_name(f"{beside.name}.jsonl"))
    files = [file.absolute() for file in (parquet, html, journal) if file]
    if len({*files}) < len(files):
        raise typer.BadParameter("--parquet, --html and --journal name one file twice")
    if taken := next((file for file in files if file.is_dir()), None):
        raise typer.BadParameter(f"{taken}: is a folder; name a file")
    from data_catalog.catalog import Catalog
    from flows.console import emit, progress, show_progress, warn
    from flows.errors import SettingsError
    from flows.models import model_folder
    from flows.settings import load_settings
    from flows.verdict.given import GivenAd, find_ads
    from flows.verdict.output import (
        CSV_COLUMNS,
        Journal,
        Summary,
        csv_line,
        csv_values,
        json_line,
        line_of,
        parquet_file,
    )

    settings, tables = load_settings(config), Catalog(catalog)
    folder = model_folder(tables, model)
    found = list(find_ads(ads, settings.crawl.site))
    addresses = [ad.name for ad in found if isinstance(ad, GivenAd) and ad.root is None]
    if addresses and not (settings.predict.fetch if fetch is None else fetch):
        raise SettingsError(f"{addresses[0]}: is fetched from YouTube only if --fetch or predict.fetch allows it")
    show_progress()
    line = json_line if as_json else (lambda record: csv_line(csv_values(record))) if as_csv else line_of
    summary = Summary()
    with ExitStack() as stack:
        kept = Journal(journal)
        stack.callback(kept.close)
        judge = _judge(folder, settings, tables.forgotten() if why else None, pictures=html is not None)
        write = [stack.enter_context(parquet_file(parquet)).add] if parquet else []
        if html:
            from flows.verdict.page import page_file

            write.append(stack.enter_context(page_file(html, judge.name, summary)).add)
        if addresses:
            from flows.verdict.fetching import fetching

            judge = replace(judge, fetch=stack.enter_context(fetching(tables, settings)))
        if as_csv:
            emit(",".join(CSV_COLUMNS))
        advance = stack.enter_context(progress("verdicts: ads", len(found)))
        for record in judge.judge(found, kept, workers=settings.runner.workers):
            summary.add(record)
            for add in write:
                add(record)
            emit(line(record))
            advance(1)
    warn(str(summary) + (f"; {kept.found} of them from an earlier run" if kept.found else ""))
    if summary.without:
        raise typer.Exit(1)


def _judge(folder: Path, settings: Settings, unnamed: Forgotten | None, *, pictures: bool) -> Judge:
    """Open the model of a folder; with `unnamed` it explains its answers and leaves these out of the neighbours."""
    import torch

    from fgmfn.inference import Predictor
    from flows.verdict.judging import Judge, model_digest

    # the workers fill the cores; more threads within an operation would only spin and wait for each other
    torch.set_num_threads(1)
    model = Predictor.open(folder)
    trained = model.checkpoint
    reads_category = trained.has_targets is False and trained.reads_target(real=False)
    return Judge(
        model,
        name=f"{folder.parent.name}/{folder.name}",
        digest=model_digest(folder),
        settings=settings,
        reads_category=reads_category,
        pictures=pictures,
        explain=None if unnamed is None else _explain(model, unnamed, reads_category=reads_category),
    )


def _explain(model: Predictor, unnamed: Forgotten, *, reads_category: bool) -> Explain:
    from fgmfn.explaining import Explainer
    from fgmfn.neighbours import open_index

    index = open_index(model.checkpoint, None)
    explainer = Explainer(model, index=index, unnamed=_groups_with(unnamed, index) if index else frozenset())

    def explain(ads: Sequence[Frames], categories: Sequence[str]) -> list[dict[str, Any]]:
        explained = explainer.explain_ads(ads, categories if reads_category else None)
        return [one.as_json() for one in explained]

    return explain


def _groups_with(forgotten: Forgotten, index: Index) -> set[str]:
    """Groups of training rows with an ad that was forgotten since; rows are named `AD:FRAME`."""
    named = zip(index.names, index.groups, strict=True)
    return {group for name, group in named if any(map(forgotten.has_ad, (group, name.rpartition(":")[0])))}
