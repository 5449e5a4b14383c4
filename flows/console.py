"""What the commands share: where they print, the options that many of them take, and how progress is told."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

out = Console()
err = Console(stderr=True)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings; default: ytb_ads.toml, if there."),
]
VideoId = Annotated[
    str, typer.Argument(metavar="VIDEO_ID", help="The ad; one that begins with - comes last, behind --.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables, for other programs.")]


def print_tables(tables: RenderableType) -> None:
    """Print tables to standard output, as wide as the terminal; where that is none, wide enough for most."""
    # a pipe has no width; wrapping there would only tear rows apart
    (out if out.is_terminal else Console(width=200)).print(tables, highlight=False)


def show_progress() -> None:
    """Print what the stages report as they end, above any progress bar."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ytb_ads")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[float], None]]:
    """A bar with rate and remaining time on standard error; silent when that is not a terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal or total == 0,
    )
    with bar:
        row = bar.add_task(description, total=total)
        yield lambda rows: bar.advance(row, rows)
