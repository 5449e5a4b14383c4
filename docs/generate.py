"""Write the reference pages that follow from code: settings, command line, tables and drop reasons.

python docs/generate.py          # write docs/settings.md, cli.md, tables.md and drops.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import EnumType
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import typer

if TYPE_CHECKING:
    from data_catalog.schemas import Column

DOCS = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/generate.py; do not edit. -->"


def settings_page() -> str:
    """Every key of the settings file with its type, default and meaning."""
    from flows.settings import ENV_PREFIX
    from flows.settings.listing import tables

    lines = [
        "# Settings",
        _NOTE,
        (
            "Settings are read from `ytb_ads.toml` of the working directory, or from the file that `--config` names; "
            "`ytb-ads config init` writes one with every key. Variables override the file: "
            f"`{ENV_PREFIX}FRAMES__COUNT=7` sets `count` of `[frames]`, in the environment or in the file `.env` of "
            "the working directory, which gives way to it. `ytb-ads config show` says what is in force and from where. "
            "An unknown key is an error that names the nearest known one. The defaults are the paper's."
        ),
        (
            "A secret may be `secret-block:NAME`: the Prefect server that `PREFECT_API_URL` names is asked for its "
            "block of type Secret when the secret is needed."
        ),
    ]
    for table in tables():
        lines += [f"## [{'.'.join(table.path)}]", table.meaning]
        rows = [(f"`{key.name}`", *map(_cell, (key.type, key.default_in_words, key.meaning))) for key in table.keys]
        lines += [_table(("key", "type", "default", "meaning"), rows)] if rows else []
    return _page(lines)


def cli_page() -> str:
    """Every command of `ytb-ads` and `fgmfn` with its options and an example."""
    from fgmfn.commands.main import app as fgmfn
    from flows.commands.main import app as ytb_ads

    lines = ["# Command line", _NOTE]
    for name, app in (("ytb-ads", ytb_ads), ("fgmfn", fgmfn)):
        command = typer.main.get_command(app)
        lines += [f"## {name}", _plain(command.help)]
        lines += _commands(name, command)
    return _page(lines)


def tables_page() -> str:
    """Every table of the catalog and the rows of a release, with their columns."""
    from data_catalog.schemas import RELEASE, TABLES

    lines = [
        "# Tables",
        _NOTE,
        (
            "The catalog's tables are Delta Lake tables below `tables/` of the catalog. Times are UTC. Rows with a "
            "`fingerprint` are computed again when the settings or the engine behind it change, and rows with an "
            "`upstream_revision` when the row that they were made from changes."
        ),
    ]
    for table in TABLES.values():
        facts = [f"Key: {_code(table.key)}."]
        facts += [f"Revision: `{table.revision}`."] if table.revision else []
        facts += [f"Made from: {_code(table.upstream)}."] if table.upstream else []
        facts += ["Computed from other tables alone."] if table.computed else []
        lines += [f"## {table.name}", f"A row is {table.meaning}.", " ".join(facts), _columns(table.columns)]
    return _page([*lines, "## Rows of a release", _columns(RELEASE.columns)])


def drops_page() -> str:
    """Every reason for which a stage leaves something out."""
    from flows.stages import STAGES

    lines = [
        "# Drop reasons",
        _NOTE,
        (
            "Items that a stage leaves out are rows of the table `drops`; `ytb-ads catalog show drops` lists them. "
            "`filtered` is final. `failed` is tried again by later runs, `runner.max_attempts` times in all. `*` in a "
            "reason stands for the rest of the word."
        ),
    ]
    for reasons in dict.fromkeys(stage.reasons for stage in STAGES):
        stages = [stage for stage in STAGES if stage.reasons is reasons]
        titles = "; ".join(stage.title for stage in stages)
        rows = [(f"`{reason}`", reason.kind, reason.meaning) for reason in reasons]
        names = ", ".join(stage.name for stage in stages)
        lines += [f"## {names}", f"{titles}.", _table(("reason", "kind", "meaning"), rows)]
    return _page(lines)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "cli.md": cli_page,
    "tables.md": tables_page,
    "drops.md": drops_page,
}
"""The generated pages: file below `docs/`, and what gives its text."""


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")


def _commands(path: str, group: Any) -> Iterator[str]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        words = f"{path} {name}"
        if hasattr(command, "list_commands"):
            yield f"### {words} ..."
            yield from filter(None, [_plain(command.help), _example(command)])
            yield from _commands(words, command)
            continue
        yield f"### {words}"
        yield from filter(None, [_plain(command.help), _example(command)])
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield _table(("option", "default", "meaning"), rows)


def _parameter(parameter: Any) -> tuple[str, str, str]:
    """Row of an option or argument: how it is written, its default, its meaning."""
    is_argument = parameter.param_type_name == "argument"
    takes = parameter.metavar or _takes(parameter.type_descriptor.annotation)
    if is_argument:
        shown = parameter.metavar or parameter.name.upper()
    elif getattr(parameter, "is_flag", False):
        shown = ", ".join([*parameter.opts, *parameter.secondary_opts])
    else:
        shown = f"{', '.join(parameter.opts)} {takes}"
    default = parameter.default() if callable(parameter.default) else parameter.default
    is_shown = default is not None and default is not False and default not in ([], ())
    values = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
    given = "required" if parameter.required else f"`{values}`" if is_shown else ""
    return f"`{_cell(shown)}`", _cell(given), _cell(_plain(parameter.help))


def _takes(annotation: Any) -> str:
    """Choices of an option, or the type of its value or of each of its values."""
    if isinstance(annotation, EnumType):
        return "|".join(map(str, annotation))
    each = get_args(annotation) or (annotation,)
    return "|".join(one.__name__.upper() if isinstance(one, type) else str(one) for one in each)


def _example(command: Any) -> str:
    """The epilog's examples as a block of shell."""
    said = " ".join((command.epilog or "").split())
    _, _, shell = said.partition(": ")
    return "```sh\n" + shell.replace(", or: ", "\n") + "\n```" if shell else ""


def _columns(columns: Iterable[Column]) -> str:
    rows = [
        (
            f"`{column.name}`",
            _cell(str(column.type)),
            column.unit,
            "yes" if column.null else "",
            f"`{column.of}`" if column.of else "",
            _cell(column.meaning),
        )
        for column in columns
    ]
    return _table(("column", "type", "unit", "null", "of", "meaning"), rows)


def _table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [names, tuple("---" for _ in names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _plain(text: str | None) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text or "") if part.strip())


def _page(lines: Iterable[str]) -> str:
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    main()
