"""`ytb-ads crawl`: collect ads from YouTube; plan the cost and check the prerequisites beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.console import AsJson, CatalogDir, ConfigFile, print_json, print_tables, say, say_error, show_progress

if TYPE_CHECKING:
    from flows.crawl.status import CrawlStatus

app = typer.Typer()


@app.command(epilog="Example: ytb-ads crawl --plan && ytb-ads crawl --check && ytb-ads crawl")
def crawl(
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Print the remaining work, its cost and the expected end. Makes no request."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check key, tools, disk and write access; costs one unit for each key.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Fetch rows older than crawl.refresh_days again; remove those gone at YouTube."),
    ] = False,
    resume_media: Annotated[
        bool, typer.Option("--resume-media", help="Fetch videos again although YouTube has asked for a pause.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Collect ads, comments and videos from YouTube until every category is full or today's quota is spent.

    Needs a key of the YouTube Data API v3 in YTB_ADS__CRAWL__API_KEY. A crawl that has to wait prints until when and
    exits with 0; the next one continues there. `ytb-ads build --source youtube` crawls and then writes a release.
    """
    if plan + check + refresh > 1:
        raise typer.BadParameter("--plan, --check and --refresh exclude each other; give one of them")
    if plan:
        _plan(catalog, config, as_json)
    elif check:
        _check(catalog, config, as_json)
    else:
        show_progress()
        if resume_media:
            _resume_media(catalog, config)
        (_refresh if refresh else _crawl)(catalog, config, as_json)


def print_status(status: CrawlStatus, as_json: bool) -> None:
    """Print the status of the crawl, and when it can continue if it has to wait."""
    from flows.crawl.status import render_status

    if as_json:
        print_json({"crawl": status.as_json()})
        return
    print_tables(render_status(status))
    for row in status.categories:
        if row.shortfall:
            say(row.shortfall)
    if status.left:
        say(f"for a later run: {', '.join(status.left)}")
    _print_pause(status.paused, status.resumes_at)


def _print_pause(reasons: Sequence[str], resumes_at: datetime | None) -> None:
    if resumes_at is None:
        return
    for reason in reasons:
        say(f"paused: {reason}")
    local = resumes_at.astimezone()
    say(f"can continue at {local:%Y-%m-%d %H:%M %Z}: run the same command again")


def _crawl(catalog: str, config: Path | None, as_json: bool) -> None:
    from data_catalog.catalog import Catalog
    from flows.crawl.flow import crawl_youtube
    from flows.crawl.status import CrawlStatus
    from flows.runner import in_foreground
    from flows.settings import load_settings

    settings = load_settings(config)
    Catalog(catalog).reach()
    with in_foreground():
        status = crawl_youtube(Catalog(catalog), settings)
    assert isinstance(status, CrawlStatus)  # noqa: S101 - a state is what Prefect sees, never what a call returns
    print_status(status, as_json)


def _refresh(catalog: str, config: Path | None, as_json: bool) -> None:
    from data_catalog.catalog import Catalog
    from flows.crawl.flow import refresh
    from flows.crawl.refresh import Refreshed, render_refresh
    from flows.runner import in_foreground

    Catalog(catalog).reach()
    with in_foreground():
        refreshed = refresh(catalog, str(config) if config else None)
    assert isinstance(refreshed, Refreshed)  # noqa: S101 - a state is what Prefect sees, never what a call returns
    if as_json:
        print_json({"refresh": refreshed.as_json()})
        return
    print_tables(render_refresh(refreshed))
    for release in refreshed.releases:
        say(f"release {release} still holds ads that are gone")
    _print_pause(refreshed.paused, refreshed.resumes_at)


def _plan(catalog: str, config: Path | None, as_json: bool) -> None:
    from data_catalog.catalog import Catalog
    from flows.crawl.data_api.quota import utc_now
    from flows.crawl.plan.schedule import plan_crawl, render_plan
    from flows.crawl.steps import open_ledger
    from flows.settings import load_settings

    tables, settings = Catalog(catalog), load_settings(config)
    with open_ledger(tables, settings, to_look=True) as ledger:
        plan = plan_crawl(tables, settings, ledger, utc_now())
    _print(plan, render_plan, as_json)


def _check(catalog: str, config: Path | None, as_json: bool) -> None:
    from data_catalog.catalog import Catalog
    from flows.checks import render_checks
    from flows.crawl.preflight import check
    from flows.settings import load_settings

    checks = check(load_settings(config), Catalog(catalog))
    if as_json:
        print_json([vars(found) for found in checks])
    else:
        print_tables(render_checks(checks, "Before the crawl"))
    if failed := [found.name for found in checks if found.ok is False]:
        say_error(f"not ready to crawl: {', '.join(failed)}")
        raise typer.Exit(1)


def _resume_media(catalog: str, config: Path | None) -> None:
    from data_catalog.catalog import Catalog
    from flows.crawl.media.lane import LANE
    from flows.crawl.steps import open_ledger
    from flows.settings import load_settings

    with open_ledger(Catalog(catalog), load_settings(config)) as ledger:
        ledger.resume(LANE)


def _print(found: Any, render: Any, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
    else:
        print_tables(render(found))
