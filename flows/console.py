"""Terminal output and the options that several commands take. Results go to standard output, the rest to errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from data_catalog.printing import printable

out = Console()
err = Console(stderr=True)

CatalogDir = Annotated[
    str,
    typer.Option(
        "--catalog", envvar="YTB_ADS_CATALOG", metavar="DIR", help="Folder of the catalog, or s3://BUCKET/PREFIX."
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings; default: ytb_ads.toml, if there is one."),
]
VideoId = Annotated[
    str, typer.Argument(metavar="VIDEO_ID", help="Id of the ad; write -- before one that begins with -.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables, for other programs.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="One JSON object per line, for other programs.")]


def say(line: str) -> None:
    """Print a line to standard output; untrusted text in it is shown as plain text."""
    _say(out, line)


def warn(line: str) -> None:
    """Print a line to standard error."""
    _say(err, line)


def say_error(reason: str) -> None:
    """Print the reason of a refusal to standard error."""
    first, *rest = reason.splitlines() or ["no reason given"]
    _say(err, first, "[red]error:[/red] ")
    for line in rest:
        warn(line)


def print_json(value: Any) -> None:
    """Print one JSON object; dates become text."""
    out.print_json(json.dumps(value, default=str))


def print_tables(tables: RenderableType) -> None:
    """Print tables to standard output, as wide as the terminal or, without one, 200 characters."""
    # a pipe has no width; wrapping would split rows
    (out if out.is_terminal else Console(width=200)).print(tables, highlight=False)


def print_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print values as a table to standard output."""
    from data_catalog.inspect import render_rows

    print_tables(render_rows(names, rows, cell_characters=200))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output as they are."""
    for line in lines:
        typer.echo(line)


def emit(line: str) -> None:
    """Print a line to standard output as it is, above a progress bar if both are on one terminal."""
    if out.is_terminal and err.is_terminal:
        err.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    else:  # past whatever a progress bar has put in the place of `sys.stdout`
        out.file.write(f"{line}\n")
        out.file.flush()


def show_progress() -> None:
    """Print the stages' reports on standard error, above any progress bar."""
    logger = logging.getLogger("ytb_ads")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _ReportHandler) for handler in logger.handlers):
        logger.addHandler(_ReportHandler())


class _ReportHandler(logging.Handler):
    """Writes to the standard error of the moment; commands that run in one process may each have another."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            err.print(self.format(record), markup=False, highlight=False, soft_wrap=True)
        except OSError:  # nobody reads standard error any more
            self.handleError(record)


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


def _say(console: Console, line: str, head: str = "") -> None:
    console.print(head + escape(printable(line)), highlight=False, soft_wrap=True)
