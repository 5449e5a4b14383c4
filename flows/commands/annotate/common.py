"""Options shared by the `ytb-ads annotate` commands, and the store that they open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from data_catalog.printing import printable
from flows.commands.catalog import open_catalog
from flows.console import print_tables, say

if TYPE_CHECKING:
    from annotation.store import Store
    from annotation.store.people import Person
    from annotation.store.round_store import Round
    from data_catalog.catalog import Catalog

RoundNumber = Annotated[
    int | None, typer.Option("--round", min=1, metavar="N", help="Number of the round; default: the newest.")
]
Pseudonyms = Annotated[
    bool | None,
    typer.Option(
        "--pseudonyms/--names",
        help="Pseudonyms or names of people; default: review.pseudonyms. A pseudonym is the same in every file.",
    ),
]


@contextmanager
def open_store(catalog: str, config: Path | None, *, must_exist: bool = True) -> Iterator[tuple[Store, Catalog]]:
    """Open a catalog and its annotation store, and close the store at the end.

    Raises:
        StoreError: there is no store, or it cannot be opened.
    """
    from flows.review.human import review_store

    tables, review = open_catalog(catalog, config)
    with review_store(tables, review, must_exist=must_exist) as store:
        yield store, tables


def chosen_round(store: Store, round_id: int | None) -> Round:
    """Return a round by its number, or the newest round.

    Raises:
        RoundError: there is no such round, or no round at all.
    """
    from annotation.errors import RoundError

    if round_id is not None:
        return store.rounds.get(round_id)
    rounds = store.rounds.all()
    if not rounds:
        raise RoundError("there has been no round; `ytb-ads build --review human` opens one")
    return rounds[-1]


def say_closed(tables: Catalog, closed: Round) -> None:
    """Print that a round is closed, and notify the Prefect server."""
    from flows.review.flow import tell_closed

    then = (
        "the Prefect server was told, and starts the deployment that writes the release"
        if tell_closed(tables, closed)
        else "`ytb-ads build --review human` writes the release"
    )
    say(f"round {closed.id} is closed; {then}")


def print_rows(title: str, names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print a table; its cells are shown as plain text."""
    say(title)  # rich would wrap the title of a narrow table
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    print_tables(table)


def find_person(store: Store, name: str) -> Person:
    from annotation.errors import AnnotationError

    person = store.people.find(name) or next((each for each in store.people.all() if each.id == name), None)
    if person is None:
        raise AnnotationError(f"nobody is called {printable(name)!r}; `ytb-ads annotate people` lists everybody")
    return person


def pseudonyms_shown(asked: bool | None, catalog: str, config: Path | None) -> bool:
    return open_catalog(catalog, config)[1].pseudonyms if asked is None else asked


def pair(given: str, expected: str) -> tuple[str, str]:
    who, _, name = given.rpartition("=")
    if not who or not name:
        raise typer.BadParameter(f"{given}: expected {expected}")
    return who, name
