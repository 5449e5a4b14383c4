"""What the commands of `ytb-ads annotate` share: the store of a catalog, a round of it, and how they print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from data_catalog.printing import printable
from flows.console import out, print_tables

if TYPE_CHECKING:
    from annotation.store import Store
    from annotation.store.round_store import Round
    from data_catalog.catalog import Catalog
    from flows.settings import ReviewSettings

RoundNumber = Annotated[
    int | None, typer.Option("--round", min=1, metavar="N", help="Number of the round; default: the newest.")
]


def opened(catalog: str, config: Path | None) -> tuple[Catalog, ReviewSettings]:
    """A catalog that exists, so that a misspelt path does not pass for an empty one, and what the settings say.

    Raises:
        CatalogError: there is no catalog.
        SettingsError: a setting is wrong.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog
    from flows.settings import load_settings

    tables, settings = Catalog(catalog), load_settings(config)
    require_catalog(tables)
    return tables, settings.review


@contextmanager
def opened_store(catalog: str, config: Path | None, *, must_exist: bool = True) -> Iterator[tuple[Store, Catalog]]:
    """A catalog's store, for as long as it is needed, with its catalog.

    Raises:
        StoreError: there is none, or it cannot be opened.
    """
    from flows.review.human import review_store

    tables, review = opened(catalog, config)
    with review_store(tables, review, must_exist=must_exist) as store:
        yield store, tables


def chosen_round(store: Store, round_id: int | None) -> Round:
    """A round by its number, or the newest.

    Raises:
        RoundError: there is no such round, or none at all.
    """
    from annotation.errors import RoundError

    if round_id is not None:
        return store.rounds.get(round_id)
    rounds = store.rounds.all()
    if not rounds:
        raise RoundError("there has been no round; `ytb-ads build --review human` opens one")
    return rounds[-1]


def closed(tables: Catalog, round_id: int) -> None:
    """Say that a round is over, to the Prefect server too."""
    from flows.review.flow import tell_closed

    then = (
        "the Prefect server was told, and starts the deployment that writes the release"
        if tell_closed(tables, round_id)
        else "`ytb-ads build --review human` writes the release"
    )
    say(f"round {round_id} is closed; {then}")


def say(line: str) -> None:
    """Print a line; names in it come from others."""
    out.print(escape(printable(line)), highlight=False, soft_wrap=True)


def print_rows(title: str, names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print a table; what is in it is shown as plain text."""
    say(title)  # a title of the table itself would be broken where the table is narrow
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    print_tables(table)
