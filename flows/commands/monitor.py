"""`ytb-ads monitor`: audience scores over time beside the model's answers, drift, and ads whose audience turned."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.console import AsJson, CatalogDir, ConfigFile, print_json, print_tables, progress, say, warn

if TYPE_CHECKING:
    from flows.settings import Settings

app = typer.Typer()


@app.command(epilog="Example: ytb-ads monitor --since 30d --html monitor.html --catalog catalog")
def monitor(
    catalog: CatalogDir = "./catalog",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Begin of the period: 30d, 2w, or a date or time (UTC) such as 2026-10-01; by default monitor.since.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="RUN|CURRENT", help="A run of the catalog, or the model in service.")
    ] = "CURRENT",
    answers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Maximum number of ads to run the model on; 0: none; by default monitor.answers.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as an HTML page.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare audiences with the model's answers over a period; show drift and the ads whose audience turned.

    Nothing in the catalog changes. Weeks begin on Monday, 0:00 UTC. A difference is reported only if a test, corrected
    for the number of tests, finds it.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog
    from flows.monitor.page import render_report, write_page
    from flows.monitor.report import monitor as look
    from flows.settings import load_settings

    settings, tables = _with_answers(load_settings(config), answers), Catalog(catalog)
    require_catalog(tables)
    with progress("asking the model", settings.monitor.answers) as advance:
        report = look(
            tables,
            settings,
            since=since or settings.monitor.since,
            now=datetime.now(UTC),
            model=model,
            advance=advance,
        )
    if html is not None:
        write_page(report, html)
    if as_json:
        print_json(report.as_json())
        return
    for line in report.summary():
        say(line)
    print_tables(render_report(report))
    for note in report.notes:
        warn(f"note: {note}")
    if html is not None:
        say(f"page: {html}")


def _with_answers(settings: Settings, answers: int | None) -> Settings:
    if answers is None:
        return settings
    return settings.model_copy(update={"monitor": settings.monitor.model_copy(update={"answers": answers})})
