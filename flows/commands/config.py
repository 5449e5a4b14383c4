"""`ytb-ads config`: write a settings file, show the settings in force, check them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.console import AsJson, ConfigFile, print_json, print_tables, say, say_error

app = typer.Typer()
config = typer.Typer(no_args_is_help=True, help="Write a settings file, show the settings in force, check them.")
app.add_typer(config, name="config")


@config.command(epilog="Example: ytb-ads config init, or: ytb-ads config init - | less")
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; - is standard output.")] = Path(
        "ytb_ads.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a settings file that lists every key, commented out, with its meaning, type and default."""
    from flows.errors import SettingsError
    from flows.settings.listing import commented_file

    text = commented_file()
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise SettingsError(f"{file}: is there already; --force overwrites it, - prints to the terminal") from None
    say(f"{file}: written; nothing is set yet. Remove the # from keys that you change, then: ytb-ads config check")


@config.command(epilog="Example: ytb-ads config show --changed")
def show(
    config: ConfigFile = None,
    changed: Annotated[bool, typer.Option("--changed", help="Show only settings that are not defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every setting in force and the file or variable that sets it; the value of a secret is not shown."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from flows.settings.listing import values_in_force

    values = [value for value in values_in_force(config) if not (changed and value.is_default)]
    if as_json:
        print_json([{"setting": ".".join(value.path), "value": value.shown, "from": value.origin} for value in values])
        return
    if not values:
        say("nothing is set: all settings have their defaults")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for value in values:
        style = "dim" if value.is_default else "bold"
        table.add_row(*(Text(cell, style=style) for cell in (".".join(value.path), value.shown, value.origin)))
    print_tables(table)


@config.command(epilog="Example: ytb-ads config check --config ytb_ads.toml")
def check(config: ConfigFile = None) -> None:
    """Check the settings: keys, values, the files and programs that they name, and secrets kept by a Prefect server.

    Exits with 1 if anything is wrong.
    """
    from flows.settings.checking import find_faults
    from flows.settings.listing import values_in_force

    given = [value for value in values_in_force(config) if not value.is_default]
    wrong = find_faults(config)
    for fault in wrong:
        say_error(fault)
    if wrong:
        raise typer.Exit(1)
    origins = ", ".join(sorted({value.origin.partition(":")[0] for value in given}))
    say(f"nothing wrong; set: {f'{len(given)} ({origins})' if given else 'nothing'}; the rest: ytb-ads config show")
