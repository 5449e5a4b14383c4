"""`ytb-ads ...`: render a sample, build the dataset, look at it, train on it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from data_catalog.errors import YtbAdsError
from data_catalog.printing import printable
from fgmfn.errors import FgmfnError
from flows.commands.annotate import annotate_app, print_waiting
from flows.commands.catalog import CatalogDir, catalog_app
from flows.commands.crawl import crawl, print_standing
from flows.commands.forget import forget
from flows.commands.frames import frames_app
from flows.commands.ocr import ocr_app
from flows.commands.sentiment import sentiment_app
from flows.commands.sentiment_report import compare, report
from flows.console import AsJson, ConfigFile, err, out, show_progress

if TYPE_CHECKING:
    from flows.release.flow import Release

app = typer.Typer(
    name="ytb-ads",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Build YTB-ADS, an advertisement sentiment dataset, from YouTube ads and their comments.",
    epilog="Start with: ytb-ads sample ads && ytb-ads build --source folder:ads && ytb-ads train --config tiny",
)
app.add_typer(catalog_app)
app.add_typer(frames_app)
app.add_typer(ocr_app)
app.add_typer(sentiment_app)
app.add_typer(annotate_app)

catalog_app.command(
    name="forget", epilog="Example: ytb-ads catalog forget dQw4w9WgXcQ, or: ytb-ads catalog forget --author HASH --yes"
)(forget)
sentiment_app.command(epilog="Example: ytb-ads sentiment report --catalog catalog --png means.png")(report)
sentiment_app.command(epilog="Example: ytb-ads sentiment compare --jar SentiStrength.jar --lexicon lists")(compare)
app.command(name="crawl", epilog="Example: ytb-ads crawl --plan && ytb-ads crawl --check && ytb-ads crawl")(crawl)


@app.command(epilog="Example: ytb-ads sample ads --ads 24 --seed 0")
def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to render into; made if missing.")],
    ads: Annotated[int, typer.Option(min=1, help="How many ads.")] = 24,
    seed: Annotated[int, typer.Option(help="Another seed renders other ads.")] = 0,
) -> None:
    """Render synthetic ads with comments, in the layout that yt-dlp leaves, to try everything on."""
    from flows.console import progress
    from flows.sample import render_sample

    with progress("rendering: ads", ads) as advance:
        summary = render_sample(directory, ads=ads, seed=seed, progress=advance)
    out.print(escape(str(summary)), highlight=False, soft_wrap=True)


@app.command(epilog="Example: ytb-ads build --source folder:ads --catalog catalog")
def build(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="youtube|folder:DIR",
            help="YouTube, as the settings say; or a folder of ID.mp4|webm|mkv + ID.info.json.",
        ),
    ],
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Category of ads that lie in no sub-folder.")
    ] = None,
    review: Annotated[
        Literal["auto", "human"] | None,
        typer.Option(
            help="Who settles the labels: the comments alone (auto), or people on the page of `ytb-ads annotate serve` "
            "(human). Default: what the settings say.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Do whatever is left to do from the source's ads to a release.

    A run that was stopped goes on where it was; a second run does only what is new. The release lies in the
    catalog's releases/. Where people settle the labels, a run that finds ads which nobody has judged opens a round
    over them and ends with 0, without a release of them.
    """
    from flows.build_dataset import build_dataset
    from flows.crawl.status import Standing
    from flows.release.flow import Release
    from flows.review.waiting import Waiting
    from flows.runner import in_foreground

    show_progress()
    with in_foreground():
        written = build_dataset(
            source=source,
            catalog=catalog,
            config=str(config) if config else None,
            category=category,
            policy=review,
        )
    if isinstance(written, Standing):
        print_standing(written, as_json)
    elif isinstance(written, Waiting):
        print_waiting(written, catalog, as_json)
    elif isinstance(written, Release):
        out.print_json(json.dumps(_summary(written))) if as_json else _print_release(written)


@app.command(epilog="Example: ytb-ads status --catalog catalog")
def status(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the way of the ads in numbers: what came in, what went on, and why the rest did not."""
    from flows.release.terminal import render_funnel
    from flows.status import read_status

    now = read_status(catalog, config)
    if as_json:
        out.print_json(json.dumps(now.as_json()))
        return
    out.print(render_funnel(now.funnel, title=f"The way of the ads{_synthetic(now.synthetic)}"))
    out.print(f"newest release: {now.release or 'none yet'}", highlight=False)


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
        bool, typer.Option("--from-scratch", help="Start without pretrained weights: nothing is downloaded.")
    ] = False,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of settings; default: ytb_ads.toml, if there.")
    ] = None,
) -> None:
    """Train FGMFN and its text-only row on a release; what is already trained is not trained again."""
    from fgmfn.cli import announce, print_comparison
    from flows.runner import in_foreground
    from flows.train import train as train_flow

    show_progress()
    with in_foreground():
        trained = train_flow(
            catalog=catalog,
            release=release,
            config=config,
            from_scratch=from_scratch or None,
            settings_file=str(settings) if settings else None,
        )
    announce(trained)
    print_comparison(trained)


@app.command(epilog="Example: PREFECT_API_URL=http://127.0.0.1:4200/api ytb-ads deploy")
def deploy() -> None:
    """Register rebuild, refresh, release and training with a running Prefect server, and make their work pools."""
    from flows.deployment import register

    for line in register():
        out.print(escape(line), highlight=False, soft_wrap=True)


_INTERRUPTED = 130
"""Exit code of a command that was ended with Ctrl-C."""
_RESUMABLE = {"build", "crawl", "train"}
"""Commands that keep what they did before they were ended."""


def main() -> None:
    """Run a command; a refusal is said in red on standard error and ends with 1."""
    _quieten_prefect()
    try:
        app()
    except (YtbAdsError, FgmfnError) as error:
        _refuse(str(error))
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            resumable = not _RESUMABLE.isdisjoint(sys.argv[1:2])
            kept = "; what was done is kept: the same command goes on with the rest" if resumable else ""
            err.print(f"stopped{kept}", highlight=False)
        raise
    except OSError as error:  # a full disk, a file where a folder should be, a missing permission
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _refuse(reason: str) -> None:
    for number, line in enumerate(reason.splitlines() or ["no reason given"]):
        head = "[red]error:[/red] " if number == 0 else ""
        err.print(head + escape(printable(line)), highlight=False, soft_wrap=True)
    sys.exit(1)


def _quieten_prefect() -> None:
    """Defaults for a command line: our own lines instead of Prefect's log."""
    for name, value in {
        "PREFECT_LOGGING_EXTRA_LOGGERS": "ytb_ads",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_CLI_WRAP_LINES": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }.items():
        os.environ.setdefault(name, value)


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
    out.print(render_funnel(written.funnel, title=f"The way of the ads{note}"))
    out.print(render_table1(written.table1, title=f"Table 1 of release {written.folder.name}{note}"))
    out.print(written.yields.as_table())
    said = "release" if written.new else "release (unchanged)"
    for name, path in ((said, written.folder), ("report", written.folder / "report.html")):
        out.print(f"{name}: {escape(str(path))}", highlight=False, soft_wrap=True)
