"""`ytb-ads sample`, `build`, `status` and `train`: from synthetic or real ads to a trained model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.console import AsJson, CatalogDir, ConfigFile, print_json, print_tables, say, show_progress

if TYPE_CHECKING:
    from flows.release.flow import Release

app = typer.Typer()


@app.command(epilog="Example: ytb-ads sample ads --ads 24 --seed 0")
def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to render into; created if missing.")],
    ads: Annotated[int, typer.Option(min=1, help="Number of ads.")] = 24,
    seed: Annotated[int, typer.Option(help="Another seed renders other ads.")] = 0,
) -> None:
    """Render synthetic ads with comments, in yt-dlp's file layout, to try everything on."""
    from flows.console import progress
    from flows.sample import render_sample

    with progress("rendering: ads", ads) as advance:
        summary = render_sample(directory, ads=ads, seed=seed, progress=advance)
    say(str(summary))


@app.command(epilog="Example: ytb-ads build --source folder:ads --catalog catalog")
def build(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="youtube|folder:DIR",
            help="YouTube, crawled according to the settings; or a folder of ID.mp4|webm|mkv + ID.info.json.",
        ),
    ],
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Category of ads that are not in a sub-folder.")
    ] = None,
    review: Annotated[
        Literal["auto", "human"] | None,
        typer.Option(
            help="Labels from the comments (auto), or from people on the page of `ytb-ads annotate serve` (human); "
            "default: the settings.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Process everything new or unfinished, from the source's ads to a release.

    A stopped run continues where it was; a second run processes only new items. Releases are written to the catalog's
    releases/. With --review human, a run that finds ads which nobody has judged opens a round for them and exits with
    0; the release then has only the ads that were judged before.
    """
    from data_catalog.catalog import Catalog
    from flows.build_dataset import build_dataset
    from flows.commands.annotate import print_waiting
    from flows.commands.crawl import print_status
    from flows.crawl.status import CrawlStatus
    from flows.release.flow import Release
    from flows.review.human import Waiting
    from flows.runner import in_foreground
    from flows.settings import load_settings

    load_settings(config)  # report wrong settings before a server is started
    Catalog(catalog).reach()
    show_progress()
    with in_foreground():
        written = build_dataset(
            source=source,
            catalog=catalog,
            config=str(config) if config else None,
            category=category,
            policy=review,
        )
    if isinstance(written, CrawlStatus):
        print_status(written, as_json)
    elif isinstance(written, Waiting):
        print_waiting(written, catalog, config, as_json)
    elif isinstance(written, Release):
        print_json(_summary(written)) if as_json else _print_release(written)


@app.command(epilog="Example: ytb-ads status --catalog catalog")
def status(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the funnel: rows in and out of each step, and the reasons of dropped rows."""
    from flows.release.terminal import read_status, render_funnel

    now = read_status(catalog, config)
    if as_json:
        print_json(now.as_json())
        return
    print_tables(render_funnel(now.funnel, title=f"Funnel{_synthetic(now.synthetic)}"))
    say(f"newest release: {now.release or 'none yet'}")


@app.command(epilog="Example: ytb-ads train --catalog catalog --config tiny")
def train(
    catalog: CatalogDir = "./catalog",
    release: Annotated[
        str | None, typer.Option(metavar="VERSION|DIR", help="Release to train on; default: the newest.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Configuration of fgmfn: tiny, ytb_ads, or a TOML file."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start without pretrained weights; nothing is downloaded.")
    ] = False,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of settings; default: ytb_ads.toml, if there is one.")
    ] = None,
) -> None:
    """Train FGMFN and its text-only baseline on a release; models that are already trained are not trained again."""
    from data_catalog.catalog import Catalog
    from fgmfn.commands.models import announce, print_comparison
    from flows.models import run_in_service
    from flows.runner import in_foreground
    from flows.train import train as train_flow

    Catalog(catalog).reach()
    show_progress()
    with in_foreground():
        trained = train_flow(
            catalog=catalog,
            release=release,
            config=config,
            from_scratch=from_scratch or None,
            settings_file=str(settings) if settings else None,
        )
    assert isinstance(trained, list)  # noqa: S101 - a state is what a run of a deployment may end with
    announce(trained)
    print_comparison(trained)
    current = run_in_service(Catalog(catalog))
    say(f"in service: {current.name if current else 'no model yet; `ytb-ads models --json` says why'}")


def _synthetic(synthetic: bool) -> str:
    return " (synthetic ads: rendered, not crawled)" if synthetic else ""


def _summary(written: Release) -> dict[str, Any]:
    return {
        "release": str(written.folder),
        "new": written.new,
        "synthetic": written.synthetic,
        "funnel": [step.as_json() for step in written.funnel],
        "table1": {
            split: {label: asdict(counts) for label, counts in row.items()} for split, row in written.table1.items()
        },
    }


def _print_release(written: Release) -> None:
    from flows.release.terminal import render_funnel, render_table1

    note = _synthetic(written.synthetic)
    print_tables(render_funnel(written.funnel, title=f"Funnel{note}"))
    print_tables(render_table1(written.table1, title=f"Table 1 of release {written.folder.name}{note}"))
    print_tables(written.yields.as_table())
    say(f"{'release' if written.new else 'release (unchanged)'}: {written.folder}")
    say(f"report: {written.folder / 'report.html'}")
