"""`fgmfn train | evaluate | predict | models | cache | explain | export | compare | diagnose | search | paper`.

Results are printed to standard output, reports to standard error.

Exit codes: 0 done, 1 refused with a reason, 2 wrong usage.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from fgmfn.console import ReportHandler, reports
from fgmfn.errors import FgmfnError

MODULES = dict.fromkeys(("train", "evaluate", "predict", "models", "cache"), "models") | {
    "explain": "explain",
    "export": "export",
    "compare": "compare",
    "diagnose": "compare",
    "search": "search",
    "paper": "paper",
}
"""Every command or group of commands, and the module of this package that defines it."""


class CommandsOnDemand(TyperGroup):
    """Imports a command's module when the command is called, or all modules for the list of commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none with this name."""
        if cmd_name not in MODULES:
            return None
        group = get_group(import_module(f"fgmfn.commands.{MODULES[cmd_name]}").app)
        return group if group.name == cmd_name else group.commands[cmd_name]


app = typer.Typer(
    cls=CommandsOnDemand,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def fgmfn() -> None:
    """FGMFN and its baselines: sentiment of image-text advertisements."""


def main() -> None:
    """Run the command line; a refusal is one line on standard error and exit code 1."""
    package = logging.getLogger("fgmfn")
    # under torchrun, the first process reports for all
    package.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    package.handlers = [ReportHandler()]
    try:
        app()
    except FgmfnError as error:
        _refuse(str(error))
    except OSError as error:  # a full disk, a file where a folder should be, a missing permission
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _refuse(reason: str) -> None:
    reports.print(f"fgmfn: {reason}", style="red", markup=False)
    sys.exit(1)
