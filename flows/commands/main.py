"""`ytb-ads`: find the module of a command, run it, and turn refusals into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer
from typer.core import TyperGroup

from data_catalog.errors import YtbAdsError
from fgmfn.errors import FgmfnError
from flows.console import say_error, warn
from flows.env_file import export_env_file

COMMANDS = {
    "sample": "pipeline",
    "crawl": "crawl",
    "build": "pipeline",
    "status": "pipeline",
    "train": "pipeline",
    "models": "models",
    "serve": "serve",
    "predict": "predict",
    "monitor": "monitor",
    "health": "health",
    "deploy": "deploy",
    "config": "config",
    "catalog": "catalog",
    "frames": "show",
    "ocr": "show",
    "sentiment": "sentiment",
    "annotate": "annotate",
}
"""Module of `flows.commands` that holds a command or a group of commands, in the order of the help."""

_INTERRUPTED = 130
"""Exit code of a command that was stopped with Ctrl-C."""
_RESUMABLE = {"build", "crawl", "train"}
"""Commands that keep finished work when they are stopped."""


class _LazyGroup(TyperGroup):
    """Import commands when they are called or listed."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # click's own context
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> typer.core.TyperCommand | None:  # type: ignore[override]
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"flows.commands.{COMMANDS[cmd_name]}")
        return typer.main.get_group(module.app).commands[cmd_name]  # type: ignore[return-value]


app = typer.Typer(
    name="ytb-ads",
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Build YTB-ADS, an advertisement sentiment dataset, from YouTube ads and their comments.",
    epilog="Start with: ytb-ads sample ads && ytb-ads build --source folder:ads && ytb-ads train --config tiny",
)


@app.callback()
def _group() -> None:
    """Make `app` a group although no command is registered with it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a refusal is printed in red on standard error and exits with 1.

    Args:
        arguments: words of the command line after `ytb-ads`; by default those of this process.

    Raises:
        SystemExit: always, with the command's exit code.
    """
    quieten_prefect()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        export_env_file()
        app(words, prog_name="ytb-ads")
    except (YtbAdsError, FgmfnError) as error:
        _refuse(str(error))
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            resumable = not _RESUMABLE.isdisjoint(words[:1])
            warn("stopped" + ("; finished work is kept: run the same command again to continue" if resumable else ""))
        raise
    except OSError as error:  # a full disk, a file where a folder should be, a missing permission
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _refuse(reason: str) -> None:
    say_error(reason)
    sys.exit(1)


def quieten_prefect() -> None:
    """Set Prefect's defaults for a command line: our own output instead of Prefect's log."""
    for name, value in {
        "PREFECT_LOGGING_EXTRA_LOGGERS": "ytb_ads",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_CLI_WRAP_LINES": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }.items():
        os.environ.setdefault(name, value)
